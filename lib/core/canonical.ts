import { createHash, type Hash } from 'node:crypto';
import { CacheGuardError } from './errors.js';

const MAX_DEPTH = 64;

/**
 * A digest that is equal exactly for equal arguments. Every part is written with its type and its length, so that no two
 * different structures give the same bytes; the order of object keys, Map and Set entries does not count.
 *
 * @throws CacheGuardError (`CG_UNUSABLE_KEY`) for what has no stable content: functions, symbols, cycles, promises, streams,
 * nesting beyond 64, and instances of classes with `#private` or native state, which would all look alike
 */
export function digest(value: unknown, separator: string): string {
  const hash = createHash('sha256');
  hash.update(separator);
  write(value, hash, []);
  return hash.digest('base64url');
}

function refuse(what: string): never {
  throw new CacheGuardError(
    'CG_UNUSABLE_KEY',
    `A cache key cannot be made from ${what}; give an explicit key instead.`,
  );
}

function text(hash: Hash, tag: string, content: string): void {
  hash.update(`${tag}${content.length}:`);
  // UTF-16 keeps lone surrogates apart, which UTF-8 would fold into one replacement character.
  hash.update(content, 'utf16le');
}

function write(value: unknown, hash: Hash, ancestors: object[]): void {
  switch (typeof value) {
    case 'string':
      return text(hash, 's', value);
    case 'number':
      return text(hash, 'd', String(value));
    case 'bigint':
      return text(hash, 'i', String(value));
    case 'boolean':
      return text(hash, 'b', String(value));
    case 'undefined':
      return text(hash, 'u', '');
    case 'object':
      return value === null ? text(hash, 'n', '') : nested(value, hash, ancestors);
    default:
      return refuse(`a ${typeof value}`);
  }
}

function nested(value: object, hash: Hash, ancestors: object[]): void {
  if (ancestors.includes(value)) refuse('a structure that contains itself');
  if (ancestors.length >= MAX_DEPTH) refuse(`a structure nested deeper than ${MAX_DEPTH}`);
  ancestors.push(value);
  writeObject(value, hash, ancestors);
  ancestors.pop();
}

function writeObject(value: object, hash: Hash, ancestors: object[]): void {
  if (Array.isArray(value)) {
    hash.update(`a${value.length}:`);
    for (const item of value) write(item, hash, ancestors);
  } else if (value instanceof Date) {
    text(hash, 'D', String(value.getTime()));
  } else if (value instanceof URL) {
    text(hash, 'U', value.href);
  } else if (value instanceof RegExp) {
    text(hash, 'R', String(value));
  } else if (ArrayBuffer.isView(value)) {
    text(hash, 'B', value.constructor.name);
    hash.update(`${value.byteLength}:`);
    hash.update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  } else if (value instanceof Map) {
    unordered(hash, 'M', [...value], ancestors);
  } else if (value instanceof Set) {
    unordered(hash, 'S', [...value], ancestors);
  } else {
    properties(value, hash, ancestors);
  }
}

function unordered(hash: Hash, tag: string, items: unknown[], ancestors: object[]): void {
  const digests = items.map((item) => {
    const own = createHash('sha256');
    write(item, own, ancestors);
    return own.digest('base64');
  });
  text(hash, tag, digests.sort().join(','));
}

function properties(value: object, hash: Hash, ancestors: object[]): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) {
    const type = (value as { constructor?: unknown }).constructor;
    if (typeof type !== 'function' || hidesState(type)) {
      refuse(
        `an instance of ${typeof type === 'function' ? type.name : 'an unknown class'}, whose state cannot be seen`,
      );
    }
    text(hash, 'c', type.name);
  }
  if (Object.getOwnPropertySymbols(value).length > 0) refuse('an object with symbol properties');
  const keys = Object.keys(value).sort();
  hash.update(`o${keys.length}:`);
  for (const key of keys) {
    text(hash, 'k', key);
    write((value as Record<string, unknown>)[key], hash, ancestors);
  }
}

const hiding = new WeakMap<object, boolean>();

/** Whether a class, or one that it extends, keeps state where nobody can enumerate it: native slots or `#private` fields. */
function hidesState(type: object): boolean {
  let known = hiding.get(type);
  if (known === undefined) {
    const source = Function.prototype.toString.call(type);
    const parent: unknown = Object.getPrototypeOf(type);
    known =
      /\{\s*\[native code\]\s*\}$/.test(source) ||
      /#[\p{ID_Start}$_]/u.test(source) ||
      (typeof parent === 'function' && parent !== Function.prototype && hidesState(parent));
    hiding.set(type, known);
  }
  return known;
}

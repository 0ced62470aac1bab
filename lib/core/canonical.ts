import { createHash, type Hash } from 'node:crypto';
import { builtinName, nativeName } from './builtins.js';
import { CacheGuardError, isCacheGuardError } from './errors.js';

const MAX_DEPTH = 64;
/** Few objects that name each other can be endlessly many values. */
const MAX_VALUES = 100_000;

interface Walk {
  readonly ancestors: object[];
  values: number;
}

/**
 * A digest that is equal exactly for equal arguments. Every part is written with its type and its length, so that no two
 * different structures give the same bytes; the order of object keys, Map and Set entries does not count.
 *
 * @throws CacheGuardError (`CG_UNUSABLE_KEY`) for what has no stable content: functions, symbols, cycles, promises, streams,
 * nesting beyond 64, more than 100,000 values in one, instances of classes with `#private` or native state, which would all look
 * alike, and whatever throws when it is read
 */
export function digest(value: unknown, separator: string): string {
  const hash = createHash('sha256');
  hash.update(separator);
  try {
    write(value, hash, { ancestors: [], values: 0 });
  } catch (error) {
    if (isCacheGuardError(error, 'CG_UNUSABLE_KEY')) throw error;
    refuse('an object that throws when it is read', error);
  }
  return hash.digest('base64url');
}

function refuse(what: string, cause?: unknown): never {
  const message = `A cache key cannot be made from ${what}; give a key of texts, numbers and plain data instead.`;
  throw new CacheGuardError('CG_UNUSABLE_KEY', message, { cause });
}

function text(hash: Hash, tag: string, content: string): void {
  hash.update(`${tag}${content.length}:`);
  // UTF-16 keeps lone surrogates apart, which UTF-8 would fold into one replacement character.
  hash.update(content, 'utf16le');
}

function write(value: unknown, hash: Hash, walk: Walk): void {
  if (++walk.values > MAX_VALUES) refuse(`a structure of more than ${MAX_VALUES} values`);
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
      return value === null ? text(hash, 'n', '') : nested(value, hash, walk);
    default:
      return refuse(`a ${typeof value}`);
  }
}

function nested(value: object, hash: Hash, walk: Walk): void {
  const { ancestors } = walk;
  if (ancestors.includes(value)) refuse('a structure that contains itself');
  if (ancestors.length >= MAX_DEPTH) refuse(`a structure nested deeper than ${MAX_DEPTH}`);
  ancestors.push(value);
  writeObject(value, hash, walk);
  ancestors.pop();
}

function writeObject(value: object, hash: Hash, walk: Walk): void {
  const name = builtinName(value);
  switch (name) {
    case 'Object':
    case 'null':
      return properties(value, hash, walk);
    case 'Array':
      return list(value as unknown[], hash, walk);
    case 'Date':
      nothingElse(value, name, 0);
      return text(hash, 'D', String((value as Date).getTime()));
    case 'RegExp':
      nothingElse(value, name, 1);
      return text(hash, 'R', `/${(value as RegExp).source}/${(value as RegExp).flags}`);
    case 'Map':
      nothingElse(value, name, 0);
      return unordered(hash, 'M', [...(value as Map<unknown, unknown>)], walk);
    case 'Set':
      nothingElse(value, name, 0);
      return unordered(hash, 'S', [...(value as Set<unknown>)], walk);
    case 'URL':
      return text(hash, 'U', (value as URL).href);
    case undefined:
      return instance(value, hash, walk);
    default:
      return bytes(value, name, hash);
  }
}

/** Refuses properties of a built-in's own, which would be left out of the key unseen. */
function nothingElse(value: object, name: string, ownKeys: number): void {
  if (Reflect.ownKeys(value).length !== ownKeys) refuse(`an instance of ${name} with properties or holes of its own`);
}

function list(value: unknown[], hash: Hash, walk: Walk): void {
  nothingElse(value, 'Array', value.length + 1);
  hash.update(`a${value.length}:`);
  for (let i = 0; i < value.length; i++) {
    if (!Object.hasOwn(value, i)) refuse('an array with holes');
    write(value[i], hash, walk);
  }
}

function bytes(value: object, name: string, hash: Hash): void {
  const view = value as ArrayBufferView;
  const content = ArrayBuffer.isView(value)
    ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    : new Uint8Array(value as ArrayBuffer);
  text(hash, 'B', name);
  hash.update(`${content.length}:`);
  hash.update(content);
}

function unordered(hash: Hash, tag: string, items: unknown[], walk: Walk): void {
  const digests = items.map((item) => {
    const own = createHash('sha256');
    write(item, own, walk);
    return own.digest('base64');
  });
  text(hash, tag, digests.toSorted().join(','));
}

function instance(value: object, hash: Hash, walk: Walk): void {
  const prototype = Object.getPrototypeOf(value) as object;
  const name = classOf(prototype)?.name ?? 'an unknown class';
  if (hidesState(prototype)) refuse(`an instance of ${name}, whose state cannot be seen`);
  text(hash, 'c', name);
  properties(value, hash, walk);
}

function properties(value: object, hash: Hash, walk: Walk): void {
  const keys = Object.keys(value).toSorted();
  if (Reflect.ownKeys(value).length !== keys.length) refuse('an object with symbols or hidden properties');
  hash.update(`o${keys.length}:`);
  for (const key of keys) {
    text(hash, 'k', key);
    write((value as Record<string, unknown>)[key], hash, walk);
  }
}

function classOf(prototype: object): { readonly name: string } | undefined {
  const type: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
  return typeof type === 'function' && type.prototype === prototype ? type : undefined;
}

/** `#private` fields, also as the compilers write them for older targets: as WeakMaps that take the instance. */
const PRIVATE_STATE = /#[\p{ID_Start}$_]|class_?private_?field|__private|\.set\(this\b/iu;

const hiding = new WeakMap<object, boolean>();

/**
 * Whether objects with this prototype may keep state where nobody can enumerate it. Only a chain of classes in sight that ends
 * at `Object` does not: native classes have slots, and a prototype that belongs to no class holds data itself.
 */
function hidesState(prototype: object): boolean {
  let known = hiding.get(prototype);
  if (known === undefined) {
    const native = nativeName(prototype);
    const type = classOf(prototype);
    const parent = Object.getPrototypeOf(prototype) as object | null;
    if (native !== undefined) known = native !== 'Object';
    else if (type === undefined || parent === null) known = true;
    else known = PRIVATE_STATE.test(Function.prototype.toString.call(type)) || hidesState(parent);
    hiding.set(prototype, known);
  }
  return known;
}

import { builtinName, isWellFormed } from '../../core/builtins.js';
import { MAX_DEPTH } from '../../core/shape.js';
import { assemble, dismantle, isBytes, type Bytes } from './bytes.js';

/**
 * A form of every value that is kept which needs no more than the basic types of MessagePack: each array says in its first
 * item what it stands for. The numbers are stored; they only ever grow.
 */
const TAG = {
  array: 0,
  undefined: 1,
  negativeZero: 2,
  bigint: 3,
  date: 4,
  map: 5,
  set: 6,
  regExp: 7,
  url: 8,
  bytes: 9,
  nullPrototype: 10,
  /** A text or an object's keys with lone surrogates, which UTF-8 cannot carry. */
  text: 11,
  object: 12,
} as const;

/** @throws TypeError for what has no such form */
export function toWire(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case 'boolean':
      return value;
    case 'string':
      return isWellFormed(value) ? value : [TAG.text, Buffer.from(value, 'utf16le')];
    case 'number':
      return Object.is(value, -0) ? [TAG.negativeZero] : value;
    case 'undefined':
      return [TAG.undefined];
    case 'bigint':
      // Hexadecimal, because decimal takes more than linear time to read, and others choose the length.
      return [TAG.bigint, value.toString(16)];
    case 'object':
      return value === null ? null : objectToWire(value, depth + 1);
    default:
      throw new TypeError(`a ${typeof value} cannot be kept`);
  }
}

function objectToWire(value: object, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new TypeError(`nested deeper than ${MAX_DEPTH}`);
  switch (builtinName(value)) {
    case 'Array':
      return [TAG.array, ...wired(value as unknown[], depth)];
    case 'Date':
      return [TAG.date, (value as Date).getTime()];
    case 'Map':
      return [TAG.map, ...wired([...(value as Map<unknown, unknown>)].flat(), depth)];
    case 'Set':
      return [TAG.set, ...wired([...(value as Set<unknown>)], depth)];
    case 'RegExp':
      return [TAG.regExp, (value as RegExp).source, (value as RegExp).flags];
    case 'URL':
      return [TAG.url, (value as URL).href];
    case 'null':
      return [TAG.nullPrototype, ...wired(Object.entries(value).flat(), depth)];
    case 'Object':
      return plainToWire(value, depth);
    default:
      if (!isBytes(value)) throw new TypeError('an instance of a class cannot be kept');
      return bytesToWire(value);
  }
}

function bytesToWire(value: Bytes): unknown {
  const { type, bytes } = dismantle(value);
  return [TAG.bytes, type, bytes];
}

function wired(items: unknown[], depth: number): unknown[] {
  return items.map((item) => toWire(item, depth));
}

function plainToWire(value: object, depth: number): unknown {
  const wire: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    if (key === '__proto__') throw new TypeError('a property named __proto__ cannot be kept');
    if (!isWellFormed(key)) return [TAG.object, ...wired(Object.entries(value).flat(), depth)];
    wire[key] = toWire(item, depth);
  }
  return wire;
}

/**
 * For what MessagePack's basic types can hold, without keys named `__proto__`; changes `wire`, and makes of it what it stands for.
 *
 * @throws TypeError for what `toWire` does not make
 */
export function fromWire(wire: unknown): unknown {
  if (typeof wire !== 'object' || wire === null) return wire;
  if (Array.isArray(wire)) return fromTagged(wire[0], wire.slice(1));
  if (Buffer.isBuffer(wire)) return malformed();
  const object = wire as Record<string, unknown>;
  for (const key of Object.keys(object)) object[key] = fromWire(object[key]);
  return object;
}

function fromTagged(tag: unknown, items: unknown[]): unknown {
  switch (tag) {
    case TAG.array:
      return items.map((item) => fromWire(item));
    case TAG.undefined:
      return undefined;
    case TAG.negativeZero:
      return -0;
    case TAG.bigint:
      return bigintOf(textOf(items[0]));
    case TAG.date:
      return typeof items[0] === 'number' ? new Date(items[0]) : malformed();
    case TAG.map:
      return new Map(pairsOf(items));
    case TAG.set:
      return new Set(items.map((item) => fromWire(item)));
    case TAG.regExp:
      return new RegExp(textOf(items[0]), textOf(items[1]));
    case TAG.url:
      return new URL(textOf(items[0]));
    case TAG.bytes:
      return assemble(items[0], bufferOf(items[1]));
    case TAG.nullPrototype:
      return withProperties(Object.create(null) as object, items);
    case TAG.text:
      return bufferOf(items[0]).toString('utf16le');
    case TAG.object:
      return withProperties({}, items);
    default:
      return malformed();
  }
}

function bigintOf(text: string): bigint {
  const [, sign, digits] = /^(-?)([0-9a-f]+)$/.exec(text) ?? malformed();
  const size = BigInt(`0x${digits}`);
  return sign ? -size : size;
}

function pairsOf(items: unknown[]): [unknown, unknown][] {
  if (items.length % 2 !== 0) malformed();
  const pairs: [unknown, unknown][] = [];
  for (let i = 0; i < items.length; i += 2) pairs.push([fromWire(items[i]), fromWire(items[i + 1])]);
  return pairs;
}

function withProperties(target: object, items: unknown[]): object {
  for (const [key, item] of pairsOf(items)) {
    if (typeof key !== 'string' || key === '__proto__') malformed();
    Object.assign(target, { [key]: item });
  }
  return target;
}

function textOf(item: unknown): string {
  return typeof item === 'string' ? item : malformed();
}

function bufferOf(item: unknown): Buffer {
  return Buffer.isBuffer(item) ? item : malformed();
}

function malformed(): never {
  throw new TypeError('not written by this codec');
}

import { types } from 'node:util';
import { builtinName } from '../../core/builtins.js';

export type Bytes = ArrayBuffer | ArrayBufferView;

type MakeBytes = (buffer: ArrayBuffer) => Bytes;

const MAKERS: ReadonlyMap<string, MakeBytes> = new Map<string, MakeBytes>([
  ['ArrayBuffer', (buffer) => buffer],
  ['Buffer', (buffer) => Buffer.from(buffer)],
  ['DataView', (buffer) => new DataView(buffer)],
  ...[Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array].map(maker),
  ...[Float32Array, Float64Array, BigInt64Array, BigUint64Array].map(maker),
]);

function maker(type: new (buffer: ArrayBuffer) => Bytes): [string, MakeBytes] {
  return [type.name, (buffer) => new type(buffer)];
}

export function isBytes(value: unknown): value is Bytes {
  return typeof value === 'object' && (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value));
}

/** What a view shows, and no more: what lies around it in its buffer may be somebody else's. */
export function dismantle(value: Bytes): { type: string; bytes: Buffer } {
  const type = builtinName(value);
  if (type === undefined || !MAKERS.has(type)) throw new TypeError('bytes of an unknown class cannot be kept');
  const bytes = ArrayBuffer.isView(value)
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    : Buffer.from(value);
  return { type, bytes };
}

/** The copy has a buffer to itself, so that it is aligned and nothing else can be reached or changed through it. */
export function assemble(type: unknown, bytes: Buffer): Bytes {
  const make = typeof type === 'string' ? MAKERS.get(type) : undefined;
  if (!make) throw new TypeError('bytes of an unknown type');
  const buffer = new ArrayBuffer(bytes.length);
  bytes.copy(new Uint8Array(buffer));
  return make(buffer);
}

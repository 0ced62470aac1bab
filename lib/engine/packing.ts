import { promisify, types } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';
import type { CodecSet } from '../core/codec.js';
import { FLAG, type Entry } from '../core/entry.js';
import { errorText } from '../core/errors.js';
import type { Policy } from '../core/policy.js';
import { deepFreeze, flatten, shapeOf, type InstanceClass, type Instances } from '../core/shape.js';
import type { Revive, ValueOptions } from '../core/values.js';

export type Packed =
  | {
      readonly ok: true;
      readonly payload: Buffer;
      readonly codec: number;
      /** Of `FLAG.plain` and `FLAG.compressed`. */
      readonly flags: number;
    }
  | { readonly ok: false; readonly path: string; readonly detail: string };

/** A decoded value, handed out so that no reader can change what another one has. */
export interface Unpacked<T> {
  /** Of the payload it was made from, inflated. */
  readonly bytes: number;
  /** For one reader. */
  take(): T;
}

const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw);

/** Turns a value into a payload, or says what in it would not come back. Never throws; never changes the value. */
export async function pack(
  value: unknown,
  {
    codec: wanted,
    compressAbove,
    maxValueBytes,
    encrypt = false,
  }: Pick<Policy, 'codec' | 'compressAbove' | 'maxValueBytes'> & Partial<Pick<Policy, 'encrypt'>>,
  options: ValueOptions,
  codecs: CodecSet,
): Promise<Packed> {
  try {
    const allow = instancesIn(options);
    // Written out, each takes a byte at least.
    const shape = shapeOf(value, allow, maxValueBytes);
    // Property names may be data.
    if (shape.kind === 'refused') return refused(shape.reason, encrypt ? '(not shown)' : shape.path);
    const codec = codecs.forEncoding(wanted, shape.kind);
    const bytes: unknown = codec.encode(allow === 'none' ? value : flatten(value));
    if (!Buffer.isBuffer(bytes)) return refused(`codec '${codec.name}' did not make a Buffer`);
    if (bytes.length > maxValueBytes)
      return refused(`${tooLong(bytes, maxValueBytes)}; cache less at once, or raise it`);
    const small = bytes.length >= compressAbove ? await deflate(bytes) : bytes;
    const compressed = small.length < bytes.length;
    const flags = (shape.kind === 'plain' ? FLAG.plain : 0) | (compressed ? FLAG.compressed : 0);
    return { ok: true, payload: compressed ? small : bytes, codec: codec.id, flags };
  } catch (error) {
    return refused(types.isNativeError(error) ? errorText(error, encrypt) : 'the codec threw what is no error');
  }
}

function tooLong({ length }: Buffer, maxValueBytes: number): string {
  return `${length} bytes, more than maxValueBytes (${maxValueBytes})`;
}

function refused(detail: string, path = '(root)'): Packed {
  return { ok: false, path, detail };
}

/**
 * Opens a payload; a promise only when it must be inflated. The first value is decoded at once, so that a payload that cannot
 * be decoded is noticed here, by a throw or a rejection.
 */
export function unpack<T>(
  packed: Pick<Entry, 'flags' | 'codec' | 'payload'>,
  options: ValueOptions<T>,
  { codec: wanted, maxValueBytes }: Pick<Policy, 'codec' | 'maxValueBytes'>,
  codecs: CodecSet,
): Promise<Unpacked<T>> | Unpacked<T> {
  const { flags, payload } = packed;
  const codec = codecs.byId(packed.codec, typeof wanted === 'object' ? wanted : undefined);
  if (!codec) throw new TypeError(`no codec has the number ${packed.codec}`);
  const open = (bytes: Buffer): Unpacked<T> => {
    let sound = codec.links !== true;
    const decode = () => {
      const value = codec.decode(bytes);
      // Few bytes could be endlessly many values, or a cycle, to whoever writes the answer out.
      sound ||= shapeOf(value, 'none', maxValueBytes).kind !== 'refused';
      if (!sound) throw new TypeError('a value that is never kept');
      return value;
    };
    return { bytes: bytes.length, take: taker<T>(decode, (flags & FLAG.plain) !== 0, options) };
  };
  if (flags & FLAG.compressed) return inflate(payload, { maxOutputLength: maxValueBytes }).then(open);
  if (payload.length > maxValueBytes) throw new RangeError(tooLong(payload, maxValueBytes));
  return open(payload);
}

function taker<T>(decode: () => unknown, isPlain: boolean, { revive, aliasing }: ValueOptions<T>): () => T {
  const make = () => revived(decode(), revive);
  const value = make();
  if (aliasing === 'shared') return () => value;
  if (isPlain && !revive) {
    deepFreeze(value);
    return () => value;
  }
  let unused: { value: T } | undefined = { value };
  return () => {
    const mine = unused ?? { value: make() };
    unused = undefined;
    return mine.value;
  };
}

function revived<T>(plain: unknown, revive: Revive<T> | undefined): T {
  if (!revive || plain === null || plain === undefined) return plain as T;
  if (!isClass(revive)) return (revive as (plain: unknown) => T)(plain);
  if (Array.isArray(plain)) plain.forEach((item) => giveClass(item, revive));
  else giveClass(plain, revive);
  return plain as T;
}

/** The object is ours and nobody has it yet; unlike copying, this runs no setter of the class. */
function giveClass(value: unknown, { prototype }: InstanceClass): void {
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return;
  Object.setPrototypeOf(value, prototype);
}

function instancesIn({ revive, plain }: ValueOptions): Instances {
  if (plain) return 'all';
  if (!revive) return 'none';
  return isClass(revive) ? revive : 'all';
}

function isClass(revive: object): revive is InstanceClass {
  return /^class(?![\w$])/.test(Function.prototype.toString.call(revive));
}

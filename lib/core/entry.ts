import { crc32 } from 'node:zlib';
import type { GenerationStamp } from './generations.js';

/**
 * An entry is one string: a fixed header of 64 bytes, then the metadata of variable length, then the payload.
 *
 * | bytes | what                       | bytes | what                                            |
 * |-------|----------------------------|-------|-------------------------------------------------|
 * | 0     | magic                      | 34-41 | version, big-endian                             |
 * | 1     | format                     | 42-45 | epoch of the store that took it                 |
 * | 2     | flags                      | 46-49 | schema                                          |
 * | 3     | codec                      | 50-53 | window while revalidating, ms                   |
 * | 4-11  | entry id                   | 54-57 | window if error, ms                             |
 * | 12-17 | began, store ms            | 58-61 | CRC-32 of all behind the header                 |
 * | 18-23 | soft expiry, store ms      | 62-63 | length of the metadata                          |
 * | 24-29 | hard expiry, store ms      |       |                                                 |
 * | 30-33 | load time, ms              |       |                                                 |
 *
 * The store's scripts touch bytes 2 and 18-23 only (marking stale), which is why the checksum leaves the header out.
 */
export const HEADER_BYTES = 64;
const MAGIC = 0xc6;
const FORMAT = 1;
/** The payload is encrypted, and so is the etag. */
const SEALED_FORMAT = 2;
const UINT32_MAX = 2 ** 32 - 1;

export const FLAG = {
  negative: 1,
  /** The absence was thrown; the payload is what the error was turned into. */
  thrown: 2,
  /** Nothing is kept: readers load for themselves. */
  hitForMiss: 4,
  compressed: 8,
  versioned: 16,
  /** Marked stale by an invalidation. */
  marked: 32,
  /** What an invalidation in mode `remove` leaves for a while, so that the next miss knows its cause. */
  removed: 64,
  /** Plain objects, arrays and scalars only: one frozen copy may be shared. */
  plain: 128,
} as const;

export interface Entry {
  readonly id: string;
  readonly flags: number;
  readonly codec: number;
  /** Store time of the loader's call. */
  readonly beganMs: number;
  readonly softMs: number;
  readonly hardMs: number;
  readonly loadMs: number;
  readonly version: bigint | undefined;
  readonly etag: string | undefined;
  readonly epoch: number;
  readonly schema: number;
  readonly whileRevalidateMs: number;
  readonly ifErrorMs: number;
  readonly stamps: readonly GenerationStamp[];
  /** Who loaded it: process and method, for people. */
  readonly provenance: string;
  readonly payload: Buffer;
  /** The payload is encrypted. Never set of what is handed on: only what goes to the store, or comes from it, may be. */
  readonly sealed?: boolean | undefined;
}

export const ENTRY_ID_BYTES = 8;

/** The schema version as the header carries it. */
export function schemaNumber(schema: string): number {
  return crc32(schema);
}

export function encodeEntry(entry: Entry): Buffer {
  const meta = encodeMeta(entry);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + meta.length + entry.payload.length);
  bytes[0] = MAGIC;
  bytes[1] = entry.sealed ? SEALED_FORMAT : FORMAT;
  bytes[2] = (entry.flags & ~FLAG.versioned) | (entry.version === undefined ? 0 : FLAG.versioned);
  bytes[3] = entry.codec;
  // Less would leave what the memory held before in the entry.
  if (bytes.write(entry.id, 4, ENTRY_ID_BYTES, 'hex') !== ENTRY_ID_BYTES)
    throw new RangeError('an entry id is 8 bytes as hex');
  bytes.writeUIntBE(entry.beganMs, 12, 6);
  bytes.writeUIntBE(entry.softMs, 18, 6);
  bytes.writeUIntBE(entry.hardMs, 24, 6);
  bytes.writeUInt32BE(Math.min(Math.ceil(entry.loadMs), UINT32_MAX), 30);
  bytes.writeBigUInt64BE(entry.version ?? 0n, 34);
  bytes.writeUInt32BE(entry.epoch, 42);
  bytes.writeUInt32BE(entry.schema, 46);
  bytes.writeUInt32BE(Math.min(entry.whileRevalidateMs, UINT32_MAX), 50);
  bytes.writeUInt32BE(Math.min(entry.ifErrorMs, UINT32_MAX), 54);
  bytes.writeUInt16BE(meta.length, 62);
  meta.copy(bytes, HEADER_BYTES);
  entry.payload.copy(bytes, HEADER_BYTES + meta.length);
  bytes.writeUInt32BE(crc32(bytes.subarray(HEADER_BYTES)), 58);
  return bytes;
}

/**
 * Reads an entry; `undefined` for bytes that are none (foreign, cut off, damaged). One that is sealed is not opened. Never throws,
 * whatever the bytes: the store may hold what somebody else wrote. A bare header marked `removed` is a tombstone: the store's scripts
 * write it without metadata, and 0 is the checksum of nothing.
 */
export function decodeEntry(bytes: Buffer): Entry | undefined {
  if (bytes.length < HEADER_BYTES || bytes[0] !== MAGIC) return undefined;
  if (bytes[1] !== FORMAT && bytes[1] !== SEALED_FORMAT) return undefined;
  const metaLength = bytes.readUInt16BE(62);
  if (HEADER_BYTES + metaLength > bytes.length) return undefined;
  if (crc32(bytes.subarray(HEADER_BYTES)) !== bytes.readUInt32BE(58)) return undefined;
  const flags = bytes[2]!;
  const tombstone = bytes.length === HEADER_BYTES && (flags & FLAG.removed) !== 0;
  const meta = tombstone ? NO_META : decodeMeta(bytes.subarray(HEADER_BYTES, HEADER_BYTES + metaLength));
  if (meta === undefined) return undefined;
  return {
    id: bytes.toString('hex', 4, 4 + ENTRY_ID_BYTES),
    flags,
    codec: bytes[3]!,
    beganMs: bytes.readUIntBE(12, 6),
    softMs: bytes.readUIntBE(18, 6),
    hardMs: bytes.readUIntBE(24, 6),
    loadMs: bytes.readUInt32BE(30),
    version: flags & FLAG.versioned ? bytes.readBigUInt64BE(34) : undefined,
    epoch: bytes.readUInt32BE(42),
    schema: bytes.readUInt32BE(46),
    whileRevalidateMs: bytes.readUInt32BE(50),
    ifErrorMs: bytes.readUInt32BE(54),
    payload: bytes.subarray(HEADER_BYTES + metaLength),
    sealed: bytes[1] === SEALED_FORMAT || undefined,
    ...meta,
  };
}

/** The id in what looks like an entry, sound or not; `''` for other bytes. */
export function entryIdOf(bytes: Buffer): string {
  return bytes.length >= HEADER_BYTES && bytes[0] === MAGIC ? bytes.toString('hex', 4, 4 + ENTRY_ID_BYTES) : '';
}

type Meta = Pick<Entry, 'stamps' | 'etag' | 'provenance'>;

const NO_META: Meta = { stamps: [], etag: undefined, provenance: '' };

const MAX_META_BYTES = 0xffff;
/** Of an etag, of the name of a generation. */
export const MAX_TEXT_BYTES = 512;

/** How many generations an entry can carry; with more, a value is not cached. */
export const MAX_STAMPS = 64;

function encodeMeta({ stamps, etag, provenance }: Entry): Buffer {
  const parts: Buffer[] = [Buffer.from([stamps.length])];
  for (const stamp of stamps) {
    const name = text(stamp.name);
    const value = Buffer.allocUnsafe(8);
    value.writeDoubleBE(stamp.value);
    parts.push(name, value);
  }
  parts.push(Buffer.from([etag === undefined ? 0 : 1]), text(etag ?? ''), text(provenance));
  const meta = Buffer.concat(parts);
  if (stamps.length > MAX_STAMPS || meta.length > MAX_META_BYTES) throw new RangeError('entry metadata is too large');
  return meta;
}

function text(content: string): Buffer {
  const bytes = Buffer.from(content, 'utf8');
  if (bytes.length > MAX_TEXT_BYTES) throw new RangeError('a text in entry metadata is too long');
  const length = Buffer.allocUnsafe(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function decodeMeta(bytes: Buffer): Meta | undefined {
  let at = 0;
  const readText = (): string => {
    const length = bytes.readUInt16BE(at);
    at += 2 + length;
    return bytes.toString('utf8', at - length, at);
  };
  try {
    const count = bytes.readUInt8(at++);
    const stamps: GenerationStamp[] = [];
    for (let i = 0; i < count; i++) {
      const name = readText();
      stamps.push({ name, value: bytes.readDoubleBE(at) });
      at += 8;
    }
    const hasEtag = bytes.readUInt8(at++) === 1;
    const etag = readText();
    const provenance = readText();
    return at === bytes.length ? { stamps, etag: hasEtag ? etag : undefined, provenance } : undefined;
  } catch {
    return undefined;
  }
}

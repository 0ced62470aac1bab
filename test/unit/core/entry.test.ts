import { crc32 } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeEntry,
  encodeEntry,
  ENTRY_ID_BYTES,
  FLAG,
  HEADER_BYTES,
  MAX_STAMPS,
  schemaNumber,
  type Entry,
} from '../../../lib/core/entry.js';

const sample: Entry = {
  id: '0123456789abcdef',
  flags: FLAG.plain,
  codec: 1,
  beganMs: 1_700_000_000_000,
  softMs: 1_700_000_030_000,
  hardMs: 1_700_000_600_000,
  loadMs: 12,
  version: 7n,
  etag: 'W/"7"',
  epoch: 0xdeadbeef,
  schema: schemaNumber('1'),
  whileRevalidateMs: 90_000,
  ifErrorMs: 570_000,
  stamps: [
    { name: 'd:offers', value: 1_700_000_000_000_001 },
    { name: 't:offers:s.gold', value: 0 },
  ],
  provenance: 'OfferService.find@abc',
  payload: Buffer.from('{"rate":1.5}'),
};

const CRC_AT = 58;

/** As the store's scripts write it. */
function tombstone(flags: number = FLAG.removed): Buffer {
  const bytes = Buffer.from(encodeEntry(sample).subarray(0, HEADER_BYTES));
  bytes[2] = flags;
  bytes.fill(0, CRC_AT);
  return bytes;
}

const uint = (bits: number) => fc.maxSafeNat().map((n) => n % 2 ** bits);
// Ill-formed text would come back as replacement characters.
const text = fc.string({ unit: 'binary', maxLength: 100 });

const entry: fc.Arbitrary<Entry> = fc
  .record({
    id: fc
      .uint8Array({ minLength: ENTRY_ID_BYTES, maxLength: ENTRY_ID_BYTES })
      .map((id) => Buffer.from(id).toString('hex')),
    flags: uint(8),
    codec: uint(8),
    beganMs: uint(48),
    softMs: uint(48),
    hardMs: uint(48),
    loadMs: uint(32),
    version: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { nil: undefined }),
    etag: fc.option(text, { nil: undefined }),
    epoch: uint(32),
    schema: uint(32),
    whileRevalidateMs: uint(32),
    ifErrorMs: uint(32),
    stamps: fc.array(fc.record({ name: text, value: fc.double({ noNaN: true }) }), { maxLength: MAX_STAMPS }),
    provenance: text,
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  })
  .map((made) => ({
    ...made,
    flags: (made.flags & ~FLAG.versioned) | (made.version === undefined ? 0 : FLAG.versioned),
  }));

const roundTrip = (change: Partial<Entry>) => decodeEntry(encodeEntry({ ...sample, ...change }));

const versionBytes = (version: bigint) => encodeEntry({ ...sample, version }).subarray(34, 42);

const stamps = (count: number, length = 10) =>
  Array.from({ length: count }, (_, i) => ({ name: `t:${i}`.padEnd(length, 'x'), value: i }));

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}

describe('an entry', () => {
  it('comes back as it was written', () => {
    expect(decodeEntry(encodeEntry(sample))).toEqual({ ...sample, flags: FLAG.plain | FLAG.versioned });
    fc.assert(
      fc.property(entry, (made) => {
        expect(decodeEntry(encodeEntry(made))).toEqual(made);
      }),
    );
  });

  it('tells no etag from an empty one, and no version from version 0', () => {
    expect(roundTrip({ etag: undefined })?.etag).toBeUndefined();
    expect(roundTrip({ etag: '' })?.etag).toBe('');
    expect(roundTrip({ version: undefined })?.version).toBeUndefined();
    expect(roundTrip({ version: 0n })?.version).toBe(0n);
    expect(roundTrip({ version: undefined, flags: FLAG.versioned })?.version).toBeUndefined();
  });

  it('rounds the load time up and caps what does not fit', () => {
    const back = decodeEntry(encodeEntry({ ...sample, loadMs: 1.2, whileRevalidateMs: 2 ** 40, ifErrorMs: Infinity }));
    expect(back).toMatchObject({ loadMs: 2, whileRevalidateMs: 2 ** 32 - 1, ifErrorMs: 2 ** 32 - 1 });
  });

  it('lets its flags and soft expiry be changed in place', () => {
    const bytes = encodeEntry(sample);
    bytes[2]! |= FLAG.marked;
    bytes.writeUIntBE(sample.beganMs + 5, 18, 6);
    expect(decodeEntry(bytes)).toMatchObject({
      flags: FLAG.plain | FLAG.versioned | FLAG.marked,
      softMs: sample.beganMs + 5,
    });
  });

  it('orders versions by their bytes', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (a, b) => {
        expect(Buffer.compare(versionBytes(a), versionBytes(b))).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });
});

describe('limits', () => {
  it('hold at their edge', () => {
    const largest = { ...sample, stamps: stamps(MAX_STAMPS, 512), etag: 'e'.repeat(512), provenance: 'p'.repeat(512) };
    expect(decodeEntry(encodeEntry(largest))).toMatchObject({ stamps: largest.stamps, etag: largest.etag });
  });

  it.each<[string, Partial<Entry>]>([
    ['too many stamps', { stamps: stamps(MAX_STAMPS + 1) }],
    ['as many stamps as would wrap to none', { stamps: stamps(256) }],
    ['a long stamp', { stamps: stamps(1, 513) }],
    ['a long etag', { etag: 'ä'.repeat(257) }],
    ['a long provenance', { provenance: 'p'.repeat(513) }],
    ['a version that does not fit', { version: 2n ** 64n }],
    ['a negative version', { version: -1n }],
    ['a time before the epoch', { beganMs: -1 }],
    ['an endless time', { hardMs: Infinity }],
    ['a short id', { id: '0123' }],
    ['an id that is not hex', { id: 'not-hex-not-hex!' }],
  ])('refuse %s', (_, change) => {
    expect(() => encodeEntry({ ...sample, ...change })).toThrow(RangeError);
  });
});

describe('bytes that are no entry', () => {
  const valid = encodeEntry(sample);

  it('are any flip of a bit behind the header or in its checksum, length, magic and format', () => {
    for (let bit = 0; bit < valid.length * 8; bit++) {
      const read = decodeEntry(flipped(valid, bit));
      const at = bit >> 3;
      if (at < 2 || at >= CRC_AT) expect(read, `bit ${bit}`).toBeUndefined();
    }
  });

  it('are any truncation or extension', () => {
    for (let length = 0; length < valid.length; length++)
      expect(decodeEntry(valid.subarray(0, length))).toBeUndefined();
    expect(decodeEntry(Buffer.concat([valid, Buffer.alloc(1)]))).toBeUndefined();
  });

  it('never make it throw', () => {
    fc.assert(
      fc.property(entry, fc.nat(), fc.nat(), (made, seed, cut) => {
        const bytes = encodeEntry(made);
        const bit = seed % (bytes.length * 8);
        const read = decodeEntry(flipped(bytes, bit));
        if (bit >> 3 >= HEADER_BYTES) expect(read).toBeUndefined();
        expect(decodeEntry(bytes.subarray(0, cut % bytes.length))).toBeUndefined();
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeEntry(Buffer.from(bytes))).toBeUndefined();
      }),
    );
  });

  it('never make it throw behind a right header and checksum', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: HEADER_BYTES, maxLength: 200 }), fc.nat(), (random, seed) => {
        const bytes = Buffer.from(random);
        bytes[0] = valid[0]!;
        bytes[1] = valid[1]!;
        bytes.writeUInt32BE(crc32(bytes.subarray(HEADER_BYTES)), CRC_AT);
        bytes.writeUInt16BE(seed % (bytes.length - HEADER_BYTES + 2), 62);
        const read = decodeEntry(bytes);
        expect(read === undefined || Array.isArray(read.stamps)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it('are foreign values', () => {
    for (const foreign of ['', '{}', 'x'.repeat(500)]) expect(decodeEntry(Buffer.from(foreign))).toBeUndefined();
  });
});

describe('a tombstone', () => {
  it('is an entry of a bare header', () => {
    expect(decodeEntry(tombstone(FLAG.removed | FLAG.versioned))).toEqual({
      ...sample,
      flags: FLAG.removed | FLAG.versioned,
      etag: undefined,
      stamps: [],
      provenance: '',
      payload: Buffer.alloc(0),
    });
    expect(decodeEntry(tombstone())).toMatchObject({ flags: FLAG.removed, version: undefined, stamps: [] });
  });

  it('has exactly 64 bytes, the flag, no metadata and no checksum', () => {
    expect(decodeEntry(tombstone(0))).toBeUndefined();
    expect(decodeEntry(tombstone(FLAG.marked))).toBeUndefined();
    expect(decodeEntry(tombstone().subarray(0, 63))).toBeUndefined();
    expect(decodeEntry(Buffer.concat([tombstone(), Buffer.alloc(1)]))).toBeUndefined();
    for (let bit = CRC_AT * 8; bit < HEADER_BYTES * 8; bit++) {
      const bytes = tombstone();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(decodeEntry(bytes), `bit ${bit}`).toBeUndefined();
    }
  });

  it('is not what a removed entry with metadata is', () => {
    const removed = encodeEntry({ ...sample, flags: FLAG.removed });
    expect(decodeEntry(removed)?.provenance).toBe(sample.provenance);
    expect(decodeEntry(removed.subarray(0, HEADER_BYTES))).toBeUndefined();
  });
});

describe('schemaNumber', () => {
  it('fits the header and tells schemas apart', () => {
    expect(new Set(['1', '2', '10', 'v1', ''].map(schemaNumber)).size).toBe(5);
    fc.assert(
      fc.property(fc.string(), (schema) => Number.isInteger(schemaNumber(schema)) && schemaNumber(schema) < 2 ** 32),
    );
  });
});

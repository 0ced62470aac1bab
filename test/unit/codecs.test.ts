import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { binaryCodec } from '../../lib/adapters/codecs/binary.js';
import { Codecs } from '../../lib/adapters/codecs/index.js';
import { plainJson, richJson } from '../../lib/adapters/codecs/json.js';
import type { Codec } from '../../lib/core/codec.js';
import { MAX_DEPTH, shapeOf } from '../../lib/core/shape.js';
import { plainValues, richValues } from '../support/values.js';

const binary = { plain: binaryCodec('plain'), rich: binaryCodec('rich') };

const roundTrip = (codec: Codec, value: unknown): unknown => codec.decode(codec.encode(value));

describe.each([
  ['plain JSON', plainJson, plainValues],
  ['rich JSON', richJson, richValues],
  ['binary, plain', binary.plain, plainValues],
  ['binary, rich', binary.rich, richValues],
])('%s', (_, codec, values) => {
  it('gives back an equal value, prototypes included', () => {
    fc.assert(
      fc.property(values, (value) => {
        assert.deepStrictEqual(roundTrip(codec, value), value);
      }),
      { numRuns: 500 },
    );
  });

  it('gives back large values', () => {
    const keys = Array.from({ length: 70_000 }, (_unused, i) => [`key ${i}`, i] as const);
    for (const value of [Object.fromEntries(keys), keys, 'ä'.repeat(70_000)]) {
      assert.deepStrictEqual(roundTrip(codec, value), value);
    }
  });

  it('survives any bytes: a value or a throw, and nothing else changes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(undefined, 0, 1), (bytes, mode) => {
        attempt(codec, Buffer.from(mode === undefined ? bytes : [mode, ...bytes]));
      }),
      { numRuns: 5000 },
    );
  });

  it('survives any damage to what it wrote', () => {
    const damage = fc.record({ at: fc.nat(), byte: fc.nat(255), cut: fc.boolean() });
    fc.assert(
      fc.property(values, damage, (value, { at, byte, cut }) => {
        const bytes = Buffer.from(codec.encode(value));
        bytes[at % bytes.length] = byte;
        attempt(codec, cut ? bytes.subarray(0, at % bytes.length) : bytes);
      }),
      { numRuns: 2000 },
    );
  });

  it('survives deep nesting', () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ]) {
      attempt(codec, Buffer.from(open!.repeat(100_000) + '1' + close!.repeat(100_000)));
    }
    for (const head of [0, 1]) {
      attempt(codec, Buffer.concat([Buffer.from([head]), Buffer.alloc(1_000_000, 0x91), Buffer.from([1])]));
    }
    const links = Array.from({ length: 50_000 }, (_unused, i) => `[${i + 1}]`);
    attempt(codec, Buffer.from(`[${links.join(',')},1]`));
  });
});

describe('both rich codecs', () => {
  it.each([
    ['json', richJson],
    ['binary', binary.rich],
  ])('%s keeps a date that is none', (_, codec) => {
    expect(roundTrip(codec, [new Date(NaN)])).toEqual([new Date(NaN)]);
  });

  it.each([
    ['json', richJson],
    ['binary', binary.rich],
  ])('%s keeps the greatest depth that is accepted, whatever stands at the bottom', (_, codec) => {
    for (const bottom of [undefined, 1n, -0, '\ud800']) {
      let value: unknown = bottom;
      for (let i = 0; i < MAX_DEPTH; i++) value = [value];
      expect(shapeOf(value).kind).toBe('rich');
      assert.deepStrictEqual(roundTrip(codec, value), value);
    }
    let bytes: unknown = Buffer.of(1);
    for (let i = 0; i < MAX_DEPTH - 1; i++) bytes = { bytes };
    expect(shapeOf(bytes).kind).toBe('rich');
    assert.deepStrictEqual(roundTrip(codec, bytes), bytes);
  });

  it.each([
    ['json', richJson],
    ['binary', binary.rich],
  ])('%s writes what a view shows and gives it a buffer of its own', (_, codec) => {
    const pool = Buffer.from('secret|shown|secret');
    for (const view of [pool.subarray(7, 12), new Uint8Array(pool.buffer, pool.byteOffset + 7, 5)]) {
      const bytes = codec.encode([view]);
      expect(bytes.toString('latin1')).not.toMatch(/secret|c2VjcmV0/);
      const [back] = codec.decode(bytes) as [Uint8Array];
      expect(Buffer.from(back).toString()).toBe('shown');
      expect(back.buffer.byteLength).toBe(5);
      back.fill(0);
      expect(Buffer.from((codec.decode(bytes) as [Uint8Array])[0]).toString()).toBe('shown');
    }
  });

  it.each([
    ['json', richJson],
    ['binary', binary.rich],
  ])('%s throws for what it cannot keep', (_, codec) => {
    const own: unknown = JSON.parse('{"__proto__": 1}');
    for (const value of [
      () => 1,
      Symbol('a'),
      Object.create({}),
      new WeakMap(),
      Promise.resolve(),
      new Error('a'),
      own,
    ]) {
      expect(() => codec.encode([value])).toThrow();
    }
    expect(() => codec.encode(new Proxy(new Date(), {}))).toThrow();
    expect(() => codec.encode(Object.create(Map.prototype))).toThrow();
  });
});

describe('hostile JSON', () => {
  it.each([
    '{"__proto__": {"polluted": 1}}',
    '[{"a": {"\\u005f_proto__": {"polluted": 1}}}]',
    '{"__\\u0070roto__": {"polluted": 1}}',
    '{"__proto\\u005F\\u005f": {"polluted": 1}}',
  ])('%s is refused', (text) => {
    expect(() => plainJson.decode(Buffer.from(text))).toThrow('__proto__');
  });

  it('the same as a text is a value', () => {
    for (const value of ['"__proto__":', ['__proto__'], { a: '\\u005f' }, { __proto: 1 }]) {
      expect(roundTrip(plainJson, value)).toEqual(value);
    }
  });

  it.each([
    '[{"__proto__":1},{"polluted":2},3]',
    '[["null","__proto__",1],1]',
    '[["Bytes",1],"constructor:aaaa"]',
    '[["Bytes",1],"Function:aaaa"]',
    '[["Bytes",1],"aaaa"]',
    '[["Bytes",0]]',
    '[["Bytes",1],7]',
    '[["Uint8Array",1],4294967295]',
    '[["constructor",1],1]',
    '[["__proto__",1],1]',
    '[["eval",1],"process.exit()"]',
    '[[-7,-1]]',
    '5',
    '{}',
    '',
  ])('rich: %s is refused', (text) => {
    expect(() => richJson.decode(Buffer.from(text))).toThrow();
    assertClean();
  });

  it('rich: a huge sparse array costs nothing', () => {
    const before = process.memoryUsage().rss;
    attempt(richJson, Buffer.from('[[-7,4294967295]]'));
    expect(process.memoryUsage().rss - before).toBeLessThan(50_000_000);
  });
});

describe('hostile MessagePack', () => {
  const foreign = new Packr({ structuredClone: true, moreTypes: true });
  const maps = new Packr({ mapsAsObjects: false, variableMapSize: true });
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;

  it.each([
    ['a record', foreign.pack({ a: 1 })],
    ['a reference', foreign.pack([cycle])],
    ['an error', foreign.pack(new Error('a'))],
    ['a Set', foreign.pack(new Set([1]))],
    ['a RegExp', foreign.pack(/a/)],
    ['a Date', foreign.pack(new Date(0))],
    ['undefined', foreign.pack(undefined)],
    ['a 64-bit integer', foreign.pack(1n)],
    ['a float of 32 bits', Buffer.of(0xca, 0, 0, 0, 0)],
    ['the unused token', Buffer.of(0xc1)],
    ['a key __proto__', maps.pack(new Map([['__proto__', { polluted: 1 }]]))],
    ['a long key __proto__', Buffer.concat([Buffer.of(0x81, 0xd9, 9), Buffer.from('__proto__'), Buffer.of(1)])],
    ['a numeric key', maps.pack(new Map([[1, 1]]))],
    ['a key that is an array', Buffer.of(0x81, 0x90, 1)],
    ['a huge array', Buffer.of(0xdd, 0xff, 0xff, 0xff, 0xff)],
    ['a huge map', Buffer.of(0xdf, 0xff, 0xff, 0xff, 0xff)],
    ['a huge text', Buffer.of(0xdb, 0xff, 0xff, 0xff, 0xff)],
    ['a cut text', Buffer.of(0xa5, 0x61)],
    ['two values', Buffer.of(1, 1)],
    ['nothing', Buffer.alloc(0)],
    ['too deep', Buffer.concat([Buffer.alloc(MAX_DEPTH + 2, 0x91), Buffer.of(1)])],
  ])('%s is refused', (_, body) => {
    for (const mode of [0, 1]) {
      expect(() => binary.rich.decode(Buffer.concat([Buffer.of(mode), body]))).toThrow(TypeError);
    }
    assertClean();
  });

  it('bytes are refused in a plain value, which is frozen and shared', () => {
    expect(() => binary.rich.decode(Buffer.concat([Buffer.of(0), new Packr().pack([Buffer.of(1)])]))).toThrow(
      TypeError,
    );
  });

  const basic = new Packr({ useRecords: false });
  it.each([
    ['no tag', []],
    ['an unknown tag', [99, 1]],
    ['a tag that is no number', ['__proto__', 1]],
    ['an odd Map', [5, 1]],
    ['an odd object', [12, 'a']],
    ['a key __proto__', [12, '__proto__', 1]],
    ['a key __proto__, no prototype', [10, '__proto__', 1]],
    ['a key that is no text', [12, 1, 1]],
    ['a key that is an object', [12, { toString: 1 }, 1]],
    ['a bigint of decimal form', [3, '0x1']],
    ['a bigint that is none', [3, 1]],
    ['a Date of a text', [4, '2020']],
    ['a RegExp without source', [7, 1, 'g']],
    ['a RegExp with unknown flags', [7, 'a', 'zz']],
    ['a URL that is none', [8, 'no']],
    ['bytes of an unknown type', [9, 'constructor', Buffer.of(1)]],
    ['misaligned bytes', [9, 'Float64Array', Buffer.of(1)]],
    ['bytes that are none', [9, 'Buffer', [0]]],
    ['bytes without tag', { a: Buffer.of(1) }],
    ['a text that is none', [11, 'a']],
  ])('a tagged value with %s is refused', (_, wire) => {
    expect(() => binary.rich.decode(Buffer.concat([Buffer.of(1), basic.pack(wire)]))).toThrow();
    assertClean();
  });
});

describe('the set of codecs', () => {
  const codecs = new Codecs();
  const own: Codec = { ...plainJson, id: 64 };

  it('chooses by policy and shape', () => {
    expect(codecs.forEncoding('json', 'plain')).toBe(plainJson);
    expect(codecs.forEncoding('json', 'rich')).toBe(richJson);
    expect(codecs.forEncoding(own, 'rich')).toBe(own);
    expect(codecs.forEncoding('binary', 'plain').id).toBe(3);
  });

  it('finds what an entry was written with', () => {
    expect([1, 2, 3].map((id) => codecs.byId(id, undefined)?.id)).toEqual([1, 2, 3]);
    expect(codecs.byId(64, own)).toBe(own);
    expect(codecs.byId(65, own)).toBeUndefined();
    expect(codecs.byId(64, undefined)).toBeUndefined();
    expect(codecs.byId(0, undefined)).toBeUndefined();
  });

  it('reads both binary forms with one codec', () => {
    const reader = codecs.byId(3, undefined)!;
    expect(reader.decode(codecs.forEncoding('binary', 'plain').encode([1]))).toEqual([1]);
    expect(reader.decode(codecs.forEncoding('binary', 'rich').encode([1n]))).toEqual([1n]);
  });

  it('says how to install a missing package, and only when it is needed', () => {
    const missing = new Codecs((kind) =>
      binaryCodec(kind, (name) => {
        throw new Error(`Cannot find module '${name}'`);
      }),
    );
    expect(missing.forEncoding('json', 'rich')).toBe(richJson);
    const error: unknown = expect.objectContaining({
      code: 'CG_MISSING_PEER',
      message: expect.stringContaining('npm install msgpackr') as unknown,
    });
    expect(() => missing.forEncoding('binary', 'plain')).toThrow(error);
    expect(() => missing.byId(3, undefined)).toThrow(error);
  });
});

function attempt(codec: Codec, bytes: Buffer): void {
  const before = Buffer.from(bytes);
  try {
    codec.decode(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
  }
  expect(bytes.equals(before)).toBe(true);
  assertClean();
}

function assertClean(): void {
  if ('polluted' in {} || 'polluted' in [] || Object.keys(Object.prototype).length > 0) throw new Error('polluted');
}

import assert from 'node:assert/strict';
import { runInNewContext } from 'node:vm';
import { constants, deflateRawSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Codecs } from '../../lib/adapters/codecs/index.js';
import { plainJson } from '../../lib/adapters/codecs/json.js';
import type { Codec } from '../../lib/core/codec.js';
import { FLAG } from '../../lib/core/entry.js';
import type { ValueOptions } from '../../lib/core/values.js';
import { pack, unpack, type Packed, type Unpacked } from '../../lib/engine/packing.js';
import { plainValues, richValues, vandalise } from '../support/values.js';

type Kept = Extract<Packed, { ok: true }>;

const codecs = new Codecs();
const MOST = 1 << 20;
const READING = { codec: 'json', maxValueBytes: MOST } as const;

class Offer {
  price = 0;
  get double(): number {
    return this.price * 2;
  }
  set label(_text: string) {
    throw new Error('a setter ran');
  }
  static of(price: number): Offer {
    return Object.assign(new Offer(), { price });
  }
}
class SpecialOffer extends Offer {}

async function packed(
  value: unknown,
  options: ValueOptions = {},
  codec: 'json' | 'binary' | Codec = 'json',
  above = 64,
) {
  const result = await pack(value, { codec, compressAbove: above, maxValueBytes: MOST }, options, codecs);
  if (!result.ok) throw new Error(`${result.path}: ${result.detail}`);
  return result;
}

async function refused(value: unknown, options: ValueOptions = {}, codec: 'json' | 'binary' | Codec = 'json') {
  const result = await pack(value, { codec, compressAbove: Infinity, maxValueBytes: MOST }, options, codecs);
  if (result.ok) throw new Error('accepted');
  return result;
}

async function opened<T>(kept: Kept, options: ValueOptions<T> = {}): Promise<Unpacked<T>> {
  return unpack<T>(kept, options, READING, codecs);
}

const settings = fc.record({
  codec: fc.constantFrom('json' as const, 'binary' as const),
  above: fc.constantFrom(0, 64, Infinity),
  aliasing: fc.constantFrom('safe' as const, 'shared' as const),
});

describe('what is accepted', () => {
  it('comes back equal, prototypes included, however it is kept', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(plainValues, richValues), settings, async (value, { codec, above, aliasing }) => {
        const unpacked = await opened(await packed(value, {}, codec, above), { aliasing });
        assert.deepStrictEqual(unpacked.take(), value);
        assert.deepStrictEqual(unpacked.take(), value);
      }),
      { numRuns: 1000 },
    );
  });

  it('comes back equal whatever the value, or is refused', async () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withBoxedValues: true,
      withObjectString: true,
      withSparseArray: true,
      withNullPrototype: true,
      withUnicodeString: true,
    });
    await fc.assert(
      fc.asyncProperty(anything, settings, async (value, { codec, above }) => {
        const kept = await pack(value, { codec, compressAbove: above, maxValueBytes: MOST }, {}, codecs);
        if (kept.ok) assert.deepStrictEqual((await opened(kept)).take(), value);
      }),
      { numRuns: 2000 },
    );
  });

  it('shows no reader what another one did to it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(plainValues, richValues), settings, async (value, { codec, above }) => {
        const unpacked = await opened(await packed(value, {}, codec, above));
        for (let reader = 0; reader < 3; reader++) {
          const mine = unpacked.take();
          assert.deepStrictEqual(mine, value);
          vandalise(mine);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('is neither changed nor frozen', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(plainValues, richValues), settings, async (value, { codec, above }) => {
        const twin = (await opened(await packed(value))).take();
        const kept = await packed({ value }, { plain: true }, codec, above);
        (await opened(kept)).take();
        assert.deepStrictEqual(value, twin);
        if (typeof value === 'object' && value !== null) expect(Object.isExtensible(value)).toBe(true);
      }),
    );
  });

  it.each([null, 0, '', false, undefined, NaN, -0, Infinity, 7n])('may be a scalar: %s', async (value) => {
    for (const codec of ['json', 'binary'] as const) {
      const kept = await packed(value, {}, codec);
      const plain =
        value === null || value === 0 ? !Object.is(value, -0) : ['string', 'boolean'].includes(typeof value);
      expect(kept.flags).toBe(plain ? FLAG.plain : 0);
      const unpacked = await opened(kept);
      expect([unpacked.take(), unpacked.take()]).toEqual([value, value]);
      expect(Object.is(unpacked.take(), value)).toBe(true);
    }
  });
});

describe('the payload', () => {
  it('names codec and shape', async () => {
    expect(await packed([1])).toMatchObject({ codec: 1, flags: FLAG.plain, payload: Buffer.from('[1]') });
    expect(await packed([1n])).toMatchObject({ codec: 2, flags: 0 });
    expect(await packed([1], {}, 'binary')).toMatchObject({ codec: 3, flags: FLAG.plain });
    expect(await packed([1n], {}, 'binary')).toMatchObject({ codec: 3, flags: 0 });
  });

  it('is compressed from the size on, when that makes it smaller', async () => {
    const text = 'a'.repeat(98);
    expect((await packed(text, {}, 'json', 101)).flags).toBe(FLAG.plain);
    const kept = await packed(text, {}, 'json', 100);
    expect(kept.flags).toBe(FLAG.plain | FLAG.compressed);
    expect(kept.payload.length).toBeLessThan(20);
    expect((await opened(kept)).take()).toBe(text);
    expect((await packed('ab', {}, 'json', 0)).flags).toBe(FLAG.plain);
  });

  it('is a promise only when it must be inflated', async () => {
    expect(unpack(await packed('a'), {}, READING, codecs)).not.toBeInstanceOf(Promise);
    expect(unpack(await packed('a'.repeat(99)), {}, READING, codecs)).toBeInstanceOf(Promise);
  });

  it('is decoded once for the first reader, again for each further one of a rich value', async () => {
    let decoded = 0;
    const counting: Codec = { ...plainJson, id: 99, decode: (bytes) => (decoded++, plainJson.decode(bytes)) };
    for (const [flags, aliasing, counts] of [
      [FLAG.plain, 'safe', [1, 1, 1]],
      [0, 'safe', [1, 1, 2]],
      [0, 'shared', [1, 1, 1]],
    ] as const) {
      decoded = 0;
      const unpacked = await unpack(
        { codec: 99, flags, payload: Buffer.from('[1]') },
        { aliasing },
        { ...READING, codec: counting },
        codecs,
      );
      const seen = [decoded];
      unpacked.take();
      seen.push(decoded);
      unpacked.take();
      seen.push(decoded);
      expect(seen).toEqual(counts);
    }
  });
});

describe('aliasing', () => {
  it('safe: plain values are one frozen object', async () => {
    const unpacked = await opened<{ list: { a: number }[] }>(await packed({ list: [{ a: 1 }] }));
    const value = unpacked.take();
    expect(unpacked.take()).toBe(value);
    expect(() => (value.list[0]!.a = 2)).toThrow(TypeError);
  });

  it('safe: rich values are copied', async () => {
    const unpacked = await opened<{ at: Date; bytes: Buffer }>(await packed({ at: new Date(1), bytes: Buffer.of(1) }));
    const [one, other] = [unpacked.take(), unpacked.take()];
    one.at.setTime(9);
    one.bytes[0] = 9;
    expect(other).toEqual({ at: new Date(1), bytes: Buffer.of(1) });
    expect(unpacked.take()).toEqual(other);
  });

  it.each([{ a: 1 }, { a: new Date(1) }])('shared: one object that is not frozen (%#)', async (value) => {
    const unpacked = await opened<object>(await packed(value), { aliasing: 'shared' });
    expect(unpacked.take()).toBe(unpacked.take());
    expect(Object.isFrozen(unpacked.take())).toBe(false);
  });

  it('a rich payload that pretends to be plain is refused, not shared', async () => {
    const kept = await packed(new Map([[1, 1]]));
    expect(() => unpack({ ...kept, flags: FLAG.plain }, {}, READING, codecs)).toThrow(TypeError);
  });
});

describe('class instances', () => {
  it('are refused with path and advice', async () => {
    expect(await refused({ items: [Offer.of(1)] })).toEqual({
      ok: false,
      path: 'items[0]',
      detail: "an instance of Offer; 'revive' gives it its class back, 'plain: true' flattens it on purpose",
    });
  });

  it('come back as their class, anew for each reader, without a constructor or setter', async () => {
    let built = 0;
    class Counted extends Offer {
      constructor() {
        super();
        built++;
      }
    }
    const options: ValueOptions<Counted> = { revive: Counted };
    const unpacked = await opened(await packed(Object.assign(new Counted(), { price: 2 }), options), options);
    expect(built).toBe(1);
    const value = unpacked.take();
    expect(value).toBeInstanceOf(Counted);
    expect(value.double).toBe(4);
    value.price = 9;
    expect(unpacked.take().price).toBe(2);
    expect(built).toBe(1);
  });

  it('come back in arrays, with what is no object as it is', async () => {
    const options: ValueOptions<(Offer | null)[]> = { revive: Offer };
    const value = [Offer.of(1), null, Offer.of(2)];
    for (const codec of ['json', 'binary'] as const) {
      const back = (await opened(await packed(value, options, codec), options)).take();
      assert.deepStrictEqual(back, value);
    }
  });

  it.each([null, undefined])('%s stays as it is', async (value) => {
    const options: ValueOptions = { revive: Offer };
    expect((await opened(await packed(value, options), options)).take()).toBe(value);
    const byFunction: ValueOptions = { revive: () => 'revived' };
    expect((await opened(await packed(value, byFunction), byFunction)).take()).toBe(value);
  });

  it('a plain value gets the class too, so that a hit is like a miss whoever made it', async () => {
    const options: ValueOptions<Offer> = { revive: Offer };
    expect((await opened(await packed({ price: 3 }, options), options)).take().double).toBe(6);
  });

  it('of a subclass, or deeper inside, are refused', async () => {
    expect(await refused([Object.assign(new SpecialOffer())], { revive: Offer })).toMatchObject({ path: '[0]' });
    expect(await refused({ offer: Offer.of(1) }, { revive: Offer })).toMatchObject({ path: 'offer' });
  });

  it('a function revives everything that it knows, anew for each reader', async () => {
    const revive = (plain: unknown) => Offer.of((plain as { offer: { price: number } }).offer.price);
    const options: ValueOptions<Offer> = { revive };
    const unpacked = await opened(await packed({ offer: new SpecialOffer() }, options), options);
    expect(unpacked.take()).toEqual(Offer.of(0));
    expect(unpacked.take()).not.toBe(unpacked.take());
  });

  it('a function whose name begins like a class is a function', async () => {
    const revive = runInNewContext('class$ => ({ got: class$ })') as (plain: unknown) => unknown;
    expect((await opened(await packed([1]), { revive })).take()).toEqual({ got: [1] });
  });

  it('plain: flattened at any depth, on misses as on hits', async () => {
    const value = { items: new Map([[1, Offer.of(1)]]) };
    const kept = await packed(value, { plain: true });
    assert.deepStrictEqual((await opened(kept, { plain: true })).take(), { items: new Map([[1, { price: 1 }]]) });
    expect(value.items.get(1)).toBeInstanceOf(Offer);
  });

  it('a payload that holds something else than objects gets no class', async () => {
    const kept = await packed([new Map(), new Date(1), Object.create(null), [1]]);
    const back = (await opened<unknown[]>(kept, { revive: Offer as never })).take();
    assert.deepStrictEqual(back, [new Map(), new Date(1), Object.create(null), [1]]);
  });
});

describe('failures', () => {
  it.each([
    ['throws', { encode: () => { throw new Error('no'); } }, 'no'], // prettier-ignore
    ['throws no error', { encode: () => { throw 'no'; } }, 'the codec threw what is no error'], // prettier-ignore
    ['makes no Buffer', { encode: () => 'a' as never }, "codec 'own' did not make a Buffer"],
  ])('a codec that %s', async (_, broken, detail) => {
    const own: Codec = { ...plainJson, id: 64, name: 'own', ...broken };
    expect(await refused(1, {}, own)).toEqual({ ok: false, path: '(root)', detail });
  });

  it('values that resist inspection', async () => {
    const resisting = new Proxy({}, { ownKeys: () => { throw new Error('resists'); } }); // prettier-ignore
    expect(await refused([resisting])).toMatchObject({ detail: 'resists' });
    for (const codec of ['json', 'binary'] as const) {
      await refused(new Proxy(new Date(), {}), {}, codec);
      await refused(Object.create(Map.prototype), {}, codec);
    }
  });

  it('a payload that could not be opened again', async () => {
    const own: Codec = { ...plainJson, id: 64, encode: () => Buffer.alloc(MOST + 1) };
    const detail = `${MOST + 1} bytes, more than maxValueBytes (${MOST}); cache less at once, or raise it`;
    expect(await refused(1, {}, own)).toMatchObject({ detail });
  });

  it('an unknown codec, and damaged payloads, are noticed at once', async () => {
    expect(() => unpack({ codec: 77, flags: 0, payload: Buffer.alloc(0) }, {}, READING, codecs)).toThrow('77');
    const kept = await packed('a'.repeat(99));
    await expect(opened({ ...kept, payload: Buffer.of(0xff) })).rejects.toThrow();
    await expect(opened({ ...kept, payload: deflateRawSync(Buffer.from('{')) })).rejects.toThrow();
    for (const codec of [1, 2, 3]) {
      expect(() => unpack({ codec, flags: 0, payload: Buffer.from('{') }, {}, READING, codecs)).toThrow();
    }
  });

  it('a reviver that throws is noticed at once', async () => {
    const kept = await packed([1]);
    expect(() => unpack(kept, { revive: (plain) => JSON.parse(`?${JSON.stringify(plain)}`) }, READING, codecs)).toThrow(
      SyntaxError,
    );
  });

  it('what names itself, or few objects that are endlessly many, is not read', () => {
    const doubled = `[${Array.from({ length: 60 }, (_, i) => `[${i + 1},${i + 1}]`).join(',')},1]`;
    for (const text of ['[[0]]', '[{"a":0}]', doubled])
      for (const flags of [0, FLAG.plain])
        expect(() => unpack({ codec: 2, flags, payload: Buffer.from(text) }, {}, READING, codecs)).toThrow(TypeError);
  });

  it('a bomb is not inflated, and what is too long is not decoded', async () => {
    const bomb = deflateRawSync(Buffer.alloc(MOST + 1), { level: constants.Z_BEST_SPEED });
    await expect(opened({ ok: true, codec: 1, flags: FLAG.compressed, payload: bomb })).rejects.toMatchObject({
      code: 'ERR_BUFFER_TOO_LARGE',
    });
    const long = (length: number): Kept => ({ ok: true, codec: 1, flags: 0, payload: Buffer.alloc(length, '1') });
    await expect(opened(long(MOST + 1))).rejects.toThrow(RangeError);
    expect((await opened(long(MOST))).bytes).toBe(MOST);
  });
});

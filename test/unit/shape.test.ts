import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { deepFreeze, flatten, MAX_DEPTH, shapeOf } from '../../lib/core/shape.js';

class Seller {
  constructor(readonly address: unknown) {}
  get street(): unknown {
    return this.address;
  }
}
class PremiumSeller extends Seller {}
class Secretive {
  readonly #secret = 1;
  read(): number {
    return this.#secret;
  }
}
class Basket extends Map<string, number> {}

const refusal = (value: unknown, allow?: Parameters<typeof shapeOf>[1]): [string, string] => {
  const shape = shapeOf(value, allow);
  if (shape.kind !== 'refused') throw new Error(`accepted as ${shape.kind}`);
  return [shape.path, shape.reason];
};

const cyclic: unknown[] = [];
cyclic.push({ back: cyclic });
const nested = (levels: number): unknown => {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = i % 2 ? [value] : { value };
  return value;
};
const symbolKey = { [Symbol.toStringTag]: 'Date' };
const match: unknown = 'abc'.match(/b/);
const search = /a/g;
search.exec('a');

describe('plain values', () => {
  const shared = { a: 1 };
  it.each([
    null,
    true,
    false,
    0,
    -1.5,
    '',
    'ünï 😀',
    [],
    {},
    [[1, { a: [null] }]],
    { constructor: 1, toJSON: 1, hasOwnProperty: 'x', '': 0 },
    [shared, shared],
    Object.defineProperty({ seen: 1 }, 'hidden', { value: () => 1, enumerable: false }),
    runInNewContext('({ a: [1, { b: null }] })'),
  ])('%#', (value) => {
    expect(shapeOf(value)).toEqual({ kind: 'plain' });
  });
});

describe('rich values', () => {
  it.each([
    undefined,
    NaN,
    Infinity,
    -Infinity,
    -0,
    1n,
    'lone \ud800',
    { '\udfff': 1 },
    new Date(),
    new Date(NaN),
    new Map([[{ a: 1 }, new Set([1])]]),
    /a/gi,
    new URL('http://a/'),
    Buffer.from('a'),
    new Float64Array(2),
    new ArrayBuffer(2),
    new DataView(new ArrayBuffer(2)),
    Object.assign(Object.create(null) as object, { a: 1 }),
    runInNewContext('new Map([[new Date(), /a/]])'),
  ])('%#', (value) => {
    expect(shapeOf(value)).toEqual({ kind: 'rich' });
    expect(shapeOf([{ deep: value }])).toEqual({ kind: 'rich' });
  });
});

describe('refused values', () => {
  it.each([
    ['(root)', () => 1],
    ['(root)', Symbol('a')],
    ['[0].seller.address', [{ seller: { address: () => 1 } }]],
    ['a["b c"][1]', { a: { 'b c': [0, Symbol.iterator] } }],
    ['entries()[1][0]', new Map<unknown, unknown>([[1, 1], [() => 1, 1]])], // prettier-ignore
    ['m.entries()[0][1].x', { m: new Map([['secret', { x: () => 1 }]]) }],
    ['values()[1]', new Set([1, () => 1])],
    ['toJSON', { toJSON: () => 1 }],
    ['price', { get price() { return 1; } }], // prettier-ignore
    ['__proto__', JSON.parse('{"__proto__": 1}')],
    ['(root)', symbolKey],
    ['[0].back', cyclic],
    ['(root)', new Seller(1)],
    ['(root)', Promise.resolve(1)],
    ['(root)', new Error('a')],
    ['(root)', new Number(1)],
    ['(root)', new WeakMap()],
    ['(root)', new Basket()],
    ['(root)', Readable.from([])],
    ['(root)', new SharedArrayBuffer(1)],
    ['(root)', [1, , 2]], // oxlint-disable-line no-sparse-arrays
    ['(root)', Object.assign([1], { a: 1 })],
    ['(root)', match],
    ['(root)', Object.assign(new Map(), { a: 1 })],
    ['(root)', search],
    ['(root)', Object.create(Array.prototype)],
    ['(root)', Object.create({})],
    ['(root)', runInNewContext('class Offer {}; new Offer()')],
    ['(root)', (function () { return arguments; })()], // prettier-ignore
  ])('at %s (%#)', (path, value) => {
    expect(refusal(value)[0]).toBe(path);
  });

  it('says why, and what to do about a class instance', () => {
    expect(refusal([new Seller(1)])).toEqual([
      '[0]',
      "an instance of Seller; 'revive' gives it its class back, 'plain: true' flattens it on purpose",
    ]);
    expect(refusal(cyclic)[1]).toContain('cycle');
  });

  it('bounds the depth', () => {
    expect(shapeOf(nested(MAX_DEPTH)).kind).toBe('plain');
    expect(refusal(nested(MAX_DEPTH + 1))[1]).toContain(`deeper than ${MAX_DEPTH}`);
    expect(refusal(nested(100_000))[1]).toContain(`deeper than ${MAX_DEPTH}`);
  });
});

describe('permitted class instances', () => {
  it('of one class: as the value and as elements of the array, nowhere else', () => {
    expect(shapeOf(new Seller(1), Seller)).toEqual({ kind: 'plain' });
    expect(shapeOf([new Seller(1), null, new Seller(new Date())], Seller)).toEqual({ kind: 'rich' });
    expect(refusal({ seller: new Seller(1) }, Seller)[0]).toBe('seller');
    expect(refusal([[new Seller(1)]], Seller)[0]).toBe('[0][0]');
    expect(refusal(new Set([new Seller(1)]), Seller)[0]).toBe('values()[0]');
    expect(refusal(new Seller(new Seller(1)), Seller)[0]).toBe('address');
  });

  it('of one class: no subclass, which would come back as its parent', () => {
    expect(refusal([new PremiumSeller(1)], Seller)).toEqual(['[0]', expect.stringContaining('restores Seller only')]);
    expect(shapeOf(new PremiumSeller(1), PremiumSeller).kind).toBe('plain');
  });

  it('of one class: not with #private fields', () => {
    expect(refusal(new Secretive(), Secretive)[1]).toContain('#private');
    expect(shapeOf(new Secretive(), 'all').kind).toBe('plain');
  });

  it('of all classes, at any depth', () => {
    expect(shapeOf({ a: [new Map([[1, new PremiumSeller(new Seller(1))]])] }, 'all').kind).toBe('rich');
    expect(refusal(new Seller(() => 1), 'all')[0]).toBe('address');
  });

  it.each([
    new Basket(),
    new (class extends Array<number> {})(),
    new (class extends Promise<number> {})(() => undefined),
    new Error('a'),
    new String('a'),
    new WeakSet(),
    // oxlint-disable-next-line unicorn/no-thenable
    new (class { then() { return 1; } })(), // prettier-ignore
    Readable.from([]),
    new ReadableStream(),
    new (class { async *[Symbol.asyncIterator]() { yield 1; } })(), // prettier-ignore
    (function* () {})(),
    new EventEmitter(),
  ])('of all classes, but none whose content is not in its properties (%#)', (value) => {
    expect(shapeOf(value, 'all').kind).toBe('refused');
  });
});

describe('flatten', () => {
  it('makes plain objects of instances everywhere and leaves the original alone', () => {
    const seller = new PremiumSeller(new Seller(new Date(1)));
    const bare = Object.assign(Object.create(null) as object, { seller });
    const value = {
      list: [seller],
      map: new Map([[seller, seller]]),
      set: new Set([seller]),
      bare,
      bytes: Buffer.of(1),
    };
    const plain = { address: { address: new Date(1) } };
    assert.deepStrictEqual(flatten(value), {
      list: [plain],
      map: new Map([[plain, plain]]),
      set: new Set([plain]),
      bare: Object.assign(Object.create(null) as object, { seller: plain }),
      bytes: Buffer.of(1),
    });
    expect(value.list[0]).toBe(seller);
    expect(seller).toBeInstanceOf(PremiumSeller);
    expect(seller.address).toBeInstanceOf(Seller);
  });

  it('does not ask toJSON', () => {
    expect(flatten(new (class { a = 1; toJSON() { return 'no'; } })())).toEqual({ a: 1 }); // prettier-ignore
  });
});

describe('deepFreeze', () => {
  it('freezes all the way down, however deep', () => {
    const value = nested(50_000);
    deepFreeze(value);
    let at: unknown = value;
    while (typeof at === 'object' && at !== null) {
      if (!Object.isFrozen(at)) throw new Error('not frozen');
      at = Object.values(at)[0];
    }
    expect(at).toBe(1);
  });

  it('takes wide arrays, scalars and cycles', () => {
    const wide = Array.from({ length: 300_000 }, (_, i) => [i]);
    deepFreeze(wide);
    expect(Object.isFrozen(wide[299_999])).toBe(true);
    for (const scalar of [null, 0, '', undefined]) expect(() => deepFreeze(scalar)).not.toThrow();
    const cycle: unknown[] = [];
    cycle.push(cycle);
    expect(() => deepFreeze(cycle)).not.toThrow();
  });

  it.each([new Map(), new Date(), Buffer.of(1), new Seller(1)])(
    'throws for what it would not protect (%#)',
    (value) => {
      expect(() => deepFreeze([value])).toThrow(TypeError);
    },
  );
});

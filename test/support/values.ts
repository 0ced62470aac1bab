import * as fc from 'fast-check';

const keys = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 6 }).filter((key) => key !== '__proto__'),
  fc.constantFrom('', 'constructor', 'toString', 'hasOwnProperty', 'toJSON', 'length', '0', '\ud800'),
);

const scalars = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => (number === 0 ? 0 : number)),
  fc.string({ unit: 'grapheme' }),
  fc.string({ minLength: 30, maxLength: 80 }),
);

/** What plain JSON keeps. */
export const plainValues: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    scalars,
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(
      keys.filter((key) => key !== '\ud800' && isWellFormed(key)),
      tie('value'),
      { noNullPrototype: true, maxKeys: 18 },
    ),
  ),
})).value;

const bytes = fc.uint8Array({ maxLength: 40 });

const leaves = fc.oneof(
  scalars,
  fc.constantFrom(undefined, NaN, Infinity, -Infinity, -0),
  fc.bigInt(),
  fc.bigInt({ min: -(2n ** 700n), max: 2n ** 700n }),
  fc.string({ unit: 'binary' }).map((text) => `${text}\udc00`),
  fc.date({ noInvalidDate: true }),
  fc.constantFrom(/a(b)?/, /[\n/"<]/giu, new RegExp('', 'ys')),
  fc.webUrl({ withFragments: true, withQueryParameters: true }).map((url) => new URL(url)),
  bytes.map((array) => Buffer.from(array)),
  bytes.map((array) => new Uint8Array(array).subarray(array.length >> 1)),
  bytes.map((array) => new Uint8Array(array).buffer),
  bytes.map((array) => new DataView(new Uint8Array(array).buffer)),
  fc.float64Array({ maxLength: 5 }),
  fc.int16Array({ maxLength: 5 }),
  fc.bigUint64Array({ maxLength: 5 }),
);

/** What is kept at all. */
export const richValues: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaves,
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(keys, tie('value'), { noNullPrototype: false, maxKeys: 18 }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 5 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 5 }).map((items) => new Set(items)),
  ),
})).value;

function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

/** Changes everything in a value that lets itself be changed. */
export function vandalise(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  const tries = [
    () => {
      for (const inner of Object.values(value)) vandalise(inner);
    },
    () => {
      if (value instanceof Map || value instanceof Set) {
        for (const [key, inner] of value.entries()) [key, inner].forEach(vandalise);
        value.clear();
      }
      if (value instanceof Date) value.setTime(12_345);
      if (value instanceof URL) value.hash = '#vandal';
      if (value instanceof RegExp) value.lastIndex = 1;
      if (ArrayBuffer.isView(value)) new Uint8Array(value.buffer).fill(0xee);
      if (value instanceof ArrayBuffer) new Uint8Array(value).fill(0xee);
    },
    () => {
      for (const key of Object.keys(value)) Reflect.deleteProperty(value, key);
      Reflect.set(value, 'vandal', true);
    },
  ];
  for (const harm of tries) {
    try {
      harm();
    } catch {
      // Frozen.
    }
  }
}

export interface Rich {
  at: Date;
  tags: Set<string>;
  rates: Map<string, number[]>;
  bytes: Uint8Array;
}

export const rich = (): Rich => ({
  at: new Date(5),
  tags: new Set(['a']),
  rates: new Map([['a', [1]]]),
  bytes: new Uint8Array([1, 2]),
});

/** Changes each part of it: none of them can be frozen. */
export function spoil(value: Rich): void {
  value.at.setTime(0);
  value.tags.add('spoilt');
  value.rates.get('a')!.push(666);
  value.bytes[0] = 99;
}

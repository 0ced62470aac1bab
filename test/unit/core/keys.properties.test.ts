import { createSecretKey } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CacheGuardError } from '../../../lib/core/errors.js';
import { keyedHiding, type HideSegment } from '../../../lib/core/key-hiding.js';
import { argsKey, entryKey, keySegment, tagGeneration } from '../../../lib/core/keys.js';

const derived = (args: readonly unknown[]): string => keySegment(argsKey(...args));

/** Few and confusable, so that independent draws are often equal or nearly so. */
const tinyText = fc.constantFrom(
  '',
  'a',
  'b',
  'ab',
  '0',
  '1',
  ':',
  's1:a',
  'null',
  '__proto__',
  'constructor',
  '\ud800',
);
const tiny = fc.oneof(
  fc.constantFrom<unknown>(null, undefined, true, false, 0, 1, 10, 0n, 1n, NaN, new Date(0), new Date(1)),
  tinyText,
);
const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) });
// Adding 0 turns -0, which is the key of 0, into 0.
const wide = fc.oneof(
  fc.double().map((n) => n + 0),
  fc.bigInt(),
  fc.date(),
  anyText,
  fc.uint8Array(),
  tiny,
);

function ownProperties(entries: readonly (readonly [string, unknown])[]): object {
  const object = {};
  for (const [name, value] of entries) {
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return object;
}

const tree = (leaf: fc.Arbitrary<unknown>, name: fc.Arbitrary<string>, width: number) =>
  fc.letrec<{ node: unknown }>((tie) => {
    const items = fc.array(tie('node'), { maxLength: width });
    const pairs = fc.uniqueArray(fc.tuple(name, tie('node')), { selector: ([key]) => key, maxLength: width });
    return {
      node: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        leaf,
        items,
        pairs.map(ownProperties),
        pairs.map((entries) => new Map(entries)),
        fc.uniqueArray(leaf, { maxLength: width }).map((members) => new Set(members)),
      ),
    };
  }).node;

const tinyArgs = fc.array(tree(tiny, tinyText, 2), { maxLength: 2 });
const wideArgs = fc.array(tree(wide, anyText, 4), { maxLength: 4 });

function withoutTrailingUndefined(args: readonly unknown[]): readonly unknown[] {
  return args.at(-1) === undefined && args.length > 0 ? withoutTrailingUndefined(args.slice(0, -1)) : args;
}

const equal = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  isDeepStrictEqual(withoutTrailingUndefined(a), withoutTrailingUndefined(b));

/** The same content, written down the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value instanceof Map) {
    return new Map([...value].toReversed().map(([key, item]) => [key, reversed(item)] as const));
  }
  if (value instanceof Set) return new Set([...value].toReversed());
  if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return ownProperties(
      Object.entries(value)
        .toReversed()
        .map(([name, item]) => [name, reversed(item)] as const),
    );
  }
  return value;
}

const keyOf = (
  {
    key,
    ...rest
  }: {
    domain: string;
    key: unknown;
    name?: string | undefined;
    partition?: string | undefined;
    principal?: string | undefined;
  },
  hide?: HideSegment,
) => entryKey({ ...rest, segment: keySegment(key) }, hide);
const hide = keyedHiding(createSecretKey(Buffer.alloc(32, 7)), 'd');

describe('derived keys', () => {
  it('are equal exactly for equal arguments, among confusable ones', () => {
    let same = 0;
    fc.assert(
      fc.property(tinyArgs, tinyArgs, (a, b) => {
        const equalArgs = equal(a, b);
        if (equalArgs) same++;
        expect(derived(a) === derived(b)).toBe(equalArgs);
      }),
      { numRuns: 10_000 },
    );
    expect(same).toBeGreaterThan(20);
  });

  it('are equal exactly for equal arguments, among any', () => {
    fc.assert(
      fc.property(wideArgs, wideArgs, (a, b) => {
        expect(derived(a) === derived(b)).toBe(equal(a, b));
      }),
    );
  });

  it('do not depend on the order of properties, Map entries and Set members', () => {
    fc.assert(
      fc.property(fc.oneof(tinyArgs, wideArgs), (args) => {
        expect(derived(args.map(reversed))).toBe(derived(args));
      }),
      { numRuns: 500 },
    );
  });

  it('change with any one leaf', () => {
    fc.assert(
      fc.property(wideArgs, wide, wide, fc.nat(3), (args, a, b, position) => {
        const at = Math.min(position, args.length);
        const withLeaf = (leaf: unknown) => derived(args.toSpliced(at, 0, { nested: [leaf] }));
        expect(withLeaf(a) === withLeaf(b)).toBe(isDeepStrictEqual(a, b));
      }),
      { numRuns: 500 },
    );
  });
});

describe('every key', () => {
  it('is bounded and of a safe alphabet, or refused with a code', () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withSet: true,
          withTypedArray: true,
          withSparseArray: true,
          withBoxedValues: true,
          withNullPrototype: true,
        }),
        fc.option(anyText, { nil: undefined }),
        fc.option(anyText, { nil: undefined }),
        fc.option(anyText, { nil: undefined }),
        (key, name, partition, principal) => {
          let segment: string;
          try {
            segment = keySegment(key);
          } catch (error) {
            expect(error).toBeInstanceOf(CacheGuardError);
            expect((error as CacheGuardError).code).toBe('CG_UNUSABLE_KEY');
            return;
          }
          expect(segment).toMatch(/^[snibh]\.[A-Za-z0-9_.-]{1,43}$/);
          for (const hiding of [undefined, hide]) {
            const whole = entryKey({ domain: 'd'.repeat(64), name, partition, principal, segment }, hiding);
            expect(whole.length).toBeLessThan(300);
            expect(whole).toMatch(/^[A-Za-z0-9_.:-]+$/);
            expect(whole.split(':')).toHaveLength(principal === undefined ? 4 : 5);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('is another one for another domain, name, partition, principal or key, also where it is hidden', () => {
    const part = fc.option(fc.oneof(tinyText, anyText), { nil: undefined });
    const parts = fc.record(
      {
        domain: fc.constantFrom('a', 'b', 'ab', 's'),
        // A method's name is never empty; `''` stands for the domain's own space, as leaving it out does.
        name: part.map((name) => name || undefined),
        partition: part,
        principal: part,
        key: fc.oneof(tinyText, tiny).filter((key) => key !== '' && key !== null && key !== undefined && key === key),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        expect(keyOf(a) === keyOf(b)).toBe(isDeepStrictEqual(a, b));
        expect(keyOf(a, hide) === keyOf(b, hide)).toBe(isDeepStrictEqual(a, b));
      }),
      { numRuns: 2_000 },
    );
  });

  it('of a tag is bounded, safe and its own', () => {
    const tag = fc.oneof(tinyText, anyText).filter((text) => text !== '');
    fc.assert(
      fc.property(tag, tag, (a, b) => {
        expect(tagGeneration('d', a)).toMatch(/^t:d:[sh]\.[A-Za-z0-9_.-]{1,43}$/);
        expect(tagGeneration('d', a) === tagGeneration('d', b)).toBe(a === b);
      }),
    );
  });
});

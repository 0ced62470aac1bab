import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asInner, Inheritance, type InnerValue } from '../../../lib/core/composition.js';
import type { GenerationStamp } from '../../../lib/core/generations.js';
import { resolvePolicy } from '../../../lib/core/resolve-policy.js';
import { BEGAN, entryOf } from './fixtures.js';

const stamp = fc.record({ name: fc.constantFrom('d:a', 'd:b', 't:a:s.x'), value: fc.nat(100) });
const innerValue: fc.Arbitrary<InnerValue> = fc.record({
  domain: fc.constantFrom('a', 'b'),
  softMs: fc.nat(100),
  hardMs: fc.nat(100),
  whileRevalidateMs: fc.nat(100),
  ifErrorMs: fc.nat(100),
  stamps: fc.array(stamp, { maxLength: 3 }),
  uncacheable: fc.option(fc.constantFrom('asked', 'inner-critical', 'inner-private'), { nil: undefined, freq: 3 }),
});
const innerValues = fc.array(innerValue, { maxLength: 5 });

const sorted = (stamps: readonly GenerationStamp[]) => stamps.toSorted((a, b) => a.name.localeCompare(b.name));

/** All that decides; of several reasons against keeping, the first is told. */
function bounds(values: readonly InnerValue[], own: readonly GenerationStamp[] = []) {
  const inheritance = new Inheritance();
  for (const value of values) inheritance.add(value);
  const { softMs, hardMs, whileRevalidateMs, ifErrorMs, uncacheable } = inheritance;
  return {
    numbers: { softMs, hardMs, whileRevalidateMs, ifErrorMs },
    cacheable: uncacheable === undefined,
    stamps: sorted(inheritance.stamps(own)),
  };
}

describe('Inheritance', () => {
  it('asks nothing when nothing was read', () => {
    const numbers = { softMs: Infinity, hardMs: Infinity, whileRevalidateMs: Infinity, ifErrorMs: Infinity };
    expect(bounds([])).toEqual({ numbers, cacheable: true, stamps: [] });
    expect(bounds([], [{ name: 'd:a', value: 5 }]).stamps).toEqual([{ name: 'd:a', value: 5 }]);
  });

  it('does not depend on the order of what was read', () => {
    fc.assert(
      fc.property(
        innerValues.chain((values) =>
          fc.tuple(fc.constant(values), fc.shuffledSubarray(values, { minLength: values.length })),
        ),
        ([values, shuffled]) => {
          expect(bounds(shuffled)).toEqual(bounds(values));
        },
      ),
    );
  });

  it('does not count twice what was read twice', () => {
    fc.assert(
      fc.property(innerValues, (values) => {
        expect(bounds([...values, ...values])).toEqual(bounds(values));
      }),
    );
  });

  it('only ever gets stricter', () => {
    fc.assert(
      fc.property(innerValues, innerValue, fc.array(stamp), (values, more, own) => {
        const before = bounds(values, own);
        const after = bounds([...values, more], own);
        for (const name of ['softMs', 'hardMs', 'whileRevalidateMs', 'ifErrorMs'] as const) {
          expect(after.numbers[name]).toBe(Math.min(before.numbers[name], more[name]));
        }
        expect(after.cacheable).toBe(before.cacheable && more.uncacheable === undefined);
        const stamps = new Map(after.stamps.map(({ name, value }) => [name, value]));
        for (const { name, value } of [...before.stamps, ...more.stamps, ...own]) {
          expect(stamps.get(name)).toBeLessThanOrEqual(value);
        }
        expect(after.stamps).toHaveLength(stamps.size);
      }),
    );
  });

  it('tells the first reason against keeping', () => {
    const inheritance = new Inheritance();
    const read: InnerValue = {
      domain: 'a',
      softMs: 1,
      hardMs: 1,
      whileRevalidateMs: 0,
      ifErrorMs: 0,
      stamps: [],
      uncacheable: undefined,
    };
    inheritance.add(read);
    inheritance.add({ ...read, domain: 'b', uncacheable: 'inner-critical' });
    inheritance.add({ ...read, domain: 'c', uncacheable: 'asked' });
    expect(inheritance.uncacheable).toEqual({ reason: 'inner-critical', domain: 'b' });
  });
});

describe('asInner', () => {
  const outer = resolvePolicy('outer', { freshness: 'reference' });
  const inner = resolvePolicy('inner', {
    freshness: 'experience',
    softTtl: '20s',
    hardTtl: '2m',
    stalePolicy: { whileRevalidate: '30s', ifError: '1m' },
  });
  const entry = entryOf({ stamps: [{ name: 'd:inner', value: 5 }] });

  it('asks for the stricter of what its entry and its policy bound', () => {
    expect(asInner(inner, entry, outer)).toEqual({
      domain: 'inner',
      softMs: BEGAN + 20_000,
      hardMs: BEGAN + 120_000,
      whileRevalidateMs: 30_000,
      ifErrorMs: 60_000,
      stamps: entry.stamps,
      uncacheable: undefined,
    });
    const strict = entryOf({ softMs: BEGAN + 1, hardMs: BEGAN + 2, whileRevalidateMs: 3, ifErrorMs: 4 });
    expect(asInner(inner, strict, outer)).toMatchObject({
      softMs: BEGAN + 1,
      hardMs: BEGAN + 2,
      whileRevalidateMs: 3,
      ifErrorMs: 4,
    });
  });

  it('is stale since when it was served stale', () => {
    expect(asInner(inner, entry, outer, BEGAN + 7.9).softMs).toBe(BEGAN + 7);
  });

  it('cannot be contained where nothing vouches for it', () => {
    const critical = resolvePolicy('inner', { freshness: 'critical' });
    const personal = resolvePolicy('inner', { freshness: 'experience', partition: () => 'me' });
    const own = resolvePolicy('inner', { freshness: 'experience', scope: 'private' });
    const validated = resolvePolicy('inner', {
      freshness: 'experience',
      stalePolicy: 'validate',
      probe: () => Promise.resolve(1n),
    });
    expect(asInner(critical, entry, outer).uncacheable).toBe('inner-critical');
    expect(asInner(personal, entry, outer).uncacheable).toBe('inner-private');
    expect(asInner(personal, entry, { ...outer, partition: personal.partition }).uncacheable).toBeUndefined();
    expect(asInner(own, entry, outer).uncacheable).toBe('inner-private');
    expect(asInner(own, entry, outer, undefined, true).uncacheable).toBe('inner-private');
    expect(asInner(own, entry, own, undefined, false).uncacheable).toBe('inner-private');
    expect(asInner(own, entry, own, undefined, true).uncacheable).toBeUndefined();
    expect(asInner(inner, entry, own, undefined, false).uncacheable).toBeUndefined();
    expect(asInner(validated, entry, outer).uncacheable).toBe('inner-uncacheable');
    expect(asInner(inner, undefined, outer)).toMatchObject({ softMs: 0, hardMs: 0, uncacheable: 'inner-uncacheable' });
  });
});

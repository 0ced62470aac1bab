import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { driftOf, stampsOf, type Drift, type Generation, type GenerationStamp } from '../../../lib/core/generations.js';

const generation = (value: number, removed = 0): Generation => ({ value, removed });
const current = (seen: Record<string, Generation | undefined>) => new Map(Object.entries(seen));

describe('driftOf', () => {
  const stamps: GenerationStamp[] = [
    { name: 'd:offers', value: 5_000 },
    { name: 't:offers:gold', value: 7_000 },
  ];

  it.each<[string, Record<string, Generation | undefined>, Drift]>([
    ['nothing moved', { 'd:offers': generation(5_000), 't:offers:gold': generation(7_000) }, { kind: 'none' }],
    ['an older reading', { 'd:offers': generation(4_000), 't:offers:gold': generation(0) }, { kind: 'none' }],
    [
      'an old removal',
      { 'd:offers': generation(5_000, 5_000), 't:offers:gold': generation(7_000, 1) },
      { kind: 'none' },
    ],
    ['one moved', { 'd:offers': generation(9_999), 't:offers:gold': generation(7_000) }, { kind: 'expired', atMs: 9 }],
    [
      'two moved: the first counts',
      { 'd:offers': generation(9_000), 't:offers:gold': generation(8_000) },
      { kind: 'expired', atMs: 8 },
    ],
    [
      'moved by one',
      { 'd:offers': generation(5_001), 't:offers:gold': generation(7_000) },
      { kind: 'expired', atMs: 5 },
    ],
    ['removed', { 'd:offers': generation(5_000), 't:offers:gold': generation(7_001, 7_001) }, { kind: 'removed' }],
    [
      'removed, then expired',
      { 'd:offers': generation(9_000, 6_000), 't:offers:gold': generation(7_000) },
      { kind: 'removed' },
    ],
    ['one is lost', { 'd:offers': generation(5_000), 't:offers:gold': undefined }, { kind: 'unknown' }],
    ['one is missing', { 'd:offers': generation(5_000) }, { kind: 'unknown' }],
    ['lost and expired', { 'd:offers': undefined, 't:offers:gold': generation(9_000) }, { kind: 'unknown' }],
    ['lost and removed', { 'd:offers': undefined, 't:offers:gold': generation(9_000, 9_000) }, { kind: 'removed' }],
    ['removed and lost', { 'd:offers': generation(9_000, 9_000), 't:offers:gold': undefined }, { kind: 'removed' }],
  ])('%s', (_, seen, drift) => {
    expect(driftOf(stamps, current(seen))).toEqual(drift);
  });

  it('is none without stamps', () => {
    expect(driftOf([], current({ 'd:offers': generation(9, 9) }))).toEqual({ kind: 'none' });
  });

  const names = ['a', 'b', 'c'];
  const moves = fc
    .record({ value: fc.nat(20_000), removed: fc.nat(20_000) })
    .map(({ value, removed }) => generation(Math.max(value, removed), removed));
  const now = fc
    .tuple(...names.map(() => fc.option(moves, { nil: undefined })))
    .map((values) => new Map(names.map((name, i) => [name, values[i]] as const)));
  const stamped = fc.array(fc.record({ name: fc.constantFrom(...names), value: fc.nat(20_000) }), { maxLength: 4 });
  const RANK = { none: 0, expired: 1, unknown: 2, removed: 3 };

  it('is the strictest drift of its stamps, in whatever order', () => {
    fc.assert(
      fc.property(stamped, now, (some, seen) => {
        const each = some.map((stamp) => driftOf([stamp], seen));
        const whole = driftOf(some, seen);
        expect(RANK[whole.kind]).toBe(Math.max(0, ...each.map(({ kind }) => RANK[kind])));
        expect(driftOf(some.toReversed(), seen)).toEqual(whole);
        if (whole.kind === 'expired') {
          expect(whole.atMs).toBe(Math.min(...each.map((drift) => (drift.kind === 'expired' ? drift.atMs : Infinity))));
        }
      }),
    );
  });

  it('is none for what was stamped with what is seen', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), moves), (seen) => {
        expect(driftOf(stampsOf(current(seen)), current(seen))).toEqual({ kind: 'none' });
      }),
    );
  });

  it('never gets weaker when a generation moves on', () => {
    fc.assert(
      fc.property(stamped, now, fc.constantFrom(...names), fc.boolean(), (some, seen, name, removes) => {
        const later = new Map(seen);
        const value = 20_001;
        if (seen.get(name)) later.set(name, generation(value, removes ? value : seen.get(name)!.removed));
        expect(RANK[driftOf(some, later).kind]).toBeGreaterThanOrEqual(RANK[driftOf(some, seen).kind]);
      }),
    );
  });
});

describe('stampsOf', () => {
  it('stamps a generation that could not be had as older than any', () => {
    const stamps = stampsOf(current({ a: generation(5, 3), b: undefined }));
    expect(stamps).toEqual([
      { name: 'a', value: 5 },
      { name: 'b', value: 0 },
    ]);
    expect(driftOf(stamps, current({ a: generation(5, 3), b: generation(1) }))).toEqual({ kind: 'expired', atMs: 0 });
  });
});

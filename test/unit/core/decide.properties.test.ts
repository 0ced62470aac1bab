import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, type Decision, type EntryView, type Doubt } from '../../../lib/core/decide.js';
import { FLAG, type Entry } from '../../../lib/core/entry.js';
import type { Drift } from '../../../lib/core/generations.js';
import type { Policy } from '../../../lib/core/policy.js';
import { resolvePolicy } from '../../../lib/core/resolve-policy.js';
import { BEGAN, entryOf } from './fixtures.js';

/** Short spans, so that every edge is hit often. */
const span = fc.nat(40);
const time = fc.integer({ min: -5, max: 60 }).map((ms) => BEGAN + ms);

const base = resolvePolicy('offers', { freshness: 'experience' });

function policyOf(
  keep: Policy['keep'],
  [soft, hard, swr, sie]: readonly number[],
  negative: number | undefined,
): Policy {
  const softTtlMs = Math.min(soft!, hard!) + 1;
  const hardTtlMs = Math.max(soft!, hard!) + 1;
  const room = keep === 'entry' ? hardTtlMs - softTtlMs : 0;
  const ifErrorMs = Math.min(Math.max(swr!, sie!), room);
  const whileRevalidateMs = Math.min(swr!, room);
  return {
    ...base,
    keep,
    softTtlMs,
    hardTtlMs,
    whileRevalidateMs,
    ifErrorMs,
    staleAllowed: ifErrorMs > 0,
    negativeTtlMs: negative && Math.min(negative, softTtlMs),
  };
}

const policy = fc
  .tuple(
    fc.constantFrom<Policy['keep'][]>('entry', 'entry', 'entry', 'validated', 'nothing'),
    fc.tuple(span, span, fc.oneof(span, fc.constant(0)), fc.oneof(span, fc.constant(0))),
    fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined }),
  )
  .map(([keep, spans, negative]) => policyOf(keep, spans, negative));

const flags = fc
  .subarray([FLAG.negative, FLAG.thrown, FLAG.marked, FLAG.versioned, FLAG.plain, FLAG.removed, FLAG.hitForMiss], {
    maxLength: 2,
  })
  .map((set) => set.reduce((all, flag) => all | flag, 0));

const entry: fc.Arbitrary<Entry> = fc.tuple(flags, span, span, span, span).map(([set, soft, hard, swr, sie]) =>
  entryOf({
    flags: set,
    softMs: BEGAN + Math.min(soft, hard),
    hardMs: BEGAN + Math.max(soft, hard),
    whileRevalidateMs: swr,
    ifErrorMs: Math.max(swr, sie),
  }),
);

const drift: fc.Arbitrary<Drift> = fc.oneof(
  { arbitrary: fc.constant<Drift>({ kind: 'none' }), weight: 4 },
  { arbitrary: time.map((atMs): Drift => ({ kind: 'expired', atMs })), weight: 3 },
  { arbitrary: fc.constantFrom<Drift[]>({ kind: 'unknown' }, { kind: 'removed' }), weight: 1 },
);

const found: fc.Arbitrary<EntryView> = fc.record({
  entry,
  drift,
  doubt: fc.oneof(
    { arbitrary: fc.constant(undefined), weight: 4 },
    { arbitrary: fc.constantFrom<Doubt[]>('epoch', 'settling', 'store-unavailable'), weight: 2 },
  ),
});

const RUNS = { numRuns: 3_000 };

/** How much of the old value a decision gives away: 0 fresh, 1 stale, 2 in place of a failed load, 3 nothing. */
function rank(decision: Decision): number {
  switch (decision.kind) {
    case 'serve':
      return decision.stale ? 1 : 0;
    case 'validate':
      return 1;
    case 'load':
      return decision.fallbackUntilMs === undefined ? 3 : 2;
    default:
      return 3;
  }
}

const fallbackUntil = (decision: Decision): number =>
  decision.kind === 'load' ? (decision.fallbackUntilMs ?? -Infinity) : Infinity;

const strictest = (a: Policy, b: Policy): Policy => ({
  ...a,
  softTtlMs: Math.min(a.softTtlMs, b.softTtlMs),
  hardTtlMs: Math.min(a.hardTtlMs, b.hardTtlMs),
  whileRevalidateMs: Math.min(a.whileRevalidateMs, b.whileRevalidateMs),
  ifErrorMs: Math.min(a.ifErrorMs, b.ifErrorMs),
  staleAllowed: Math.min(a.ifErrorMs, b.ifErrorMs) > 0,
  negativeTtlMs: Math.min(a.negativeTtlMs ?? 0, b.negativeTtlMs ?? 0) || undefined,
});

describe('decide, whatever is found', () => {
  it('gives nothing away at or past the hard TTL, of the entry or of the policy', () => {
    fc.assert(
      fc.property(found, policy, time, (view, of, nowMs) => {
        const decision = decide(view, of, nowMs);
        const hardMs = Math.min(view.entry.hardMs, view.entry.beganMs + of.hardTtlMs);
        if (nowMs >= hardMs && decision.kind !== 'pass') expect(rank(decision)).toBe(3);
        if (rank(decision) === 2) {
          expect(fallbackUntil(decision)).toBeGreaterThan(nowMs);
          expect(fallbackUntil(decision)).toBeLessThanOrEqual(hardMs);
        }
      }),
      RUNS,
    );
  });

  it('gives a reader who never takes stale values only what is fresh beyond doubt', () => {
    const strict = policy.filter(({ staleAllowed }) => !staleAllowed);
    fc.assert(
      fc.property(found, strict, time, (view, of, nowMs) => {
        const decision = decide(view, of, nowMs);
        if (rank(decision) === 3) return;
        expect(['serve', 'validate']).toContain(decision.kind);
        expect(view.drift.kind).toBe('none');
        expect(view.doubt).toBeUndefined();
        expect(view.entry.flags & (FLAG.marked | FLAG.removed)).toBe(0);
        expect(nowMs).toBeGreaterThanOrEqual(view.entry.beganMs);
        if (decision.kind === 'validate') {
          expect(of.keep).toBe('validated');
          return;
        }
        expect(decision).toMatchObject({ stale: false, refresh: false });
        expect(nowMs).toBeLessThan(Math.min(view.entry.softMs, view.entry.beganMs + of.softTtlMs));
      }),
      RUNS,
    );
  });

  it('calls nothing fresh that was invalidated, may have been, or is past a soft TTL', () => {
    fc.assert(
      fc.property(found, policy, time, (view, of, nowMs) => {
        const decision = decide(view, of, nowMs);
        if (decision.kind !== 'serve' || decision.stale) return;
        expect([view.drift.kind, view.doubt, view.entry.flags & (FLAG.marked | FLAG.removed)]).toEqual([
          'none',
          undefined,
          0,
        ]);
        const ttlMs = view.entry.flags & FLAG.negative ? (of.negativeTtlMs ?? 0) : of.softTtlMs;
        expect(nowMs).toBeLessThan(Math.min(view.entry.softMs, view.entry.beganMs + ttlMs));
      }),
      RUNS,
    );
  });

  it('keeps to the stricter of the windows of writer and reader', () => {
    fc.assert(
      fc.property(found, policy, time, (view, of, nowMs) => {
        const decision = decide(view, of, nowMs);
        if (decision.kind !== 'serve') return;
        expect(decision.ageMs).toBe(nowMs - view.entry.beganMs);
        // A doubt that time or the store's return will settle needs no load before the soft TTL is over.
        const naturalMs = Math.min(view.entry.softMs, view.entry.beganMs + of.softTtlMs);
        const passes = view.doubt === 'settling' || view.doubt === 'store-unavailable';
        const invalidated = view.drift.kind === 'expired' || (view.entry.flags & FLAG.marked) !== 0;
        expect(decision.refresh).toBe(decision.stale && !(passes && !invalidated && nowMs < naturalMs));
        expect(decision.staleMs).toBeGreaterThanOrEqual(0);
        if (!decision.stale) expect(decision.staleMs).toBe(0);
        else expect(decision.staleMs).toBeLessThan(Math.min(view.entry.whileRevalidateMs, of.whileRevalidateMs));
      }),
      RUNS,
    );
  });

  it('gives a stricter reader no more', () => {
    fc.assert(
      fc.property(found, policy, policy, time, (view, a, b, nowMs) => {
        const lenient = decide(view, a, nowMs);
        const strict = decide(view, strictest(a, b), nowMs);
        expect(rank(strict)).toBeGreaterThanOrEqual(rank(lenient));
        expect(fallbackUntil(strict)).toBeLessThanOrEqual(fallbackUntil(lenient));
      }),
      RUNS,
    );
  });

  it('gives no more of an entry whose writer was stricter', () => {
    fc.assert(
      fc.property(found, entry, policy, time, (view, other, of, nowMs) => {
        const strict: Entry = {
          ...view.entry,
          softMs: Math.min(view.entry.softMs, other.softMs),
          hardMs: Math.min(view.entry.hardMs, other.hardMs),
          whileRevalidateMs: Math.min(view.entry.whileRevalidateMs, other.whileRevalidateMs),
          ifErrorMs: Math.min(view.entry.ifErrorMs, other.ifErrorMs),
        };
        expect(rank(decide({ ...view, entry: strict }, of, nowMs))).toBeGreaterThanOrEqual(
          rank(decide(view, of, nowMs)),
        );
      }),
      RUNS,
    );
  });

  it('gives no more in a world that moved on or was lost', () => {
    fc.assert(
      fc.property(found, policy, time, (view, of, nowMs) => {
        const rankOf = (change: Partial<EntryView>) => rank(decide({ ...view, ...change }, of, nowMs));
        const whole = rankOf({});
        expect(whole).toBeGreaterThanOrEqual(rankOf({ doubt: undefined }));
        expect(whole).toBeGreaterThanOrEqual(rankOf({ drift: { kind: 'none' } }));
        const unmarked = { ...view.entry, flags: view.entry.flags & ~(FLAG.marked | FLAG.removed) };
        expect(whole).toBeGreaterThanOrEqual(rankOf({ entry: unmarked }));
      }),
      RUNS,
    );
  });

  it('only ever gives less as time goes by: fresh, stale, in place of a failure, nothing', () => {
    fc.assert(
      fc.property(found, policy, (view, of) => {
        let last = 0;
        for (let nowMs = BEGAN; nowMs < BEGAN + 60; nowMs++) {
          const now = rank(decide(view, of, nowMs));
          expect(now).toBeGreaterThanOrEqual(last);
          last = now;
        }
        expect(last).toBe(3);
      }),
    );
  });

  it('keeps nothing for no-store, and gives nothing of what is removed or from the future', () => {
    fc.assert(
      fc.property(found, policy, time, (view, of, nowMs) => {
        const decision = decide(view, of, nowMs);
        const cause = decision.kind === 'load' ? decision.cause : undefined;
        if (of.keep === 'nothing') expect(cause).toBe('no-store');
        else if (view.entry.flags & FLAG.removed || view.drift.kind === 'removed') expect(cause).toBe('invalidated');
        else if (nowMs < view.entry.beganMs) expect(cause).toBe('future');
        else return;
        expect(rank(decision)).toBe(3);
      }),
      RUNS,
    );
  });

  it('does not change what it was given', () => {
    fc.assert(
      fc.property(found, policy, time, (view, of, nowMs) => {
        const frozen = Object.freeze({ ...view, entry: Object.freeze(view.entry), drift: Object.freeze(view.drift) });
        expect(decide(frozen, Object.freeze(of), nowMs)).toEqual(decide(frozen, of, nowMs));
      }),
    );
  });
});

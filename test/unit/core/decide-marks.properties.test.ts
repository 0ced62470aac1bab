import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { decide, type EntryView } from '../../../lib/core/decide.js';
import { FLAG } from '../../../lib/core/entry.js';
import { resolvePolicy } from '../../../lib/core/resolve-policy.js';
import type { WriteMark } from '../../../lib/core/write-marks.js';
import { BEGAN, entryOf } from './fixtures.js';

const TTLS = { freshness: 'experience', softTtl: 20, hardTtl: 60, negativeTtl: 10 } as const;
const probe = async () => 1n;

const policy = fc.constantFrom(
  ...(['never', 'if-error', 'while-revalidate'] as const).map((stalePolicy) =>
    resolvePolicy('offers', { ...TTLS, stalePolicy }),
  ),
  resolvePolicy('offers', { ...TTLS, stalePolicy: 'validate', probe }),
  resolvePolicy('offers', { freshness: 'experience', stalePolicy: 'no-store' }),
);

const view: fc.Arbitrary<EntryView> = fc.record({
  entry: fc
    .tuple(fc.constantFrom(0, FLAG.negative, FLAG.marked, FLAG.hitForMiss, FLAG.removed), fc.nat(20), fc.nat(70))
    .map(([flags, soft, hard]) => entryOf({ flags, softMs: BEGAN + soft, hardMs: BEGAN + hard })),
  drift: fc.constantFrom({ kind: 'none' } as const, { kind: 'expired', atMs: BEGAN + 5 } as const),
  doubt: fc.constantFrom(undefined, 'epoch' as const, 'settling' as const),
});

const mark: fc.Arbitrary<WriteMark> = fc.record({
  atMs: fc.integer({ min: BEGAN - 2, max: BEGAN + 80 }),
  pendingMs: fc.oneof(fc.constant(-Infinity), fc.integer({ min: BEGAN - 2, max: BEGAN + 80 })),
});
const now = fc.integer({ min: BEGAN, max: BEGAN + 80 });

it('a writer is shown nothing stale from before his write, and nothing at all from before one that is pending', () => {
  fc.assert(
    fc.property(view, policy, now, mark, (found, reader, nowMs, own) => {
      const decision = decide(found, reader, nowMs, own);
      const { beganMs } = found.entry;
      if (beganMs < Math.max(own.atMs, own.pendingMs)) {
        expect(decision.kind === 'serve' && decision.stale).toBe(false);
        expect(decision.kind === 'load' ? decision.fallbackUntilMs : undefined).toBeUndefined();
      }
      if (beganMs < own.pendingMs) expect(decision.kind).not.toBe('serve');
    }),
    { numRuns: 2_000 },
  );
});

it('what was loaded since, and what the store calls fresh after a write that it knows of, is his as it is everybody’s', () => {
  fc.assert(
    fc.property(view, policy, now, mark, (found, reader, nowMs, own) => {
      const others = decide(found, reader, nowMs);
      const { beganMs } = found.entry;
      const since = beganMs >= Math.max(own.atMs, own.pendingMs);
      const fresh = others.kind === 'serve' && !others.stale && beganMs >= own.pendingMs;
      if (since || fresh || others.kind === 'validate' || others.kind === 'pass') {
        expect(decide(found, reader, nowMs, own)).toEqual(others);
      }
    }),
    { numRuns: 2_000 },
  );
});

it.each([undefined, 'corrupt', 'schema'] as const)('a mark changes nothing about %s', (found) => {
  const reader = resolvePolicy('offers', TTLS);
  expect(decide(found, reader, BEGAN, { atMs: BEGAN + 1, pendingMs: BEGAN + 1 })).toEqual(decide(found, reader, BEGAN));
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolvePolicy } from '../../../lib/core/resolve-policy.js';
import { Trust } from '../../../lib/core/trust.js';
import type { GuardedCall } from '../../../lib/engine/call.js';
import { NearCache } from '../../../lib/engine/near-cache.js';
import type { Snapshot } from '../../../lib/engine/snapshot.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { BEGAN, entryOf } from '../core/fixtures.js';

const policy = resolvePolicy('catalog', { freshness: 'reference', softTtl: '30s', hardTtl: '10m', jitter: 0 });

/** What a read says now; its id is the place of its command in the order of everything that happened. */
function reply(clock: FakeClock, place: number, tag: string): Snapshot {
  const id = place.toString(16).padStart(16, '0');
  // The store answers in the order of the commands: a later one never sees an older value.
  const entry = entryOf({ id, beganMs: BEGAN - 1_000 + place, stamps: [{ name: tag, value: 1 }] });
  return {
    found: { entry, drift: { kind: 'none' }, doubt: undefined },
    nowMs: clock.wall(),
    readAt: { monotonic: clock.monotonic(), wall: clock.wall() },
    tier: 'l2',
    id,
    bytes: entry.payload.length,
    unpack: () => ({ bytes: entry.payload.length, take: () => 'value' }),
  };
}

describe('memory of this process (properties)', () => {
  type Step = {
    readonly kind: 'take' | 'give' | 'drop' | 'move' | 'lost' | 'beat' | 'pass';
    readonly key: number;
    readonly tag: number;
    readonly ms: number;
  };
  const step: fc.Arbitrary<Step> = fc.record({
    kind: fc.constantFrom(
      'take',
      'take',
      'take',
      'give',
      'give',
      'give',
      'drop',
      'move',
      'lost',
      'beat',
      'beat',
      'pass',
    ),
    key: fc.nat(2),
    tag: fc.nat(1),
    ms: fc.nat(400),
  });
  const tagOf = (i: number) => `t:catalog:s.${i}`;
  const keyOf = (i: number) => ({ key: `catalog:::s.${i}`, policy }) as GuardedCall;

  it('whatever happens in whatever order, what is fresh is of a command sent after the last signal about it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const clock = new FakeClock(BEGAN);
        const trust = new Trust(clock);
        const near = new NearCache(clock, trust, { remote: true });
        let beats = 0;
        let place = 0;
        const told = new Map<string, number>();
        let lostAt = 0;
        let provenSinceLoss = false;
        /** Commands under way: what they will say, and when they were sent. */
        const underway: { ticket: ReturnType<NearCache['ticket']>; key: number; tag: number; place: number }[] = [];
        for (const { kind, key, tag, ms } of steps) {
          place++;
          if (kind === 'take') underway.push({ ticket: near.ticket(keyOf(key)), key, tag, place });
          if (kind === 'give') {
            const sent = underway.shift();
            if (sent) near.fill(sent.ticket, keyOf(sent.key), reply(clock, sent.place, tagOf(sent.tag)));
          }
          if (kind === 'drop') {
            near.drop(keyOf(key).key);
            told.set(`k${key}`, place);
          }
          if (kind === 'move') {
            near.dropCarriers(tagOf(tag));
            told.set(tagOf(tag), place);
          }
          if (kind === 'lost') {
            trust.lost();
            lostAt = place;
            provenSinceLoss = false;
          }
          if (kind === 'beat') {
            trust.send(++beats);
            trust.heard(beats);
            if (!provenSinceLoss) lostAt = place;
            provenSinceLoss = true;
          }
          if (kind === 'pass') clock.advance(ms);
          for (let i = 0; i < 3; i++) {
            const fresh = near.fresh(keyOf(i));
            if (!fresh || typeof fresh.seen.found !== 'object') continue;
            const sent = Number.parseInt(fresh.seen.id, 16);
            const [stamp] = fresh.seen.found.entry.stamps;
            expect(sent).toBeGreaterThan(told.get(`k${i}`) ?? 0);
            expect(sent).toBeGreaterThan(told.get(stamp!.name) ?? 0);
            expect(sent).toBeGreaterThan(lostAt);
            expect(provenSinceLoss).toBe(true);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

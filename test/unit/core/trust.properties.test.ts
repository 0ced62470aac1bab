import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Trust, TRUST_MS } from '../../../lib/core/trust.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';

type Step =
  | { readonly kind: 'send' | 'lost' }
  | { readonly kind: 'heard' | 'unsent'; readonly back: number }
  | { readonly kind: 'pass' | 'suspend'; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: 'send' } as const) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('heard' as const), back: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('unsent' as const), back: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'lost' } as const) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(600) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('suspend' as const), ms: fc.nat(1_200) }) },
);

interface Sent {
  readonly atMs: number;
  /** In the order of everything that happened. */
  readonly place: number;
}

/** Runs the steps, and tells after each what is true of the beats. */
function run(steps: readonly Step[], check: (trust: Trust, world: World) => void): void {
  const clock = new FakeClock();
  const trust = new Trust(clock);
  const world = new World(clock);
  for (const one of steps) {
    world.place++;
    switch (one.kind) {
      case 'send':
        trust.send(++world.last);
        world.sent.set(world.last, { atMs: world.nowMs, place: world.place });
        break;
      case 'heard':
      case 'unsent': {
        const beat = world.last - one.back;
        trust[one.kind](beat);
        if (one.kind === 'heard') world.hear(beat);
        else world.unsent.add(beat);
        break;
      }
      case 'lost':
        trust.lost();
        world.lostAt = world.place;
        break;
      case 'pass':
        clock.advance(one.ms);
        break;
      case 'suspend':
        clock.jumpWall(one.ms);
        break;
    }
    check(trust, world);
  }
}

class World {
  last = 0;
  place = 0;
  lostAt = 0;
  readonly sent = new Map<number, Sent>();
  readonly unsent = new Set<number>();
  readonly heard: (Sent & { readonly beat: number; readonly heardAt: number })[] = [];

  constructor(private readonly clock: FakeClock) {}

  /** Never slower than the monotonic clock here: it is only set forward. */
  get nowMs(): number {
    return this.clock.wall();
  }

  hear(beat: number): void {
    const sent = this.sent.get(beat);
    if (sent && !this.unsent.has(beat)) this.heard.push({ ...sent, beat, heardAt: this.place });
  }
}

describe('trust (properties)', () => {
  it('alive implies a beat that was heard, sent within TRUST_MS and since the last loss', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        run(steps, (trust, { heard, lostAt, nowMs }) => {
          if (!trust.alive) return;
          expect(heard.some(({ atMs, place }) => place > lostAt && nowMs - atMs < TRUST_MS)).toBe(true);
        });
      }),
      { numRuns: 500 },
    );
  });

  it('what was learnt at one moment is trusted later only if no signal can have been missed since', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), fc.nat(59), (steps, at) => {
        let learnt: { readonly era: number; readonly place: number } | undefined;
        run(steps, (trust, { place, lostAt, heard, sent, unsent }) => {
          const proofs = heard.filter((one) => one.place > lostAt);
          expect(trust.proven).toBe(proofs.length > 0);
          if (place === at + 1 && trust.proven) learnt = { era: trust.era, place };
          if (!learnt || place <= learnt.place || trust.era !== learnt.era || !trust.alive) return;
          expect(lostAt).toBeLessThanOrEqual(learnt.place);
          // Each beat that was sent since, and before the last one that was heard, has been heard or never left.
          const last = Math.max(...heard.map(({ beat }) => beat));
          for (const [beat, { place: sentAt }] of sent) {
            if (sentAt <= learnt.place || beat >= last || unsent.has(beat)) continue;
            expect(heard.some((one) => one.beat === beat)).toBe(true);
          }
        });
      }),
      { numRuns: 1_000 },
    );
  });
});

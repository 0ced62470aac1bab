import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Pace } from '../../../lib/core/pace.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';

function start() {
  const clock = new FakeClock();
  return { clock, pace: new Pace(clock) };
}

/** Waits for its turn and takes it; how long that took. */
function turn({ clock, pace }: ReturnType<typeof start>, perSecond: number): number {
  const { waitMs } = pace;
  clock.advance(waitMs);
  pace.take(perSecond);
  return waitMs;
}

describe('pace', () => {
  it('the first goes at once, the others follow evenly', () => {
    const one = start();
    expect([1, 2, 3, 4].map(() => turn(one, 10))).toEqual([0, 100, 100, 100]);
  });

  it('time that was not used is not saved up', () => {
    const one = start();
    turn(one, 10);
    one.clock.advance(10_000);
    expect([1, 2].map(() => turn(one, 10))).toEqual([0, 100]);
  });

  it('a timer that is a little late delays those that follow by nothing', () => {
    const { clock, pace } = start();
    pace.take(10);
    clock.advance(103);
    pace.take(10);
    expect(pace.waitMs).toBe(97);
  });

  it('a rate that changes holds from the next on', () => {
    const one = start();
    expect([10, 1, 10, 10].map((perSecond) => turn(one, perSecond))).toEqual([0, 100, 1_000, 100]);
  });

  it('without bound, nobody waits', () => {
    const one = start();
    expect([1, 2, 3].map(() => turn(one, Infinity))).toEqual([0, 0, 0]);
  });

  it('what has come to nothing gives its place back', () => {
    const { pace } = start();
    pace.take(10);
    pace.take(10);
    pace.giveBack(10);
    expect(pace.waitMs).toBe(100);
    pace.giveBack(10);
    expect(pace.waitMs).toBe(0);
  });

  it('who only tries takes no place that is not free', () => {
    const { pace, clock } = start();
    expect([pace.tryTake(10), pace.tryTake(10)]).toEqual([true, false]);
    clock.advance(99);
    expect(pace.tryTake(10)).toBe(false);
    clock.advance(1);
    expect([pace.tryTake(10), pace.tryTake(10)]).toEqual([true, false]);
  });

  it('is of the monotonic clock', () => {
    const { pace, clock } = start();
    pace.take(10);
    clock.jumpWall(3_600_000);
    expect(pace.tryTake(10)).toBe(false);
    clock.jumpWall(-7_200_000);
    clock.advance(100);
    expect(pace.tryTake(10)).toBe(true);
  });

  it('lets no more go in any span than its rate allows, one, and what late timers lost (property)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.array(fc.nat(250), { maxLength: 60 }), (rate, pauses) => {
        const { pace, clock } = start();
        const at: number[] = [];
        for (const ms of pauses) {
          clock.advance(ms);
          if (pace.tryTake(rate)) at.push(clock.monotonic());
        }
        for (const [i, from] of at.entries()) {
          for (const [j, to] of at.entries()) {
            if (j > i) expect(to - from).toBeGreaterThanOrEqual(((j - i) * 1_000) / rate - 5 - 1e-6);
          }
        }
      }),
    );
  });
});

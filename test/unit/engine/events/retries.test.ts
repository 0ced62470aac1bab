import { describe, expect, it } from 'vitest';
import type { Verdict } from '../../../../lib/core/event-source.js';
import { MAX_TRIES, Retries } from '../../../../lib/engine/events/retries.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';

const DONE: Verdict = { kind: 'done', outcome: 'applied' };
const RETRY: Verdict = { kind: 'retry', reason: 'it failed' };
const LATER: Verdict = { kind: 'later', reason: 'the store is away' };

/** Attempts with these verdicts, the last of them for ever; and when each was made. */
function attempts(clock: FakeClock, ...verdicts: Verdict[]) {
  const made: number[] = [];
  const attempt = async (): Promise<Verdict> => {
    made.push(clock.monotonic());
    return verdicts[Math.min(made.length, verdicts.length) - 1]!;
  };
  return { made, attempt };
}

describe('retries', () => {
  it.each<Verdict>([DONE, { kind: 'poison', reason: 'bad' }])('leave $kind alone', async (verdict) => {
    const clock = new FakeClock();
    const { made, attempt } = attempts(clock, verdict);
    expect(await new Retries(clock).settle(attempt)).toBe(verdict);
    expect(made).toHaveLength(1);
  });

  it('try a failed action with growing pauses, then say that it is poison', async () => {
    const clock = new FakeClock();
    const { made, attempt } = attempts(clock, RETRY);
    const settled = new Retries(clock).settle(attempt);
    await clock.run(100_000);
    expect(await settled).toEqual({ kind: 'poison', reason: 'failed 5 times; at last: it failed' });
    const pauses = made.slice(1).map((at, i) => at - made[i]!);
    expect(pauses).toEqual([100, 200, 400, 800]);
    expect(made).toHaveLength(MAX_TRIES);
  });

  it('wait for the store as long as it takes, and count no try', async () => {
    const clock = new FakeClock();
    const { made, attempt } = attempts(clock, ...Array.from({ length: 50 }, () => LATER), RETRY, DONE);
    const settled = new Retries(clock).settle(attempt);
    await clock.run(500_000);
    expect(await settled).toBe(DONE);
    expect(made).toHaveLength(52);
    expect(made.at(-1)! - made.at(-2)!).toBe(5_000);
  });

  it('leave the wait for the store to others if told so', async () => {
    const clock = new FakeClock();
    const { attempt } = attempts(clock, LATER);
    expect(await new Retries(clock).settle(attempt, { awaitStore: false })).toBe(LATER);
  });

  it('keep no more waiting than they may', async () => {
    const clock = new FakeClock();
    const retries = new Retries(clock);
    const { attempt } = attempts(clock, LATER);
    const first = retries.settle(attempt, { maxWaiting: 1 });
    await clock.run(1);
    expect(await retries.settle(attempt, { maxWaiting: 1 })).toBe(LATER);
    retries.close();
    expect(await first).toBe(LATER);
  });

  it('give up when they are closed, and leave no timer', async () => {
    const clock = new FakeClock();
    const retries = new Retries(clock);
    const { made, attempt } = attempts(clock, RETRY);
    const settled = retries.settle(attempt);
    await clock.run(1);
    retries.close();
    expect(await settled).toBe(RETRY);
    expect(await retries.settle(attempt)).toBe(RETRY);
    expect(made).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });
});

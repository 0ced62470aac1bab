import { FakeClock } from 'nestjs-cache-guard/testing';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../lib/adapters/system.js';
import { awaitedTimers } from '../../../lib/core/clock.js';
import { Deadlines } from '../../../lib/engine/deadlines.js';

const timeouts = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

describe('a timer of the machine', () => {
  it('keeps the process alive only if a caller waits for it', () => {
    const before = timeouts();
    const cancels = [systemClock.schedule(60_000, () => {})];
    expect(timeouts()).toBe(before);
    cancels.push(awaitedTimers(systemClock).schedule(60_000, () => {}));
    expect(timeouts()).toBe(before + 1);
    for (const cancel of cancels) cancel();
    expect(timeouts()).toBe(before);
  });
});

describe('a deadline', () => {
  it('that never comes is waited for all the same, and gives way to those that come', async () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(awaitedTimers(clock));
    const come: string[] = [];
    const callOff = deadlines.after(Infinity, () => come.push('never'));
    expect(clock.awaited).toBe(1);
    deadlines.after(10, () => come.push('10'));
    await clock.run(10);
    expect([come, clock.awaited]).toEqual([['10'], 1]);
    callOff();
    expect(clock.pending).toBe(0);
  });
});

import { expect, test } from 'vitest';
import { check, describe as describeBreach } from './checker.js';
import { scheduleOf, type Schedule, type Step } from './simulator/schedule.js';
import { simulate } from './simulator/simulate.js';

/** Two processes, a fast network and a source that never fails: nothing happens but what the steps say. */
function quiet(steps: readonly Step[]): Schedule {
  return {
    ...scheduleOf(1),
    processes: 2,
    lasting: true,
    spread: false,
    weather: { leastMs: 0.1, mostMs: 2, lost: 0, doubled: 0 },
    source: { failing: 0, slow: 0, hanging: 0 },
    steps,
  };
}

const OFFER = 2;

test('signals are lost and found again between two beats: what was read meanwhile is not trusted', async () => {
  // Wherever between two beats it happens.
  for (let cutMs = 1_000; cutMs < 1_300; cutMs += 20) {
    const steps: Step[] = [
      { atMs: 100, act: 'read', via: 'getOrLoad', by: [0], place: OFFER },
      { atMs: cutMs, act: 'cut', way: 'signals', by: 1, forMs: 20 },
      { atMs: cutMs + 5, act: 'read', via: 'getOrLoad', by: [1], place: OFFER },
      { atMs: cutMs + 30, act: 'change', by: 0, place: OFFER, scope: 'key', mode: 'expire', readers: [] },
      { atMs: cutMs + 1_200, act: 'read', via: 'getOrLoad', by: [1], place: OFFER },
    ];
    const { breaches } = check(await simulate(quiet(steps)));
    expect(breaches.map(describeBreach), `cut at ${cutMs} ms`).toEqual([]);
  }
});

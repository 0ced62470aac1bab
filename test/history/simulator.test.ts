import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { check, describe as told, nines } from './checker.js';
import { serialise } from './history.js';
import { scheduleOf } from './simulator/schedule.js';
import { simulate } from './simulator/simulate.js';

/** How many schedules, and one that is to be run alone: what a failure prints. */
const SEEDS = Number(process.env['CACHE_GUARD_SIM_SEEDS'] ?? 2_000);
const ONE = process.env['CACHE_GUARD_SIM_SEED'];
/** The first half is the same in every run. */
const FIXED_BASE = 1;
const RANDOM_BASE = Date.now() % 2 ** 31;

const replay = (seed: number): string =>
  `CACHE_GUARD_SIM_SEED=${seed} npx vitest run --project history test/history/simulator.test.ts`;

function seeds(): number[] {
  if (ONE !== undefined) return [Number(ONE)];
  const fixed = Math.ceil(SEEDS / 2);
  return Array.from({ length: SEEDS }, (_, index) =>
    index < fixed ? FIXED_BASE + index : RANDOM_BASE + (index - fixed),
  );
}

test(`no promise is broken in ${seeds().length} simulated histories`, { timeout: 1_800_000 }, async () => {
  const wrong: string[] = [];
  const counted = { reads: 0, loads: 0, invalidations: 0 };
  const from = performance.now();
  for (const seed of seeds()) {
    try {
      const report = check(await simulate(scheduleOf(seed)));
      counted.reads += report.reads;
      counted.loads += report.loads;
      counted.invalidations += report.invalidations;
      wrong.push(...report.breaches.map((breach) => `seed ${seed}: ${told(breach)}\n  ${replay(seed)}`));
    } catch (error) {
      wrong.push(`seed ${seed}: ${String(error)}\n  ${replay(seed)}`);
    }
    // Otherwise the runner would hear nothing of this file until its end.
    await setImmediate();
  }
  const { reads, loads, invalidations } = counted;
  console.info(
    `${seeds().length} histories (seeds from ${FIXED_BASE} and from ${RANDOM_BASE}) in ${Math.round(performance.now() - from)} ms: ` +
      `${reads} reads, ${loads} loads, ${invalidations} invalidations checked; ${nines(reads)} nines`,
  );
  expect(wrong.slice(0, 5).join('\n\n')).toBe('');
});

test('a seed gives the same history each time, byte for byte', async () => {
  for (const seed of [3, RANDOM_BASE]) {
    const once = serialise(await simulate(scheduleOf(seed)));
    expect(serialise(await simulate(scheduleOf(seed))), replay(seed)).toBe(once);
    expect(once.length).toBeGreaterThan(1_000);
  }
});

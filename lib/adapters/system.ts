import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.js';
import { ENTRY_ID_BYTES } from '../core/entry.js';
import type { Ids } from '../core/ids.js';

/** Node fires a longer timer at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * The machine's clocks and timers. A timer that nobody waits for does not keep the process alive: a cache must never be what holds up an
 * exit. One that a caller waits for does: without it Node would end in the middle of his `await`.
 */
export const systemClock: Clock = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  schedule(ms, run, awaited = false) {
    const timer = setTimeout(run, Math.min(ms, LONGEST_TIMER_MS));
    if (!awaited) timer.unref();
    return () => clearTimeout(timer);
  },
};

export function systemIds(): Ids {
  const process = randomBytes(9).toString('base64url');
  let attempts = 0;
  return {
    process,
    token: () => `${process}.${(++attempts).toString(36)}`,
    entryId: () => randomBytes(ENTRY_ID_BYTES).toString('hex'),
    random: () => Math.random(),
  };
}

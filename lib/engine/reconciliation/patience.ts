import type { Clock } from '../../core/clock.js';

/** What `work` gives; rejects with the signal's reason when that comes first, and does not wait for `work` then. */
export async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  // What comes of it later is nobody's concern.
  work.catch(() => {});
  try {
    return await Promise.race([aborted, work]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** @throws the signal's reason */
export async function rest(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  let cancel = () => {};
  try {
    await unlessAborted(signal, new Promise<void>((resolve) => (cancel = clock.schedule(ms, resolve))));
  } finally {
    cancel();
  }
}

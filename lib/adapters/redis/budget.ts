import type { Clock } from '../../core/clock.js';
import { CacheGuardStoreError } from '../../core/errors.js';

/**
 * The command's answer, or a `CacheGuardStoreError` once `ms` have passed. After a stall of this process an answer may lie unread
 * in the socket while the timer is due already: it is given one turn of the event loop to be read.
 */
export function withinBudget<T>(work: Promise<T>, what: string, ms: number, clock: Clock): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = clock.schedule(ms, () => {
      setImmediate(() => reject(unavailable(`${what} was not answered within ${ms} ms (commandTimeout)`)));
    });
    work.then(
      (answer) => {
        cancel();
        resolve(answer);
      },
      (error: unknown) => {
        cancel();
        reject(error instanceof CacheGuardStoreError ? error : unavailable(`${what} failed`, error));
      },
    );
  });
}

export function unavailable(what: string, cause?: unknown): CacheGuardStoreError {
  const reason = cause instanceof Error ? `: ${cause.message}` : '';
  return new CacheGuardStoreError('CG_STORE_UNAVAILABLE', `Redis: ${what}${reason}.`, { cause });
}

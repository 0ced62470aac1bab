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
  const reason = cause instanceof Error ? `: ${cause.message.replace(/\.$/, '')}` : '';
  return new CacheGuardStoreError('CG_STORE_UNAVAILABLE', `Redis: ${what}${reason}.`, { cause: bare(cause) });
}

/** ioredis hangs the command on its errors, with passwords and values among the arguments. */
function bare(cause: unknown): unknown {
  if (!(cause instanceof Error)) return undefined;
  const shown = new Error(cause.message);
  shown.name = cause.name;
  if (cause.stack !== undefined) shown.stack = cause.stack;
  return shown;
}

/** Whether a command failed because the server is not there or cannot serve: an error that it replied tells of the command. */
export function isOutage(error: unknown): boolean {
  const { cause } = error as { cause?: unknown };
  if (!(cause instanceof Error) || cause.name !== 'ReplyError') return true;
  return /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|BUSY)/.test(cause.message);
}

/** Whether a server of a cluster replied that a key lives elsewhere, or nowhere for now. */
export function isMoved(error: unknown): boolean {
  return error instanceof Error && /^(MOVED|ASK|CLUSTERDOWN)/.test(error.message);
}

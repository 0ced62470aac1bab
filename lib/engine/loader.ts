import { elapsedSince, instant, type Clock } from '../core/clock.js';

/** How one call of a loader ended, or was given up. */
export type LoadResult =
  | { readonly kind: 'value'; readonly value: unknown; readonly ms: number }
  | { readonly kind: 'threw'; readonly error: unknown; readonly ms: number }
  | { readonly kind: 'timeout'; readonly ms: number }
  | { readonly kind: 'aborted'; readonly ms: number };

export interface RunningLoad {
  readonly result: Promise<LoadResult>;
  /** The loader itself came to its end, which may be long after it was given up. Never rejects. */
  readonly settled: Promise<void>;
}

/**
 * Calls a loader and gives it up at its time-out or when `abort` is triggered, whichever comes first. Giving up aborts the signal that
 * the loader was handed, but cannot stop a loader that does not listen: `settled` says when it is really over.
 */
export function runLoad(
  load: () => Promise<unknown>,
  abort: AbortController,
  timeoutMs: number,
  timeoutReason: () => Error,
  clock: Clock,
): RunningLoad {
  const began = instant(clock);
  const ms = () => elapsedSince(began, clock);
  let end!: (result: LoadResult) => void;
  const given = new Promise<LoadResult>((resolve) => (end = resolve));

  const cancelTimer = clock.schedule(timeoutMs, () => {
    end({ kind: 'timeout', ms: ms() });
    abort.abort(timeoutReason());
  });
  const onAbort = () => {
    cancelTimer();
    end({ kind: 'aborted', ms: ms() });
  };
  abort.signal.addEventListener('abort', onAbort, { once: true });
  if (abort.signal.aborted) onAbort();

  const own = invoke(load).then(
    (value): LoadResult => ({ kind: 'value', value, ms: ms() }),
    (error: unknown): LoadResult => ({ kind: 'threw', error, ms: ms() }),
  );
  const settled = own.then((result) => {
    cancelTimer();
    abort.signal.removeEventListener('abort', onAbort);
    end(result);
  });
  return { result: given, settled };
}

/** A loader that throws before it returns its promise has failed like one whose promise rejects. */
async function invoke(load: () => Promise<unknown>): Promise<unknown> {
  return load();
}

import type { Clock } from '../../core/clock.js';
import type { Verdict } from '../../core/event-source.js';

/** How often an event whose action failed is tried before it is put aside. */
export const MAX_TRIES = 5;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

export interface RetryOptions {
  /** How many events may wait here at a time; one more is not tried again. Default: as many as come. */
  readonly maxWaiting?: number;
  /** Whether to wait for the return of the store, or to leave that to whoever delivers the event again. Default `true`. */
  readonly awaitStore?: boolean;
}

/**
 * Tries events again in this process, where nobody would deliver them again, or not soon. A failed action is tried 5 times in all, with
 * pauses of 100 ms, 200 ms, 400 ms and 800 ms; while the store is away no try counts, and a pause is at most 5 s.
 */
export class Retries {
  private readonly waiting = new Set<() => void>();
  private closed = false;

  constructor(private readonly clock: Clock) {}

  /**
   * Calls `attempt` until its verdict is `done` or `poison`. A failed action becomes `poison` after the last try. `retry` and `later` come
   * out where the options say so, and when this was closed: then the event has not been dealt with.
   */
  async settle(attempt: () => Promise<Verdict>, options: RetryOptions = {}): Promise<Verdict> {
    const { maxWaiting = Infinity, awaitStore = true } = options;
    for (let failures = 0, pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const verdict = await attempt();
      if (verdict.kind === 'done' || verdict.kind === 'poison') return verdict;
      if (verdict.kind === 'retry' && ++failures >= MAX_TRIES) {
        return { ...verdict, kind: 'poison', reason: `failed ${MAX_TRIES} times; at last: ${verdict.reason}` };
      }
      if (verdict.kind === 'later' && !awaitStore) return verdict;
      if (this.closed || this.waiting.size >= maxWaiting) return verdict;
      await this.pause(pauseMs);
      if (this.closed) return verdict;
    }
  }

  /** Ends all pauses; nothing is tried again. */
  close(): void {
    this.closed = true;
    for (const end of this.waiting) end();
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.waiting.delete(end);
        resolve();
      };
      const cancel = this.clock.schedule(ms, end);
      this.waiting.add(end);
    });
  }
}

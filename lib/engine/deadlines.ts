import type { Clock } from '../core/clock.js';

interface Deadline {
  readonly dueMs: number;
  readonly run: () => void;
}

/**
 * Many deadlines, one timer, and none while there are none: however many readers one tick brings. Whoever waits has one, so that the clock
 * keeps the process alive for as long as somebody does, whatever else he waits for.
 */
export class Deadlines {
  private readonly pending = new Set<Deadline>();
  private cancelTimer: (() => void) | undefined;
  private armedForMs = Infinity;

  constructor(private readonly clock: Clock) {}

  /** Calls `run` once after `ms` milliseconds, which may be `Infinity`; the function that is returned calls it off. */
  after(ms: number, run: () => void): () => void {
    const deadline = { dueMs: this.clock.monotonic() + ms, run };
    this.pending.add(deadline);
    if (!this.cancelTimer || deadline.dueMs < this.armedForMs) this.arm(deadline.dueMs);
    return () => {
      if (this.pending.delete(deadline) && this.pending.size === 0) this.disarm();
    };
  }

  /** Calls everything off. */
  close(): void {
    this.pending.clear();
    this.disarm();
  }

  private arm(dueMs: number): void {
    this.disarm();
    this.armedForMs = dueMs;
    this.cancelTimer = this.clock.schedule(Math.max(1, dueMs - this.clock.monotonic()), () => this.fire());
  }

  private disarm(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
    this.armedForMs = Infinity;
  }

  private fire(): void {
    this.disarm();
    const now = this.clock.monotonic();
    let earliest = Infinity;
    for (const deadline of this.pending) {
      if (deadline.dueMs > now) {
        earliest = Math.min(earliest, deadline.dueMs);
      } else if (this.pending.delete(deadline)) {
        deadline.run();
      }
    }
    if (this.pending.size > 0 && (!this.cancelTimer || earliest < this.armedForMs)) this.arm(earliest);
  }
}

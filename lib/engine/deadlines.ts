import type { Clock } from '../core/clock.js';

interface Deadline {
  readonly dueMs: number;
  readonly run: () => void;
}

/**
 * Many deadlines, one timer. It is armed for the earliest and left armed when that one is called off, so that a read that is answered at
 * once, as most are, costs no timer.
 */
export class Deadlines {
  private readonly pending = new Set<Deadline>();
  private cancelTimer: (() => void) | undefined;
  private armedForMs = Infinity;

  constructor(private readonly clock: Clock) {}

  /** Calls `run` once after `ms` milliseconds; the function that is returned calls it off. */
  after(ms: number, run: () => void): () => void {
    const deadline = { dueMs: this.clock.monotonic() + ms, run };
    this.pending.add(deadline);
    if (deadline.dueMs < this.armedForMs) this.arm(deadline.dueMs);
    return () => void this.pending.delete(deadline);
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
    for (const deadline of [...this.pending]) {
      if (deadline.dueMs > now) {
        earliest = Math.min(earliest, deadline.dueMs);
      } else if (this.pending.delete(deadline)) {
        deadline.run();
      }
    }
    if (earliest < this.armedForMs) this.arm(earliest);
  }
}

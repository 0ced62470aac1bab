import { elapsedSince, instant, type Clock, type Instant } from '../../core/clock.js';

/** Wall time that never goes backwards, whatever the wall clock does, and never stands still for long. */
export class StoreTime {
  private from: Instant;
  private baseMs: number;
  private lastMs: number;
  private lastTick = 0;

  constructor(private readonly clock: Clock) {
    this.from = instant(clock);
    this.baseMs = this.lastMs = this.from.wall;
  }

  ms(): number {
    return Math.floor(this.micros() / 1000);
  }

  micros(): number {
    return Math.max(Math.floor(this.exactMs() * 1000), this.lastTick);
  }

  /** Microseconds that no other tick has: they order what happens on a clock that is coarse, or stands still in a test. */
  tick(): number {
    return (this.lastTick = Math.max(Math.floor(this.exactMs() * 1000), this.lastTick + 1));
  }

  private exactMs(): number {
    const atMs = this.baseMs + elapsedSince(this.from, this.clock);
    if (atMs >= this.lastMs) return (this.lastMs = atMs);
    // The wall clock was set forward and back: holding still until it catches up would stop every lease from ending.
    this.from = instant(this.clock);
    return (this.baseMs = this.lastMs);
  }
}

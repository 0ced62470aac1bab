import type { Clock } from './clock.js';

/** Timers are late; so much of it is made up for by the events that follow. */
const LATE_MS = 5;

/**
 * Spreads events evenly at a rate: the virtual scheduling form of the generic cell rate algorithm (ITU-T I.371, annex A) without burst
 * tolerance. A rate that changes holds from the next event on.
 */
export class Pace {
  /** When the next event may be, on the monotonic clock. */
  private nextMs = -Infinity;

  constructor(private readonly clock: Clock) {}

  /** Until an event may be; 0 if it may be now. */
  get waitMs(): number {
    return Math.max(0, this.nextMs - this.clock.monotonic());
  }

  /** An event is. `perSecond` is above 0, and without bound for no wait. */
  take(perSecond: number): void {
    const now = this.clock.monotonic();
    const at = this.nextMs < now - LATE_MS ? now : this.nextMs;
    this.nextMs = at + 1_000 / perSecond;
  }

  /** What was taken for an event has come to nothing. */
  giveBack(perSecond: number): void {
    this.nextMs -= 1_000 / perSecond;
  }

  /** Whether an event may be now; then it takes the place. */
  tryTake(perSecond: number): boolean {
    if (this.waitMs > 0) return false;
    this.take(perSecond);
    return true;
  }
}

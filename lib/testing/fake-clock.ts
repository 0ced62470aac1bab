import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../core/clock.js';

interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
  readonly awaited: boolean;
}

/** A clock that moves only when a test says so. */
export class FakeClock implements Clock {
  private elapsedMs = 0;
  private wallMs: number;
  /** In the order in which they were set, which decides between those due at one time. */
  private readonly timers = new Set<Timer>();

  constructor(wallMs = Date.UTC(2024, 0, 1)) {
    this.wallMs = wallMs;
  }

  /** Timers that are set and have neither run nor been cancelled. */
  get pending(): number {
    return this.timers.size;
  }

  /** Those of them that callers wait for. */
  get awaited(): number {
    return [...this.timers].filter(({ awaited }) => awaited).length;
  }

  monotonic(): number {
    return this.elapsedMs;
  }

  wall(): number {
    return this.wallMs;
  }

  /** Like the machine's timers, never sooner than after 1 ms. */
  schedule(ms: number, run: () => void, awaited = false): () => void {
    const timer = { dueMs: this.elapsedMs + Math.max(ms, 1), run, awaited };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  /** Moves both clocks; timers run at their time, also those set meanwhile. What they await runs when the test next awaits. */
  advance(ms: number): void {
    const endMs = this.elapsedMs + ms;
    for (let timer = this.nextDue(endMs); timer; timer = this.nextDue(endMs)) {
      this.moveTo(timer.dueMs);
      this.timers.delete(timer);
      timer.run();
    }
    this.moveTo(endMs);
  }

  /** Like `advance`, and lets pending promises go on before time moves, after each timer, and at the end. */
  async run(ms: number): Promise<void> {
    const endMs = this.elapsedMs + ms;
    await setImmediate();
    for (let timer = this.nextDue(endMs); timer; timer = this.nextDue(endMs)) {
      this.advance(timer.dueMs - this.elapsedMs);
      await setImmediate();
    }
    this.advance(endMs - this.elapsedMs);
    await setImmediate();
  }

  /** Sets the wall clock (back, if negative) without the passing of time; no timer runs. */
  jumpWall(ms: number): void {
    this.wallMs += ms;
  }

  private nextDue(untilMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.timers) {
      if (timer.dueMs <= untilMs && (!next || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }

  private moveTo(ms: number): void {
    this.wallMs += ms - this.elapsedMs;
    this.elapsedMs = ms;
  }
}

import type { Clock } from '../../../lib/core/clock.js';

interface Event {
  readonly dueMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

const START_WALL_MS = Date.UTC(2024, 0, 1);

/** Simulated time. Events happen one after another; all that one sets off by promises happens before the next. */
export class Timeline implements Clock {
  private nowMs = 0;
  private orders = 0;
  /** A binary heap. */
  private readonly events: Event[] = [];

  monotonic(): number {
    return this.nowMs;
  }

  wall(): number {
    return START_WALL_MS + this.nowMs;
  }

  schedule(ms: number, run: () => void): () => void {
    const event: Event = { dueMs: this.nowMs + Math.max(ms, 0), order: this.orders++, run };
    this.push(event);
    return () => (event.run = undefined);
  }

  async runUntil(untilMs: number): Promise<void> {
    await drained();
    for (let next = this.events[0]; next && next.dueMs <= untilMs; next = this.events[0]) {
      this.pop();
      if (!next.run) continue;
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      next.run();
      await drained();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  private push(event: Event): void {
    const { events } = this;
    let at = events.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, events[parent]!)) break;
      events[at] = events[parent]!;
      at = parent;
    }
    events[at] = event;
  }

  private pop(): void {
    const { events } = this;
    const last = events.pop()!;
    if (events.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= events.length) break;
      if (child + 1 < events.length && isBefore(events[child + 1]!, events[child]!)) child++;
      if (!isBefore(events[child]!, last)) break;
      events[at] = events[child]!;
      at = child;
    }
    events[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

/** Resolves when no promise has anything left to do. */
function drained(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Time as one process lives it: while it is paused nothing runs, and what came meanwhile runs when it goes on. */
export class ProcessClock implements Clock {
  private state: 'running' | 'paused' | 'dead' = 'running';
  /** Messages that came while it was paused, and timers that were due: those run first, as in Node. */
  private readonly backlog: (() => void)[] = [];
  private readonly overdue: (() => void)[] = [];

  constructor(
    private readonly timeline: Timeline,
    /** How far its wall clock is ahead. */
    private skewMs = 0,
  ) {}

  get running(): boolean {
    return this.state === 'running';
  }

  monotonic(): number {
    return this.timeline.monotonic();
  }

  wall(): number {
    return this.timeline.wall() + this.skewMs;
  }

  schedule(ms: number, run: () => void): () => void {
    let cancelled = false;
    const due = () => void (cancelled || run());
    const cancel = this.timeline.schedule(Math.max(ms, 1), () => this.deliver(due, this.overdue));
    return () => {
      cancelled = true;
      cancel();
    };
  }

  /** Something comes in from outside. */
  deliver(run: () => void, queue = this.backlog): void {
    if (this.state === 'running') run();
    else if (this.state === 'paused') queue.push(run);
  }

  jumpWall(ms: number): void {
    this.skewMs += ms;
  }

  pause(): void {
    if (this.state === 'running') this.state = 'paused';
  }

  resume(): void {
    if (this.state !== 'paused') return;
    this.state = 'running';
    const late = [...this.overdue.splice(0), ...this.backlog.splice(0)];
    for (const run of late) this.timeline.schedule(0, () => this.deliver(run));
  }

  kill(): void {
    this.state = 'dead';
    this.backlog.length = this.overdue.length = 0;
  }
}

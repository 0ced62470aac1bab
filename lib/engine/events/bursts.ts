import type { Clock } from '../../core/clock.js';

/** How many are begun, and end, together. */
const MOST_TOGETHER = 512;

interface Group<W, R> {
  wanted: W;
  readonly done: Promise<R>;
  readonly settle: (result: Promise<R>) => void;
}

interface Slot<W, R> {
  /** Until then, what is wanted waits and is merged. */
  readonly openUntilMs: number;
  waiting: Group<W, R> | undefined;
}

/**
 * What is wanted first for a target is done at once; what is wanted of the same target within the window after it is merged and done at
 * the window's end. Nothing joins what has begun: it may have been overtaken by what it would miss.
 */
export class Bursts<W, R> {
  private readonly slots = new Map<string, Slot<W, R>>();
  private ready: Group<W, R>[] = [];
  private cancelTimer: (() => void) | undefined;
  /** Whether the timer is one that callers wait for. */
  private awaited = false;
  /** Groups that wait for the end of their window. */
  private waiting = 0;
  private closed = false;

  constructor(
    private readonly clock: Clock,
    private readonly windowMs: number,
    private readonly merge: (earlier: W, later: W) => W,
    /** In the order of what is wanted; a rejection is one of each. */
    private readonly run: (wanted: readonly W[]) => Promise<readonly R[]>,
  ) {}

  submit(target: string, wanted: W): Promise<R> {
    const now = this.clock.monotonic();
    const slot = this.slots.get(target);
    if (slot?.waiting) {
      slot.waiting.wanted = this.merge(slot.waiting.wanted, wanted);
      return slot.waiting.done;
    }
    const group = groupOf<W, R>(wanted);
    if (slot && slot.openUntilMs > now) {
      slot.waiting = group;
      this.waiting++;
    } else {
      if (!this.closed) this.openSlot(target, now);
      if (this.ready.push(group) === 1) queueMicrotask(() => this.start());
    }
    this.arm();
    return group.done;
  }

  /** Does at once what waits, and from now on whatever is wanted: no timer is left behind. */
  close(): void {
    this.closed = true;
    this.disarm();
    for (const { waiting } of this.slots.values()) if (waiting) this.ready.push(waiting);
    this.slots.clear();
    this.waiting = 0;
    this.start();
  }

  /** Slots stand in the order of their ends: one of an earlier window, whose timer is late, gives up its place. */
  private openSlot(target: string, now: number): void {
    this.slots.delete(target);
    this.slots.set(target, { openUntilMs: now + this.windowMs, waiting: undefined });
  }

  private start(): void {
    const groups = this.ready;
    this.ready = [];
    for (let from = 0; from < groups.length; from += MOST_TOGETHER) {
      const some = groups.slice(from, from + MOST_TOGETHER);
      const results = this.run(some.map(({ wanted }) => wanted));
      some.forEach(({ settle }, i) => settle(results.then((all) => all[i]!)));
    }
  }

  /** One timer, at the end of the oldest window. While nothing waits for one, it is nobody's. */
  private arm(): void {
    const [oldest] = this.slots.values();
    const awaited = this.waiting > 0;
    if (!oldest || (this.cancelTimer && this.awaited === awaited)) return;
    this.disarm();
    this.awaited = awaited;
    const ms = Math.max(1, oldest.openUntilMs - this.clock.monotonic());
    const end = () => {
      this.cancelTimer = undefined;
      this.endWindows();
    };
    this.cancelTimer = this.clock.schedule(ms, end, awaited);
  }

  private disarm(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
  }

  private endWindows(): void {
    const now = this.clock.monotonic();
    for (const [target, { openUntilMs, waiting }] of this.slots) {
      if (openUntilMs > now) break;
      this.slots.delete(target);
      if (!waiting) continue;
      this.waiting--;
      this.openSlot(target, now);
      this.ready.push(waiting);
    }
    this.start();
    this.arm();
  }
}

function groupOf<W, R>(wanted: W): Group<W, R> {
  let settle: Group<W, R>['settle'] = () => {};
  const done = new Promise<R>((resolve) => (settle = resolve));
  return { wanted, done, settle };
}

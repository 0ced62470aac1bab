import PQueue from 'p-queue';
import type { Clock } from '../core/clock.js';
import { CacheGuardOverloadError } from '../core/errors.js';
import { Pace } from '../core/pace.js';
import type { Policy } from '../core/policy.js';

/** A waiting person goes before a background refresh. */
export type LoadPriority = 'background' | 'foreground';

const RANK: Readonly<Record<LoadPriority, number>> = { background: 0, foreground: 1 };

/** Frees the slot. `unused`: nothing was loaded, the turn is another one's. */
export type Free = (unused?: boolean) => void;

/** A place in a bulkhead's queue. */
export interface Place {
  /** Resolves when the load may begin. Rejects with what `leave` was given. */
  readonly slot: Promise<Free>;
  raise(priority: LoadPriority): void;
  /** Waits for a turn only, no longer for a slot. */
  skip(): void;
  /** Gives up the place; nothing happens once the slot was granted. */
  leave(reason: unknown): void;
}

/**
 * Bounds a domain's concurrent loads in this process, and how many begin per second. The slot is handed to the caller, who loads in his own
 * async context: a queue that ran the loads itself would run them in the context of whoever left before.
 *
 * The turn is taken at the moment when the load begins, never ahead: whoever leaves costs nobody a turn, a rate that changes holds at
 * once, and who waits longest or matters most is seen to last.
 */
export class Bulkhead {
  /** Paused until the next turn. */
  private readonly queue: PQueue;
  private readonly pace: Pace;
  /** Loads inside loads: they wait for a turn, but for no slot, and go first since other loads wait for them. */
  private readonly nested = new Set<() => void>();
  private cancelTimer: (() => void) | undefined;
  private places = 0;

  constructor(
    private readonly policy: Pick<Policy, 'domain' | 'concurrency' | 'queue'>,
    private readonly clock: Clock,
    /** Without bound: no load waits for a turn. */
    private readonly perSecond: () => number,
  ) {
    this.queue = new PQueue({ concurrency: policy.concurrency });
    this.pace = new Pace(clock);
  }

  /** @throws CacheGuardOverloadError (`CG_OVERLOADED`) when the queue is full */
  enter(priority: LoadPriority): Place {
    this.arm();
    const { domain, concurrency, queue } = this.policy;
    if ((this.queue.isPaused || this.queue.pending >= concurrency) && this.queue.size >= queue) {
      throw new CacheGuardOverloadError(
        'CG_OVERLOADED',
        `Domain '${domain}': ${this.queue.pending} loads run and ${queue} wait, no more may queue; raise bulkhead.queue, ` +
          'bulkhead.concurrency or maxLoadsPerSecond if the source can bear it, or shed load before it gets here.',
        { domain, field: 'bulkhead.queue' },
      );
    }
    const id = String(++this.places);
    const queued = new AbortController();
    const gone = new AbortController();
    let granted = false;
    let skipped = false;
    let withoutSlot = async () => {};
    const slot = new Promise<Free>((grant, reject) => {
      const hold = () => {
        granted = true;
        this.begin();
        return new Promise<void>((end) =>
          grant((unused) => {
            end();
            if (unused) this.giveBack();
          }),
        );
      };
      withoutSlot = async () => {
        try {
          const free = await this.turn(gone.signal);
          granted = true;
          grant(free);
        } catch (error) {
          reject(error);
        }
      };
      this.queue.add(hold, { id, priority: RANK[priority], signal: queued.signal }).catch((error: unknown) => {
        if (!skipped) reject(error);
      });
    });
    this.arm();
    return {
      slot,
      raise: (to) => {
        if (!granted && !skipped && !queued.signal.aborted) this.queue.setPriority(id, RANK[to]);
      },
      skip: () => {
        if (granted || skipped) return;
        skipped = true;
        queued.abort();
        void withoutSlot();
      },
      // Aborting a granted place would free the slot while its load still runs.
      leave: (reason) => {
        if (granted) return;
        gone.abort(reason);
        queued.abort(reason);
        this.arm();
      },
    };
  }

  /** A turn for a load inside one that holds a slot. Rejects with the signal's reason. */
  turn(signal: AbortSignal): Promise<Free> {
    return new Promise((resolve, reject) => {
      const go = () => {
        signal.removeEventListener('abort', onAbort);
        resolve((unused) => unused && this.giveBack());
      };
      const onAbort = () => {
        this.nested.delete(go);
        this.arm();
        reject(signal.reason as Error);
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      this.nested.add(go);
      this.arm();
    });
  }

  private begin(): void {
    const perSecond = this.perSecond();
    if (perSecond === Infinity) return;
    this.pace.take(perSecond);
    if (this.pace.waitMs > 0) this.queue.pause();
    this.arm();
  }

  private giveBack(): void {
    const perSecond = this.perSecond();
    if (perSecond === Infinity) return;
    this.pace.giveBack(perSecond);
    this.arm();
  }

  /** Lets begin who may, and wakes up for who may not yet; nothing waits for a turn that nobody wants. */
  private arm(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
    while (this.pace.waitMs === 0) {
      const [go] = this.nested;
      if (!go) return void this.queue.start();
      this.nested.delete(go);
      this.pace.take(this.perSecond());
      if (this.pace.waitMs > 0) this.queue.pause();
      go();
    }
    if (this.nested.size + this.queue.size === 0) return;
    this.cancelTimer = this.clock.schedule(this.pace.waitMs, () => this.arm());
  }
}

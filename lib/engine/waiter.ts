import { elapsedSince, instant, type Clock } from '../core/clock.js';
import type { Entry } from '../core/entry.js';
import type { GuardedCall } from './call.js';
import type { Handout, Snapshot } from './lookup.js';

/** What a flight, or the waiter's own timers, gives one waiter. */
export type Outcome =
  /** `entry`: what was committed or could have been; without one the value is nobody's but the waiter's. */
  | { readonly kind: 'value'; readonly handout: Handout; readonly entry: Entry | undefined }
  /** What a read gave that was sent after the waiter came. `insist`: he has waited for one load in vain. */
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot; readonly insist: boolean }
  | { readonly kind: 'again'; readonly insist: boolean }
  /** The result is uncacheable and belongs to somebody else. */
  | { readonly kind: 'alone' }
  | { readonly kind: 'backing-off' }
  /** The source failed, or there was no room to ask it: a permitted old value may stand in. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The source answered by throwing. */
  | { readonly kind: 'threw'; readonly error: unknown }
  | { readonly kind: 'soft-timeout' }
  | { readonly kind: 'budget' }
  | { readonly kind: 'aborted'; readonly reason: unknown };

/** One reader. He lives as long as his call, and joins one flight after another until he is answered. */
export class Waiter {
  private readonly since;
  private landed: ((outcome: Outcome) => void) | undefined;
  private cancels: (() => void)[] = [];
  /** Has waited for one load in vain and will not be made to wait for another process's. */
  insist = false;
  /** An old value may stand in until this store time. */
  fallbackUntilMs: number | undefined;

  constructor(
    readonly call: GuardedCall,
    /** Position in the order of arrivals, sent commands, loader calls and seals of this process. */
    readonly arrived: number,
    private readonly clock: Clock,
  ) {
    this.since = instant(clock);
  }

  elapsedMs(): number {
    return elapsedSince(this.since, this.clock);
  }

  /** Waits for a flight; `leave` is called when the waiter goes before it lands. */
  wait(leave: (why: 'soft-timeout' | 'budget' | 'aborted') => void): Promise<Outcome> {
    const { policy, signal } = this.call;
    return new Promise<Outcome>((resolve) => {
      this.landed = resolve;
      const go = (outcome: Outcome & { kind: 'soft-timeout' | 'budget' | 'aborted' }) => {
        leave(outcome.kind);
        this.land(outcome);
      };
      const left = (ms: number) => Math.max(0, ms - this.elapsedMs());
      this.cancels.push(this.clock.schedule(left(policy.waitBudgetMs), () => go({ kind: 'budget' })));
      if (this.fallbackUntilMs !== undefined) {
        this.cancels.push(this.clock.schedule(left(policy.softTimeoutMs), () => go({ kind: 'soft-timeout' })));
      }
      if (signal) {
        const onAbort = () => go({ kind: 'aborted', reason: signal.reason });
        signal.addEventListener('abort', onAbort, { once: true });
        this.cancels.push(() => signal.removeEventListener('abort', onAbort));
        if (signal.aborted) onAbort();
      }
    });
  }

  /** Ends the present wait; without one, nothing happens. */
  land(outcome: Outcome): void {
    const { landed } = this;
    this.landed = undefined;
    for (const cancel of this.cancels) cancel();
    this.cancels = [];
    landed?.(outcome);
  }
}

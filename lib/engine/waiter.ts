import { elapsedSince, instant } from '../core/clock.js';
import type { Entry } from '../core/entry.js';
import type { GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';
import type { Handout } from './lookup.js';
import { currentFrame } from './load-frames.js';
import type { Snapshot } from './snapshot.js';
import { currentWarmth } from './warming/warmth.js';

/** What ends a wait from the waiter's side. */
export type Interruption =
  | { readonly kind: 'budget' }
  | { readonly kind: 'aborted'; readonly reason: unknown }
  | { readonly kind: 'soft-timeout' };

/** What a flight, or the waiter's own patience, gives one waiter. */
export type Outcome =
  /** `entry`: what was committed (`stored`) or could have been; without one the value is nobody's but the waiter's. */
  | { readonly kind: 'value'; readonly handout: Handout; readonly entry: Entry | undefined; readonly stored?: boolean }
  /** What a read gave that was sent after the waiter came. `insist`: he has waited for one load in vain. */
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot; readonly insist: boolean }
  | { readonly kind: 'again'; readonly insist: boolean }
  /** The result is uncacheable and belongs to somebody else. */
  | { readonly kind: 'alone' }
  | { readonly kind: 'backing-off' }
  /** The source failed, or there was no room to ask it: a permitted old value may stand in. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The source answered by throwing. `entry`: of the absence that it is. */
  | { readonly kind: 'threw'; readonly error: unknown; readonly entry?: Entry | undefined }
  | Interruption;

/** One reader. He lives as long as his call, and joins one flight after another until he is answered. */
export class Waiter {
  private readonly since;
  private landed: ((outcome: Outcome) => void) | undefined;
  /** Has waited for one load in vain and will not be made to wait for another process's. */
  insist = false;
  /** An old value may stand in until this store time. */
  fallbackUntilMs: number | undefined;
  /** Position in the order of arrivals, sent commands, loader calls and seals of this process. */
  readonly arrived: number;
  /** Warms: nobody waits for the value, so that it may come late, and an old one is of no use. */
  readonly warms = currentWarmth() !== undefined && currentFrame() === undefined;

  constructor(
    readonly call: GuardedCall,
    private readonly parts: Pick<EngineParts, 'clock' | 'deadlines' | 'sequence'>,
  ) {
    this.since = instant(parts.clock);
    this.arrived = parts.sequence.next();
  }

  elapsedMs(): number {
    return elapsedSince(this.since, this.parts.clock);
  }

  /** Waits for a flight; `leave` is called when the waiter goes before it lands. */
  async wait(leave: (why: Interruption) => void): Promise<Outcome> {
    const outcome = new Promise<Outcome>((resolve) => (this.landed = resolve));
    const given = await this.within(outcome, this.fallbackUntilMs !== undefined);
    if (this.landed && isInterruption(given)) leave(given);
    this.landed = undefined;
    return given;
  }

  /** Ends the present wait; without one, nothing happens. */
  land(outcome: Outcome): void {
    const { landed } = this;
    this.landed = undefined;
    landed?.(outcome);
  }

  /** What `work` gives, unless the budget ends or the caller gives up before. */
  within<T>(work: Promise<T>, soft = false): Promise<T | Interruption> {
    const { policy, signal } = this.call;
    const { deadlines } = this.parts;
    const left = (ms: number) => Math.max(0, ms - this.elapsedMs());
    return new Promise<T | Interruption>((resolve, reject) => {
      const onAbort = () => settle({ kind: 'aborted', reason: signal!.reason });
      // Who warms may wait as long as it takes.
      const budgetMs = this.warms ? Infinity : left(policy.waitBudgetMs);
      const offBudget = deadlines.after(budgetMs, () => settle({ kind: 'budget' }));
      const offSoft = soft
        ? deadlines.after(left(policy.softTimeoutMs), () => settle({ kind: 'soft-timeout' }))
        : undefined;
      signal?.addEventListener('abort', onAbort, { once: true });
      const end = () => {
        offBudget();
        offSoft?.();
        signal?.removeEventListener('abort', onAbort);
      };
      const settle = (given: T | Interruption) => {
        end();
        resolve(given);
      };
      if (signal?.aborted) onAbort();
      work.then(settle, (error: unknown) => {
        end();
        reject(error);
      });
    });
  }
}

export function isInterruption(given: object): given is Interruption {
  const { kind } = given as { kind?: unknown };
  return kind === 'budget' || kind === 'aborted' || kind === 'soft-timeout';
}

import PQueue from 'p-queue';
import { CacheGuardOverloadError } from '../core/errors.js';
import type { Policy } from '../core/policy.js';

/** A waiting person goes before a background refresh. */
export type LoadPriority = 'background' | 'foreground';

const RANK: Readonly<Record<LoadPriority, number>> = { background: 0, foreground: 1 };

/** A place in a bulkhead's queue. */
export interface Place {
  /** Resolves to the function that frees the slot. Rejects with what `leave` was given. */
  readonly slot: Promise<() => void>;
  raise(priority: LoadPriority): void;
  /** Grants without a slot and gives up the place. */
  skip(): void;
  /** Gives up the place; nothing happens once the slot was granted. */
  leave(reason: unknown): void;
}

/**
 * Bounds a domain's concurrent loads in this process. The slot is handed to the caller, who loads in his own async context: a queue that
 * ran the loads itself would run them in the context of whoever left before.
 */
export class Bulkhead {
  private readonly queue: PQueue;
  private places = 0;

  constructor(private readonly policy: Pick<Policy, 'domain' | 'concurrency' | 'queue'>) {
    this.queue = new PQueue({ concurrency: policy.concurrency });
  }

  /** @throws CacheGuardOverloadError (`CG_OVERLOADED`) when the queue is full */
  enter(priority: LoadPriority): Place {
    const { domain, concurrency, queue } = this.policy;
    if (this.queue.pending >= concurrency && this.queue.size >= queue) {
      throw new CacheGuardOverloadError(
        'CG_OVERLOADED',
        `Domain '${domain}': ${concurrency} loads run and ${queue} wait, no more may queue; raise bulkhead.queue or ` +
          'bulkhead.concurrency if the source can bear it, or shed load before it gets here.',
        { domain, field: 'bulkhead.queue' },
      );
    }
    const id = String(++this.places);
    const leaving = new AbortController();
    let granted = false;
    let grantWithout = () => {};
    const slot = new Promise<() => void>((grant, reject) => {
      const hold = () => {
        granted = true;
        return new Promise<void>((free) => grant(free));
      };
      grantWithout = () => grant(() => {});
      this.queue.add(hold, { id, priority: RANK[priority], signal: leaving.signal }).catch(reject);
    });
    return {
      slot,
      raise: (to) => {
        if (!granted && !leaving.signal.aborted) this.queue.setPriority(id, RANK[to]);
      },
      skip: () => {
        if (granted) return;
        grantWithout();
        leaving.abort();
      },
      // Aborting a granted place would free the slot while its load still runs.
      leave: (reason) => {
        if (!granted) leaving.abort(reason);
      },
    };
  }
}

/** One bulkhead for each domain. */
export class Bulkheads {
  private readonly byDomain = new Map<string, Bulkhead>();

  of(policy: Policy): Bulkhead {
    let bulkhead = this.byDomain.get(policy.domain);
    if (!bulkhead) this.byDomain.set(policy.domain, (bulkhead = new Bulkhead(policy)));
    return bulkhead;
  }
}

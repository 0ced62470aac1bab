import type { CacheGuardEvent } from '../../lib/core/events.js';
import type { Invalidation } from '../history/history.js';

interface Group {
  /** Times that one was put aside, and times that one was carried out, since the group was empty. */
  kept: number;
  carriedOut: number;
}

/**
 * Knows from a guard's events when its pending invalidations have certainly been carried out: when as many have been as were put aside
 * (of one domain and scope), or when the guard says that its store is back (`settling`), which it does not
 * before.
 */
export class PendingWatch {
  private readonly groups = new Map<string, Group>();
  private waiting: Invalidation[] = [];

  constructor(private readonly over: (invalidation: Invalidation) => void) {}

  add(invalidation: Invalidation): void {
    this.waiting.push(invalidation);
  }

  readonly onEvent = (event: CacheGuardEvent): void => {
    if (event.type === 'store-state' && event.state === 'settling') {
      this.groups.clear();
      this.release(() => true);
    }
    if (event.type !== 'invalidation') return;
    const { domain, scope, outcome, count } = event;
    const name = `${domain} ${scope}`;
    const group = this.groups.get(name) ?? { kept: 0, carriedOut: 0 };
    if (outcome === 'pending') group.kept += count;
    if (outcome === 'carried-out') group.carriedOut += count;
    this.groups.set(name, group);
    if (outcome !== 'carried-out' || group.carriedOut < group.kept) return;
    this.groups.delete(name);
    this.release((one) => one.domain === domain && one.scope === scope);
  };

  private release(isOver: (invalidation: Invalidation) => boolean): void {
    const over = this.waiting.filter(isOver);
    this.waiting = this.waiting.filter((one) => !over.includes(one));
    for (const one of over) this.over(one);
  }
}

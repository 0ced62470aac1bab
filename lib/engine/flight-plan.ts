import type { AcquireRequest } from '../core/store.js';
import { generationTtl, type GuardedCall } from './call.js';
import type { Snapshot } from './snapshot.js';

/** What whoever starts a flight wants of it. */
export interface FlightPlan {
  readonly call: GuardedCall;
  /** What the starter read; the lease is refused if it is no longer so. `undefined`: it does not matter. */
  readonly seen: Snapshot | undefined;
  /** `guarded`: under a lease. `direct`: the store is away, or keeps nothing of this domain. */
  readonly via: 'guarded' | 'direct';
  readonly background: boolean;
  /** Load even if another process does. */
  readonly insist: boolean;
  readonly honourBackoff: boolean;
  /** Load whatever is cached; nobody joins once the loader was called. */
  readonly forced: boolean;
}

/** How a flight asks for the right to make its key's value. */
export function acquireRequest(plan: FlightPlan, token: string, insist: boolean): AcquireRequest {
  const { call, seen, forced, honourBackoff } = plan;
  const { policy } = call;
  return {
    key: call.key,
    token,
    generations: call.generations,
    generationTtlMs: generationTtl(policy),
    seenId: forced ? undefined : (seen?.id ?? ''),
    leaseMs: policy.leaseMs,
    mode: policy.exclusive && !insist ? 'exclusive' : 'shared',
    honourBackoff,
  };
}

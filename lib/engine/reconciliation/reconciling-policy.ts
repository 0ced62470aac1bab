import { entryKey, type EntryKey } from '../../core/keys.js';
import type { Policy } from '../../core/policy.js';

/** The policy of a domain that says how to ask its source. */
export type ReconcilingPolicy = Policy & { readonly reconcile: NonNullable<Policy['reconcile']> };

export function reconciles(policy: Policy): policy is ReconcilingPolicy {
  return policy.reconcile !== undefined;
}

/** The duty under which one process of the fleet runs it. */
export function dutyOf({ domain }: Policy): string {
  return `reconciliation.${domain}`;
}

/** Where the store's clock is read: in a cluster, each node has its own. */
export function homeOf(policy: Policy): EntryKey {
  return entryKey({ domain: '~duty', segment: `s.${dutyOf(policy)}` });
}

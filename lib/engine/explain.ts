import { decide, type Decision } from '../core/decide.js';
import { FLAG } from '../core/entry.js';
import type { Explanation } from '../core/targets.js';
import type { GuardedCall } from './call.js';
import type { Snapshot } from './snapshot.js';

/** What is kept of a key, and what a reader of the domain's policy would do about it now. */
export function explainFound({ policy, key, mark }: GuardedCall, seen: Snapshot): Explanation {
  const decision = decide(seen.found, policy, seen.nowMs, mark);
  const entry = typeof seen.found === 'object' ? seen.found.entry : undefined;
  return {
    domain: policy.domain,
    key,
    freshness: policy.freshness,
    owner: policy.owner,
    because: policy.because,
    decision: nameOf(decision),
    cause: decision.kind === 'load' ? decision.cause : undefined,
    entry: entry && {
      ageMs: seen.nowMs - entry.beganMs,
      softInMs: entry.softMs - seen.nowMs,
      hardInMs: entry.hardMs - seen.nowMs,
      loadMs: entry.loadMs,
      bytes: seen.bytes,
      version: entry.version,
      etag: entry.etag,
      negative: (entry.flags & FLAG.negative) !== 0,
      provenance: entry.provenance,
      generations: entry.stamps.map(({ name }) => name),
    },
  };
}

function nameOf(decision: Decision): Explanation['decision'] {
  if (decision.kind === 'serve') return decision.stale ? 'serve-stale' : 'serve-fresh';
  return decision.kind;
}

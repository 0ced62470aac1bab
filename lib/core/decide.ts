import { FLAG, type Entry } from './entry.js';
import type { Drift } from './generations.js';
import type { Policy } from './policy.js';
import type { WriteMark } from './write-marks.js';

/** Why a read could not be answered from the store. */
export type MissCause =
  | 'absent'
  | 'expired'
  | 'invalidated'
  | 'schema'
  | 'corrupt'
  | 'future'
  | 'generation-lost'
  | 'epoch'
  | 'settling'
  | 'no-store'
  | 'store-unavailable';

/** What a read found: an entry, bytes that give none to this reader, or nothing. */
export type Found = EntryView | 'corrupt' | 'schema' | undefined;

/** Why what was found cannot be fresh, whatever its times say. */
export type Doubt =
  /** Written to another server process than the one that answers now, which may have lost invalidations. */
  | 'epoch'
  /** From before an outage: invalidations that other processes kept meanwhile may still be on their way. */
  | 'settling'
  /** From this process's memory: the store is away, or its signals have not arrived for a while. */
  | 'store-unavailable';

/** An entry and what the store says about the world around it. */
export interface EntryView {
  readonly entry: Entry;
  readonly drift: Drift;
  readonly doubt: Doubt | undefined;
}

export type Decision =
  /**
   * Serve it; with `refresh`, one load runs behind. `staleMs`: how long past its soft expiry. Without, it is stale only because of
   * a doubt that time or the store's return will settle.
   */
  | {
      readonly kind: 'serve';
      readonly stale: false;
      readonly refresh: false;
      readonly ageMs: number;
      readonly staleMs: 0;
    }
  | {
      readonly kind: 'serve';
      readonly stale: true;
      readonly refresh: boolean;
      readonly ageMs: number;
      readonly staleMs: number;
    }
  /** Serve it if the source says that its version is the current one. */
  | { readonly kind: 'validate'; readonly ageMs: number }
  /** Load; until `fallbackUntilMs` (store time) the entry may stand in for a failed or slow load. */
  | { readonly kind: 'load'; readonly cause: MissCause; readonly fallbackUntilMs: number | undefined }
  /** A mark says that results are uncacheable: load for yourself, without a lease. */
  | { readonly kind: 'pass' };

/**
 * What a reader of `policy` does about what it found, at store time `nowMs`. Pure. The entry carries the bounds that its
 * writer gave it; the reader's own policy bounds too, and the stricter one wins.
 *
 * @param mark what the reader himself has written of the domain
 */
export function decide(found: Found, policy: Policy, nowMs: number, mark?: WriteMark): Decision {
  const decision = decideForAll(found, policy, nowMs);
  return mark && typeof found === 'object' ? afterWrite(decision, found.entry.beganMs, mark) : decision;
}

/** What the reader has replaced himself is not shown to him. What the store calls fresh has outlived his write, if the store knows of it. */
function afterWrite(decision: Decision, beganMs: number, { atMs, pendingMs }: WriteMark): Decision {
  if (beganMs >= Math.max(atMs, pendingMs)) return decision;
  if (decision.kind === 'load') return load(decision.cause);
  if (decision.kind !== 'serve') return decision;
  return decision.stale || beganMs < pendingMs ? load('invalidated') : decision;
}

function decideForAll(found: Found, policy: Policy, nowMs: number): Decision {
  if (policy.keep === 'nothing') return load('no-store');
  if (found === undefined) return load('absent');
  if (typeof found === 'string') return load(found);
  const { entry, drift } = found;
  if (entry.flags & FLAG.removed || drift.kind === 'removed') return load('invalidated');
  if (entry.beganMs > nowMs) return load('future');
  const invalidated = drift.kind === 'expired' || (entry.flags & FLAG.marked) !== 0;
  const lost = found.doubt ?? (drift.kind === 'unknown' ? 'generation-lost' : undefined);
  if (entry.flags & FLAG.hitForMiss) {
    return lost || invalidated || nowMs >= entry.hardMs ? load('absent') : { kind: 'pass' };
  }
  const negative = (entry.flags & FLAG.negative) !== 0;
  const hardMs = Math.min(entry.hardMs, entry.beganMs + (negative ? (policy.negativeTtlMs ?? 0) : policy.hardTtlMs));
  if (nowMs >= hardMs) return load('expired');

  // What was absent before an event may have been created by it.
  if (!policy.staleAllowed || negative) {
    if (lost) return load(lost);
    if (invalidated) return load('invalidated');
  }
  const ageMs = nowMs - entry.beganMs;
  if (policy.keep === 'validated') return { kind: 'validate', ageMs };

  // However the clocks stand, what was invalidated or may have been is not fresh any more.
  const naturalMs = softExpiry(found, policy);
  const softMs = Math.min(naturalMs, lost || invalidated ? nowMs : Infinity);
  if (nowMs < softMs) return { kind: 'serve', stale: false, refresh: false, ageMs, staleMs: 0 };
  const staleMs = nowMs - softMs;
  if (staleMs < Math.min(entry.whileRevalidateMs, policy.whileRevalidateMs)) {
    const passing = !invalidated && (lost === 'settling' || lost === 'store-unavailable');
    return { kind: 'serve', stale: true, refresh: !passing || nowMs >= naturalMs, ageMs, staleMs };
  }
  const cause = lost ?? (invalidated ? 'invalidated' : 'expired');
  const fallbackUntilMs = Math.min(softMs + Math.min(entry.ifErrorMs, policy.ifErrorMs), hardMs);
  return { kind: 'load', cause, fallbackUntilMs: nowMs < fallbackUntilMs ? fallbackUntilMs : undefined };
}

/** Stale windows start here: at the soft TTL, or at the invalidation if that came first. */
function softExpiry({ entry, drift }: EntryView, policy: Policy): number {
  const softMs = Math.min(entry.softMs, entry.beganMs + policy.softTtlMs);
  return drift.kind === 'expired' ? Math.min(softMs, drift.atMs) : softMs;
}

function load(cause: MissCause): Decision {
  return { kind: 'load', cause, fallbackUntilMs: undefined };
}

import { decide, type Decision } from '../core/decide.js';
import { FLAG } from '../core/entry.js';
import type { Explanation, PolicyInForce } from '../core/targets.js';
import { answered } from './answered.js';
import type { GuardedCall } from './call.js';
import type { Rooms } from './rooms.js';
import { noteInner } from './served.js';
import type { Snapshot } from './snapshot.js';

/** Of these there is nothing to show. */
const NO_VALUE = FLAG.removed | FLAG.hitForMiss | FLAG.thrown;

/** What is kept of a key, and what a reader of the domain's policy would do about it now. Never throws. */
export async function explain(rooms: Rooms, call: GuardedCall, withValue: boolean): Promise<Explanation> {
  const { parts, recent } = rooms;
  const { policy, key } = call;
  const [looked, lease] = await Promise.all([
    answered(parts, call, 'read', () => parts.lookup.look(call)),
    parts.store.lease(key).catch(() => undefined),
  ]);
  const seen = looked ?? parts.near.doubted(call);
  const { domain, freshness, owner, because } = policy;
  return {
    domain,
    key,
    freshness,
    owner,
    because,
    policy: inForce(rooms, call),
    store: looked ? 'answered' : 'away',
    ...(seen ? describe(call, seen) : { decision: 'load', cause: 'store-unavailable', entry: undefined }),
    lease: lease && {
      holder: parts.keeper.has(lease.token) ? 'this-process' : 'another',
      remainingMs: lease.remainingMs,
    },
    recent: recent.of(key),
    ...(withValue && seen && (await valueOf(parts.owner, call, seen))),
  };
}

function inForce({ sourceHealth }: Rooms, { policy }: GuardedCall): PolicyInForce {
  const { scope, keep, softTtlMs, hardTtlMs, whileRevalidateMs, ifErrorMs, staleAllowed, encrypt, hashKeys } = policy;
  const fallback = policy.freshBy !== undefined && !sourceHealth.isLive(policy.domain);
  return { scope, keep, softTtlMs, hardTtlMs, whileRevalidateMs, ifErrorMs, staleAllowed, encrypt, hashKeys, fallback };
}

function describe({ policy, mark }: GuardedCall, seen: Snapshot): Pick<Explanation, 'decision' | 'cause' | 'entry'> {
  const decision = decide(seen.found, policy, seen.nowMs, mark);
  const entry = typeof seen.found === 'object' ? seen.found.entry : undefined;
  return {
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

async function valueOf(owner: object, call: GuardedCall, seen: Snapshot): Promise<Pick<Explanation, 'value'>> {
  if (typeof seen.found !== 'object' || seen.found.entry.flags & NO_VALUE) return {};
  try {
    const value = (await seen.unpack(call.values)).take();
    noteInner(owner, call, seen.found.entry);
    return { value };
  } catch {
    return {};
  }
}

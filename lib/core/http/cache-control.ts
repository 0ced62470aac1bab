import { FLAG, type Entry } from '../entry.js';
import type { Policy } from '../policy.js';

/** What is told to whoever may keep the answer: browsers, proxies, content delivery networks. */
export interface Lifetime {
  /** Since the load began; milliseconds. */
  readonly ageMs: number;
  /** From the load's beginning to the soft expiry; an invalidation ends it early. Milliseconds. */
  readonly freshMs: number;
  readonly whileRevalidateMs: number;
  readonly ifErrorMs: number;
}

/** @param staleMs how long past its soft expiry it is at `nowMs`; `undefined` when fresh */
export function lifetimeOf(policy: Policy, entry: Entry, nowMs: number, staleMs: number | undefined): Lifetime {
  const naturalMs = Math.min(entry.softMs - entry.beganMs, policy.softTtlMs);
  const ageMs = Math.max(0, nowMs - entry.beganMs);
  return {
    ageMs,
    freshMs: Math.max(0, staleMs === undefined ? naturalMs : Math.min(naturalMs, ageMs - staleMs)),
    whileRevalidateMs: Math.min(entry.whileRevalidateMs, policy.whileRevalidateMs),
    ifErrorMs: Math.min(entry.ifErrorMs, policy.ifErrorMs),
  };
}

export const NO_STORE = 'no-store';

/**
 * `Cache-Control` of an answer that was made from a kept value (RFC 9111, RFC 5861). Whole seconds, rounded down: nobody keeps it longer
 * than the policy does.
 *
 * @param shared whether caches that serve more than one user may keep it
 */
export function cacheControlOf(
  policy: Pick<Policy, 'freshness' | 'keep' | 'staleAllowed'>,
  entry: Pick<Entry, 'flags'> | undefined,
  lifetime: Lifetime | undefined,
  shared: boolean,
): string {
  if (policy.freshness === 'critical' || policy.keep === 'nothing' || !entry || !lifetime) return NO_STORE;
  if (entry.flags & FLAG.thrown) return NO_STORE;
  const visibility = shared ? 'public' : 'private';
  // The source is asked before each kept value is served; nobody downstream can do that by himself.
  if (policy.keep === 'validated') return `${visibility}, no-cache`;
  const parts = [visibility, `max-age=${seconds(lifetime.freshMs)}`];
  const revalidate = seconds(lifetime.whileRevalidateMs);
  const ifError = seconds(lifetime.ifErrorMs);
  if (revalidate > 0) parts.push(`stale-while-revalidate=${revalidate}`);
  if (ifError > 0) parts.push(`stale-if-error=${ifError}`);
  if (!policy.staleAllowed) parts.push('must-revalidate');
  return parts.join(', ');
}

/** Whether a request asks for the source's own answer (RFC 9111, 5.2.1.4). */
export function asksForSource(cacheControl: string | undefined): boolean {
  return cacheControl !== undefined && /(?:^|,)\s*no-cache\s*(?:,|$)/i.test(cacheControl);
}

export function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}

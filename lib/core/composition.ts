import type { Entry } from './entry.js';
import type { GenerationName, GenerationStamp } from './generations.js';
import type { Policy } from './policy.js';

/** Why a result must not be kept. */
export type UncacheableReason =
  | 'asked'
  /** An argument was changed after the call, before the method ran. */
  | 'key-changed'
  | 'inner-critical'
  | 'inner-private'
  /** It would be readable in the store. */
  | 'inner-encrypted'
  | 'inner-uncacheable'
  | 'unencodable'
  | 'too-old'
  | 'too-large'
  /** A function of the policy, such as `isAbsent`, threw. */
  | 'policy-threw';

/** What one guarded value, read inside a load, asks of the value that is made from it. */
export interface InnerValue {
  readonly domain: string;
  readonly softMs: number;
  readonly hardMs: number;
  readonly whileRevalidateMs: number;
  readonly ifErrorMs: number;
  readonly stamps: readonly GenerationStamp[];
  /** Set: whatever contains this value cannot be kept. */
  readonly uncacheable: UncacheableReason | undefined;
}

/** The strictest of what was read inside a load; grows as the load reads. Times are store times. */
export class Inheritance {
  softMs = Infinity;
  hardMs = Infinity;
  whileRevalidateMs = Infinity;
  ifErrorMs = Infinity;
  uncacheable: { readonly reason: UncacheableReason; readonly domain: string } | undefined;
  private readonly seen = new Map<GenerationName, number>();

  add(inner: InnerValue): void {
    if (inner.uncacheable) this.refuse(inner.domain, inner.uncacheable);
    this.softMs = Math.min(this.softMs, inner.softMs);
    this.hardMs = Math.min(this.hardMs, inner.hardMs);
    this.whileRevalidateMs = Math.min(this.whileRevalidateMs, inner.whileRevalidateMs);
    this.ifErrorMs = Math.min(this.ifErrorMs, inner.ifErrorMs);
    for (const { name, value } of inner.stamps) this.seen.set(name, Math.min(value, this.seen.get(name) ?? Infinity));
  }

  /** Whatever is made of it must not be kept. Of several reasons, that it is somebody's own is told. */
  refuse(domain: string, reason: UncacheableReason): void {
    if (!this.uncacheable || (reason === 'inner-private' && !this.personal)) this.uncacheable = { reason, domain };
  }

  /** The load knows what only some may know: so may what it gives, also by an error. */
  get personal(): boolean {
    return this.uncacheable?.reason === 'inner-private';
  }

  /** All of it, as one inner value. */
  whole(domain: string): InnerValue {
    const { softMs, hardMs, whileRevalidateMs, ifErrorMs } = this;
    const stamps = this.stamps([]);
    return { domain, softMs, hardMs, whileRevalidateMs, ifErrorMs, stamps, uncacheable: this.uncacheable?.reason };
  }

  /** `own` and what was inherited; of a generation in both, the older stamp. */
  stamps(own: readonly GenerationStamp[]): GenerationStamp[] {
    const all = new Map(this.seen);
    for (const { name, value } of own) all.set(name, Math.min(value, all.get(name) ?? Infinity));
    return [...all].map(([name, value]) => ({ name, value }));
  }
}

/**
 * What a value of `inner` asks of a value of `outer` that is made from it.
 *
 * @param entry without one, nothing vouches for the value
 * @param softMs when it was served stale: since when it is
 * @param sameOwner whether both are of one principal, where both are private
 */
export function asInner(
  inner: Policy,
  entry: Entry | undefined,
  outer: Policy,
  softMs?: number,
  sameOwner = false,
): InnerValue {
  const unvouched = entry === undefined || inner.keep !== 'entry' ? 'inner-uncacheable' : undefined;
  const uncacheable = whyNever(inner, outer, sameOwner) ?? unvouched;
  if (!entry)
    return { domain: inner.domain, softMs: 0, hardMs: 0, whileRevalidateMs: 0, ifErrorMs: 0, stamps: [], uncacheable };
  return {
    domain: inner.domain,
    softMs: Math.floor(softMs ?? Math.min(entry.softMs, entry.beganMs + softTtl(inner, outer))),
    hardMs: Math.min(entry.hardMs, entry.beganMs + inner.hardTtlMs),
    whileRevalidateMs: Math.min(entry.whileRevalidateMs, inner.whileRevalidateMs),
    ifErrorMs: Math.min(entry.ifErrorMs, inner.ifErrorMs),
    stamps: entry.stamps,
    uncacheable,
  };
}

/** Who does not hear when the inner value's event source falls silent must not go by more than its fallback. */
function softTtl({ freshBy: rests, softTtlMs }: Policy, { freshBy }: Policy): number {
  const asCareful =
    !rests ||
    (freshBy?.source === rests.source &&
      freshBy.fallbackTtlMs <= rests.fallbackTtlMs &&
      freshBy.withinMs <= rests.withinMs);
  return asCareful ? softTtlMs : Math.min(softTtlMs, rests.fallbackTtlMs);
}

/** Why what a load that asks for a value of `inner` makes of it, be it by an error or an absence, is never kept as one of `outer`. */
export function whyNever(inner: Policy, outer: Policy, sameOwner: boolean): UncacheableReason | undefined {
  return whyConfidential(inner, outer, sameOwner) ?? (inner.freshness === 'critical' ? 'inner-critical' : undefined);
}

/** Why what is known of `inner` must not be told by what is kept as a value of `outer`. */
export function whyConfidential(inner: Policy, outer: Policy, sameOwner: boolean): UncacheableReason | undefined {
  if (inner.scope === 'private' && !(outer.scope === 'private' && sameOwner)) return 'inner-private';
  if (inner.partition && inner.partition !== outer.partition) return 'inner-private';
  return inner.encrypt && !outer.encrypt ? 'inner-encrypted' : undefined;
}

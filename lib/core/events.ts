import type { UncacheableReason } from './composition.js';
import type { BypassReason } from './http/bypass.js';
import type { MissCause } from './decide.js';
import type { Failure } from './event-source.js';
import type { FenceReason } from './fence-reason.js';
import type { EntryKey } from './keys.js';
import type { SourceState } from './source-state.js';

export type InvalidationMode = 'expire' | 'remove' | 'purge';
export type InvalidationScope = 'key' | 'tag' | 'domain';
export type { FenceReason } from './fence-reason.js';

interface Of<T extends string> {
  readonly type: T;
  readonly domain: string;
}

interface OfKey<T extends string> extends Of<T> {
  /** The storage key. Not for labels: there are as many as there are keys. */
  readonly key: EntryKey;
}

/** A reader was answered from what is kept. */
export interface HitEvent extends OfKey<'hit'> {
  readonly state: 'fresh' | 'stale' | 'stale-on-error';
  readonly negative: boolean;
  /** `l1`: from the memory of this process. */
  readonly tier: 'l1' | 'l2';
  readonly ageMs: number;
  /** How long past the soft expiry; 0 when fresh. */
  readonly staleMs: number;
}

/** A reader could not be answered from the store. */
export interface MissEvent extends OfKey<'miss'> {
  readonly cause: MissCause;
}

/** A reader got what a load made that another reader had started in this process. */
export type CoalescedEvent = OfKey<'coalesced'>;

/** A loader was called and settled (or was given up at its time-out). */
export interface LoadEvent extends OfKey<'load'> {
  readonly outcome: 'value' | 'absent' | 'answer' | 'failed' | 'timeout' | 'aborted';
  readonly background: boolean;
  readonly ms: number;
}

/** A load's value became the cached value. */
export interface AcceptedEvent extends OfKey<'accepted'> {
  readonly via: 'load' | 'put' | 'not-modified';
  readonly loadMs: number;
}

export interface LeaseEvent extends OfKey<'lease'> {
  readonly outcome: 'won' | 'refused' | 'lost' | 'backing-off';
}

export interface FencedEvent extends OfKey<'fenced'> {
  readonly reason: FenceReason;
}

export interface UncacheableEvent extends OfKey<'uncacheable'> {
  /** Who loaded it: `Class.method`, or the target's `origin`. */
  readonly origin: string;
  readonly reason: UncacheableReason;
  /** What in the value, or which inner domain, is the reason. */
  readonly detail: string;
}

/** A value that the codec cannot hold; it is returned uncached. */
export interface UnencodableEvent extends OfKey<'unencodable'> {
  readonly code: 'CG_UNENCODABLE';
  readonly origin: string;
  readonly path: string;
  readonly detail: string;
}

/** Foreign or damaged bytes under a key; read as a miss. */
export interface CorruptEvent extends OfKey<'corrupt'> {
  readonly detail: string;
}

export interface InvalidationEvent extends Of<'invalidation'> {
  readonly scope: InvalidationScope;
  readonly mode: InvalidationMode;
  /**
   * `pending`: the store was away, it is kept and carried out first on its return; `carried-out`: that has happened; `coarsened`: so
   * many were kept, or wanted by a rule for one event, that all of the domain was put in their place; `failed`: it was still kept when
   * the guard was closed.
   */
  readonly outcome: 'applied' | 'pending' | 'carried-out' | 'coarsened' | 'failed';
  readonly count: number;
  /** The rule that gave too many keys or tags for one event, where that is why it was `coarsened`. */
  readonly rule?: string | undefined;
}

export type WaitTimeoutEvent = OfKey<'wait-timeout'>;

export interface OverloadEvent extends OfKey<'overload'> {
  readonly bound: 'bulkhead' | 'keys-in-flight' | 'keys-in-flight-per-principal';
}

interface OfNobody<T extends string> extends Of<T> {
  /** The code or class of what `partition`, or the module's `principal`, threw; `undefined`: it gave nothing. */
  readonly error: string | undefined;
}

/** A call that could not be cached because its domain's partition gave nothing. */
export type UnpartitionedEvent = OfNobody<'unpartitioned'>;
/** A call of scope `'private'` that could not be cached because nobody can tell whom it is for. */
export type NoPrincipalEvent = OfNobody<'no-principal'>;

/** A call of a cached route went past the cache, or what it gave was not kept. */
export interface BypassEvent extends Of<'bypass'> {
  /** `Class.method`. */
  readonly origin: string;
  readonly reason: BypassReason;
}

/** The store did not answer in time or refused; the request goes on without it. */
export interface StoreErrorEvent extends Of<'store-error'> {
  readonly operation: 'read' | 'acquire' | 'renew' | 'commit' | 'release' | 'invalidate';
  readonly error: unknown;
}

/** The store went away, answers again, or can be trusted in full again. */
export interface StoreStateEvent {
  readonly type: 'store-state';
  readonly domain?: undefined;
  /**
   * `settling`: it answers, and what was cached before it went away is not taken for fresh until every process that is alive has
   * carried out the invalidations that it kept.
   */
  readonly state: 'away' | 'settling' | 'up';
  /** How long it was away; milliseconds. */
  readonly awayMs: number;
}

/** The memory tier may serve as fresh, or no longer: the way that invalidations take is proven alive, or is not. */
export interface TrustEvent {
  readonly type: 'l1-trust';
  readonly domain?: undefined;
  readonly trusted: boolean;
}

export type AdviceCode =
  'unsupported-version' | 'evicting-policy' | 'no-memory-limit' | 'little-headroom' | 'plaintext' | 'evicting';

/** The store's version, settings or load need somebody's attention. */
export interface AdviceEvent {
  readonly type: 'advice';
  readonly domain?: undefined;
  readonly code: AdviceCode;
  readonly text: string;
}

/** The breaker on a domain's loader opened or closed. */
export interface LoaderBreakerEvent extends Of<'loader-breaker'> {
  readonly state: 'open' | 'closed';
}

interface OfSource<T extends string> {
  readonly type: T;
  readonly domain?: undefined;
  /** The event source's name. */
  readonly source: string;
}

/** Domain events were delivered and dealt with. */
export interface DomainEventsEvent extends OfSource<'domain-events'> {
  /**
   * `unmatched`: no rule follows their type. `retry`: an action or a rule failed; they come again. `later`: the store is away; they come
   * again. `poison`: no event, or one that no repeat will help.
   */
  readonly outcome: 'applied' | 'duplicate' | 'unmatched' | 'retry' | 'later' | 'poison';
  readonly count: number;
  /** Why, for the last three; of the first of them. May quote the event. */
  readonly reason: string | undefined;
  /** Which one that was, and where it failed. */
  readonly failed?: FailedEvent | undefined;
}

/** An event that failed; nothing of it but its type and id. */
export interface FailedEvent extends Failure {
  /** Not known of what is no event, as is the id. */
  readonly eventType?: string | undefined;
  readonly eventId?: string | undefined;
}

/** An event was put aside after its last try. */
export interface DeadLetterEvent extends OfSource<'dead-letter'> {
  /** May quote the event. */
  readonly reason: string;
  readonly failed?: FailedEvent | undefined;
  /** The domains that were invalidated as a whole, because the event may have concerned anything of them. */
  readonly domains?: readonly string[];
}

/** Events were lost on their way: the domains that follow the source were invalidated as a whole. */
export interface EventGapEvent extends OfSource<'event-gap'> {
  readonly reason: string;
}

/** How old the oldest event is that has not been dealt with. */
export interface EventLagEvent extends OfSource<'event-lag'> {
  readonly lagMs: number;
}

/** A source could not be reached, or not be read. */
export interface EventSourceErrorEvent extends OfSource<'event-source-error'> {
  readonly error: unknown;
}

/** Whether domains that are kept fresh by a source may rely on it; else their fallback is in force. */
export interface EventSourceStateEvent extends OfSource<'event-source-state'> {
  readonly state: SourceState;
  /** Those for which it has changed: they differ in how late a source may be. */
  readonly domains: readonly string[];
}

/** A refresh after an event was not carried out; the value is loaded when somebody asks for it. */
export interface RefreshSkippedEvent extends OfKey<'refresh-skipped'> {
  /**
   * `fresh`: somebody else has loaded it since. `no-arguments`: none came with the event, and none are recorded, or they make another key.
   * `queue-full`: too many were waiting. `private`: the value is somebody's, and a load in the background has nobody's permissions.
   */
  readonly reason:
    | 'no-method'
    | 'no-arguments'
    | 'not-recordable'
    | 'request-scoped'
    | 'private'
    | 'fresh'
    | 'failed'
    | 'queue-full'
    | 'closed';
}

/** How far a comparison of what is cached with the source has come. */
export interface ReconciliationEvent extends Of<'reconciliation'> {
  readonly state: 'running' | 'done' | 'stopped' | 'failed';
  readonly checked: number;
  readonly drifted: number;
  readonly repaired: number;
  /** Entries that could not be compared. */
  readonly unchecked: number;
  /** Age of the oldest entry that had drifted, milliseconds; 0 when none had. */
  readonly oldestDriftMs: number;
  /** Why it was stopped or failed. */
  readonly error: unknown;
}

/** How far warming has come. */
export interface WarmingEvent extends Of<'warming'> {
  readonly name: string;
  readonly state: 'running' | 'done' | 'stopped' | 'failed';
  readonly done: number;
  readonly failed: number;
  /** Fresh already. */
  readonly skipped: number;
  /** `undefined` for what does not say how much it is. */
  readonly total: number | undefined;
  /** Why it failed; else the first failure of a key, if there was one. */
  readonly error: unknown;
}

export type CacheGuardEvent =
  | DomainEventsEvent
  | DeadLetterEvent
  | EventGapEvent
  | EventLagEvent
  | EventSourceErrorEvent
  | EventSourceStateEvent
  | RefreshSkippedEvent
  | ReconciliationEvent
  | WarmingEvent
  | HitEvent
  | MissEvent
  | CoalescedEvent
  | LoadEvent
  | AcceptedEvent
  | LeaseEvent
  | FencedEvent
  | UncacheableEvent
  | UnencodableEvent
  | CorruptEvent
  | InvalidationEvent
  | WaitTimeoutEvent
  | OverloadEvent
  | UnpartitionedEvent
  | NoPrincipalEvent
  | BypassEvent
  | StoreErrorEvent
  | StoreStateEvent
  | TrustEvent
  | AdviceEvent
  | LoaderBreakerEvent;

export type CacheGuardListener = (event: CacheGuardEvent) => void;

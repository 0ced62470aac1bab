import type { Duration } from './durations.js';
import type { CacheGuardEvent, InvalidationMode } from './events.js';
import type { KeyPart } from './keys.js';
import type { FreshnessOverrides, Policy, Scope } from './policy.js';
import type { ValueOptions } from './values.js';

/** Whose value is meant, where it is private. */
export interface OwnerTarget {
  /** `'private'` where a method narrows its domain's scope, so that its keys are meant. Default: the domain's. */
  readonly scope?: Scope | undefined;
  /**
   * Whose value, for code that runs for somebody else or for nobody, such as a worker; implies scope `'private'`. Default: the
   * caller's, as the module's `principal` says. A read or a put for another than the caller's own is refused.
   */
  readonly principal?: string | undefined;
}

/** Names one key of one domain. */
export interface KeyTarget extends OwnerTarget {
  readonly domain: string;
  readonly key: KeyPart;
  /** The `name` under which a guarded method keeps its keys apart; left out: the domain's own space. */
  readonly name?: string | undefined;
}

/** What a loaded value becomes before it is kept, or handed to anybody. What it throws is thrown by the load. */
export type Project<Loaded, T> = { bivarianceHack(value: Loaded): T }['bivarianceHack'];

/** What `getOrLoad`, `refresh` and `put` need to know. */
export interface ReadTarget<T = unknown> extends KeyTarget, FreshnessOverrides, ValueOptions<T> {
  /** Redacts: what it leaves out is never stored, and no reader gets it. */
  readonly project?: Project<T, T> | undefined;
  readonly tags?: readonly string[];
  /** Who asks, for events, logs and provenance. Default: `name`, else `getOrLoad`. */
  readonly origin?: string | undefined;
  /** Ends this caller's wait; the load goes on while others want it. */
  readonly signal?: AbortSignal | undefined;
}

/** A `ReadTarget` whose loads give another type than its readers get. */
export interface ProjectedTarget<Loaded, T> extends Omit<ReadTarget<T>, 'project'> {
  readonly project: (value: Loaded) => T;
}

export interface InvalidateTarget extends OwnerTarget {
  readonly domain: string;
  readonly key?: KeyPart;
  readonly keys?: readonly KeyPart[];
  readonly name?: string | undefined;
  /**
   * `expire` marks stale, so that stale serving leaves no miss window; `remove` takes away; `purge` also erases the bytes at once.
   * Default: `expire` where the domain allows stale serving, else `remove`.
   */
  readonly mode?: InvalidationMode;
}

export interface InvalidateTagsTarget {
  readonly domain: string;
  readonly tags: readonly string[];
  readonly mode?: InvalidationMode;
}

/**
 * `applied`: every process sees it from now on. `pending`: the store is away; this process goes by it from now on, and carries it out
 * first when the store is back. What is pending dies with the process.
 */
export interface InvalidationResult {
  readonly outcome: 'applied' | 'pending';
}

/**
 * `stored`: whether the value is the cached one; if not, why (an overlapping invalidation or write, a newer version, the value, a store
 * that is away: then an invalidation of the key is `pending`).
 */
export interface PutResult {
  readonly outcome: 'applied' | 'pending';
  readonly stored: boolean;
  readonly reason?: 'overlapped' | 'older-version' | 'uncacheable' | 'store-away';
}

/** What is known of a served value; for banners, traces and `explain`. */
export interface ServedValue {
  readonly domain: string;
  /** As the store knows it; empty where nothing is kept, because nobody can tell whose it would be. */
  readonly key: string;
  /** `loaded`: by this reader's wait. `stale`: past its soft TTL or invalidated, served by policy. */
  readonly state: 'fresh' | 'stale' | 'loaded' | 'uncached';
  readonly ageMs: number;
  readonly staleMs: number;
  readonly version: bigint | undefined;
  readonly etag: string | undefined;
  readonly negative: boolean;
}

export interface PeekedValue<T> extends ServedValue {
  readonly value: T;
}

export interface ExplainOptions {
  /** Also gives the value; refused as a read where it is private to somebody else. Default: `false`. */
  readonly value?: boolean;
}

/** An event that is about one key. */
export type KeyEvent = Extract<CacheGuardEvent, { readonly key: string }>;

/** Something that has happened to a key. */
export interface RecentEvent {
  readonly agoMs: number;
  readonly event: KeyEvent;
}

/** Of a policy, what says how old an answer may be and who gets it. */
export type PolicyInForce = Pick<
  Policy,
  | 'scope'
  | 'keep'
  | 'softTtlMs'
  | 'hardTtlMs'
  | 'whileRevalidateMs'
  | 'ifErrorMs'
  | 'staleAllowed'
  | 'encrypt'
  | 'hashKeys'
> & {
  /** The event source of `freshBy` is not known to be alive: its `fallbackTtl` is in force. */
  readonly fallback: boolean;
};

/** Why a key is answered as it is; not the value, unless it is asked for. */
export interface Explanation extends Pick<Policy, 'domain' | 'freshness' | 'owner' | 'because'> {
  /** The storage key. */
  readonly key: string;
  readonly policy: PolicyInForce;
  /** `away`: it did not answer, or has not been told of an invalidation yet; the rest is what this process knows. */
  readonly store: 'answered' | 'away';
  /** Who may load alone now, in the whole fleet; `undefined`: nobody, or it cannot be told. */
  readonly lease: { readonly holder: 'this-process' | 'another'; readonly remainingMs: number } | undefined;
  /**
   * Why the last answers of this process were what they were: misses, stale hits, loads and the like, oldest first. Of the last 1000
   * such keys, the last 8 each. Fresh hits are not noted.
   */
  readonly recent: readonly RecentEvent[];
  /** Only if it was asked for and there is one: as it is kept, without `revive`. */
  readonly value?: unknown;
  readonly decision: 'serve-fresh' | 'serve-stale' | 'validate' | 'load' | 'pass';
  readonly cause: string | undefined;
  readonly entry:
    | {
        readonly ageMs: number;
        readonly softInMs: number;
        readonly hardInMs: number;
        readonly loadMs: number;
        readonly bytes: number;
        readonly version: bigint | undefined;
        readonly etag: string | undefined;
        readonly negative: boolean;
        readonly provenance: string;
        readonly generations: readonly string[];
      }
    | undefined;
}

/**
 * What a load can see and say; the argument of `getOrLoad`'s loader, and `loadContext()` in a decorated method. `T` is what is kept,
 * `Loaded` what the load gives, where the two differ (`project`).
 */
export interface LoadContext<T = unknown, Loaded = T> {
  /** Aborted at the load time-out, or when nobody wants the result any more. */
  readonly signal: AbortSignal;
  /** What is kept of the last load, for a conditional request to the source. */
  readonly previous:
    { readonly value: T; readonly version: bigint | undefined; readonly etag: string | undefined } | undefined;
  /** This result goes to its caller only. */
  readonly doNotCache: () => void;
  /** For this result, within the policy: never longer than what the policy allows. */
  readonly setTtl: (ttl: { readonly softTtl?: Duration; readonly hardTtl?: Duration }) => void;
  /** A bigint is an order (an older one never replaces a newer one), a text is an etag (equality only). */
  readonly setVersion: (version: bigint | string) => void;
  /** `return context.notModified()`: the previous value is current, its TTL starts anew. Throws `CG_NOTHING_TO_KEEP` without one. */
  readonly notModified: () => Loaded;
}

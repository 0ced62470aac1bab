import type { Codec } from './codec.js';
import type { Duration } from './durations.js';

/**
 * What a bounded context says about the freshness of its data.
 *
 * - `reference`: minutes to hours stale is fine (branches, product catalogues).
 * - `experience`: briefly stale is fine (offers, recommendations).
 * - `operational`: seconds; soft TTL, hard TTL and stale policy must be spelled out.
 * - `critical`: financial or security state; never stale, never in process memory, no negative caching.
 */
export type FreshnessClass = 'reference' | 'experience' | 'operational' | 'critical';

/** RFC 5861 windows, each counted from the soft TTL and bounded by the hard TTL. */
export interface StaleWindows {
  /** How long after the soft TTL the old value is served at once while one refresh runs behind. */
  readonly whileRevalidate?: Duration;
  /** How long after the soft TTL the old value replaces a failed or slow load; default: `whileRevalidate`. */
  readonly ifError?: Duration;
}

/**
 * - `never`: nothing past the soft TTL is served; what is kept until the hard TTL serves conditional refresh only.
 * - `if-error`: readers wait for the load; the old value if it fails or outlasts the soft time-out.
 * - `while-revalidate`: the old value at once and one refresh behind; implies `if-error`.
 * - `validate`: a version probe of the source before each kept value is served.
 * - `no-store`: coalesced and bulkheaded, never kept.
 */
export type StalePolicy = 'never' | 'if-error' | 'while-revalidate' | 'validate' | 'no-store' | StaleWindows;

/** The tier in this process's memory, before the store. */
export interface L1Config {
  /** Default 1000, at most a million. Beyond it the least recently used goes. */
  readonly maxEntries?: number;
  /** Of payloads, with what belongs to them. Default 16 MiB. */
  readonly maxBytes?: number;
  /** After this the store is asked again, whatever is left of the soft TTL. Default: no bound; in an `operational` domain `'1s'`. */
  readonly maxAge?: Duration;
}

/** How a load ended, for `isAbsent`. */
export type LoadOutcome = { readonly value: unknown } | { readonly error: unknown };

/** Who may be given a value: everybody who asks for its key, or only the principal for whom it was loaded. */
export type Scope = 'public' | 'private';

/** The part of a policy that one method may narrow or widen within its class; `scope` may be narrowed only. */
export interface FreshnessOverrides {
  /** Fresh until this long after the loader was called. Default: by class. */
  readonly softTtl?: Duration;
  /** Kept, and at most servable, until this long after the loader was called. Default: soft TTL plus the stale windows. */
  readonly hardTtl?: Duration;
  readonly stalePolicy?: StalePolicy;
  /**
   * `'private'`: the principal (see the module's `principal`) is part of every key, and without one nothing is cached. Default `'public'`.
   */
  readonly scope?: Scope | undefined;
}

/** What a domain registers in `forRoot`, `forRootAsync` or `forFeature`. */
export interface DomainPolicyConfig extends FreshnessOverrides {
  readonly freshness: FreshnessClass;
  /** Share (0 to 0.5) by which TTLs are randomly shortened, so that cohorts do not expire together. Default 0.1. */
  readonly jitter?: number;
  /**
   * How long an absence is kept, at most the soft TTL; `'off'`: absence is not distinguished, a `null` is a value like
   * any other and no throw is kept. Default: by class.
   */
  readonly negativeTtl?: Duration | 'off';
  /** Which results or throws are absence. Default: a result of `null` or `undefined`, and no throw. */
  readonly isAbsent?: (outcome: LoadOutcome) => boolean;
  /** Which throws are failures of the source rather than answers. Default: all but an `HttpException` below 500 and what `isAbsent` accepts. */
  readonly isFailure?: (error: unknown) => boolean;

  /** How long one reader waits at most, everything included. Default: twice the load time-out plus one lease. */
  readonly waitBudget?: Duration;
  /** After this a load is aborted and counts as failed. Default `'10s'`. */
  readonly loadTimeout?: Duration;
  /** After this a reader who may have the old value gets it while the load goes on. Default `'500ms'`. */
  readonly softTimeout?: Duration;
  /** Pause after a failed load where an old value is permitted; doubles up to `max`. Default `1s` to `30s`. */
  readonly backoff?: { readonly base?: Duration; readonly max?: Duration };

  /** `keys: 'none'` lifts the exclusion between processes, never the fencing. Default `all`, leases of `'2s'`, renewed. */
  readonly lease?: { readonly keys?: 'all' | 'none'; readonly duration?: Duration };
  /** Concurrent loads per process and how many may queue for a place. Default 16 and 1000. */
  readonly bulkhead?: { readonly concurrency?: number; readonly queue?: number };
  /** Cap on loads per second of the whole fleet; the processes that are alive share it. Default: none. */
  readonly maxLoadsPerSecond?: number;
  /**
   * After so many failures of the loader in a row, over all keys, it is left alone for the pause, and then tried with one load at a
   * time; the pause doubles up to 30 s. Meanwhile a permitted old value is served, else `CG_SOURCE_BROKEN` thrown. Default: none;
   * `pause` `'1s'`.
   */
  readonly breaker?: { readonly failures: number; readonly pause?: Duration };
  /** `false`: every read asks the store. Default: on where stale serving is allowed; elsewhere it cannot be had. */
  readonly l1?: false | L1Config;
  /** Bound on distinct keys with a load in flight, per process. Default 10,000. */
  readonly maxKeysInFlight?: number;
  /** The same for each principal, where there is one: nobody takes all of `maxKeysInFlight` for himself. Default 100. */
  readonly maxKeysInFlightPerPrincipal?: number;
  /** How long readers load for themselves after a result turned out to be uncacheable. Default `'5s'`. */
  readonly hitForMiss?: Duration;

  /** Default `'json'`: plain JSON, or a JSON dialect that keeps Date, BigInt, Map, Set, undefined. `'binary'` needs `msgpackr`. */
  readonly codec?: 'json' | 'binary' | Codec;
  /** Payloads of at least this many bytes are compressed; `false`: never. Default 16384. */
  readonly compressAbove?: number | false;
  /**
   * Bytes that a value may take before compression. A larger one is handed out and not kept, and what claims to be one in the store is a
   * miss. Default 4 MiB, at most 256 MiB.
   */
  readonly maxValueBytes?: number;
  /** Change it with the shape of the values: entries of another schema version are misses. Default `'1'`. */
  readonly schemaVersion?: string | number;
  /** How long after an entry's hard expiry an older version is still refused. Default `'1h'`. */
  readonly versionWindow?: Duration;
  /** The current version or etag of a key at the source, for `stalePolicy: 'validate'`. Must be cheap. */
  readonly probe?: (key: unknown) => Promise<bigint | string | undefined>;
  /** A tenant, user or other partition that becomes part of every key. `undefined`: the call is not cached. */
  readonly partition?: () => string | undefined;
  /**
   * `true`: keys, tags, partitions and principals appear in the store, in events and in logs as a keyed hash (HMAC-SHA-256 with the
   * module's `keySecret`) only. Default `false`: short harmless ones are readable, others a plain hash.
   */
  readonly hashKeys?: boolean;
  /**
   * `true`: values, etags and recorded arguments are encrypted in the store with the module's `encryption` keys, and nothing is taken from
   * it that is not. Default `false`.
   */
  readonly encrypt?: boolean;

  /** The event source that keeps this domain fresh. Default: none; the TTLs hold as they are. */
  readonly freshBy?: FreshByConfig;
  /** Compares what is cached with the source in regular intervals and mends what events have missed. Default: never. */
  readonly reconcile?: ReconcileConfig;

  /** The team that answers for this policy. */
  readonly owner?: string;
  /** Why this staleness is acceptable. */
  readonly because?: string;
}

/** A domain whose long TTLs rest on events. */
export interface FreshByConfig {
  /** The name of an event source. */
  readonly source: string;
  /** The soft TTL while the source is not known to be alive, or is late. */
  readonly fallbackTtl: Duration;
  /** How late the source may be. Default `'5s'`. */
  readonly within?: Duration;
}

/** How what is cached of a domain is compared with the source. */
export interface ReconcileConfig {
  /** From the start of one run to the start of the next; one process of the fleet runs it. */
  readonly every: Duration;
  /**
   * The versions that the source has now, in the order of the keys as they were given to the cache: a bigint as in `setVersion`, a text
   * for an etag, `undefined` for what does not exist. Its signal is aborted at the load time-out, and when the run ends before.
   */
  readonly versions: (
    keys: readonly unknown[],
    context: { readonly signal: AbortSignal },
  ) => Promise<readonly (bigint | string | undefined)[]>;
  /** How many keys one call of `versions` is given. Default 500. */
  readonly batch?: number;
}

export type DomainPolicies = Readonly<Record<string, DomainPolicyConfig>>;

/** A domain's policy with every default applied and every duration in milliseconds. */
export interface Policy {
  readonly domain: string;
  readonly freshness: FreshnessClass;
  readonly keep: 'entry' | 'validated' | 'nothing';
  readonly softTtlMs: number;
  readonly hardTtlMs: number;
  /** Windows after the soft TTL; 0 when not allowed. */
  readonly whileRevalidateMs: number;
  readonly ifErrorMs: number;
  readonly staleAllowed: boolean;
  readonly jitter: number;
  readonly negativeTtlMs: number | undefined;
  readonly isAbsent: (outcome: LoadOutcome) => boolean;
  readonly isFailure: (error: unknown) => boolean;
  readonly waitBudgetMs: number;
  readonly loadTimeoutMs: number;
  readonly softTimeoutMs: number;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly exclusive: boolean;
  readonly leaseMs: number;
  readonly concurrency: number;
  readonly queue: number;
  /** Infinity: none. */
  readonly maxLoadsPerSecond: number;
  readonly breaker: { readonly failures: number; readonly pauseMs: number } | undefined;
  readonly l1: { readonly maxEntries: number; readonly maxBytes: number; readonly maxAgeMs: number } | undefined;
  readonly maxKeysInFlight: number;
  readonly maxKeysInFlightPerPrincipal: number;
  readonly hitForMissMs: number;
  readonly codec: 'json' | 'binary' | Codec;
  readonly compressAbove: number;
  readonly maxValueBytes: number;
  readonly schema: string;
  readonly versionWindowMs: number;
  readonly probe: ((key: unknown) => Promise<bigint | string | undefined>) | undefined;
  readonly partition: (() => string | undefined) | undefined;
  readonly scope: Scope;
  readonly hashKeys: boolean;
  readonly encrypt: boolean;
  readonly freshBy: { readonly source: string; readonly withinMs: number; readonly fallbackTtlMs: number } | undefined;
  readonly reconcile:
    { readonly everyMs: number; readonly versions: ReconcileConfig['versions']; readonly batch: number } | undefined;
  readonly owner: string | undefined;
  readonly because: string | undefined;
}

/** Whether keys and arguments of calls must not be written anywhere as they are. */
export function isConfidential({ hashKeys, encrypt }: Pick<Policy, 'hashKeys' | 'encrypt'>): boolean {
  return hashKeys && !encrypt;
}

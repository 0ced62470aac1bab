import type { AdviceCode, InvalidationMode } from './events.js';
import type { Board, Records, WalkedEntry } from './fleet-notes.js';
import type { GenerationName, Generations } from './generations.js';
import type { EntryKey } from './keys.js';
import type { Ledger } from './ledger.js';

/** What a read gives. Readers of one tick may be given the same reply object; it is never changed. */
export interface ReadReply {
  readonly bytes: Buffer | undefined;
  readonly generations: Generations;
  /** Identity of the store process that answered for the entry. */
  readonly epoch: number;
  /** Store time, rounded so that values look older. */
  readonly nowMs: number;
}

export interface AcquireRequest {
  readonly key: EntryKey;
  /** Unique for every attempt, also of one process. */
  readonly token: string;
  /** Fetched in the same round trip, and created where the store has none. */
  readonly generations: readonly GenerationName[];
  /** How long a generation must at least outlive this moment. */
  readonly generationTtlMs: number;
  /** The id of the entry that the caller saw, `''` if it saw none; `undefined`: it does not matter. */
  readonly seenId: string | undefined;
  readonly leaseMs: number;
  /** `exclusive`: one at a time; `shared`: registers the token for fencing only. */
  readonly mode: 'exclusive' | 'shared';
  /** Whether to be refused while failures of this key back off. */
  readonly honourBackoff: boolean;
}

/** Who may make a key's value alone, and how long still. */
export interface HeldLease {
  readonly token: string;
  readonly remainingMs: number;
}

export type AcquireReply =
  /** `nowMs` is the store time of the grant (with its microseconds as a fraction), not later than any load that follows. */
  | { readonly kind: 'granted'; readonly generations: Generations; readonly epoch: number; readonly nowMs: number }
  /** The entry is no longer the one that the caller saw. */
  | { readonly kind: 'changed'; readonly reply: ReadReply }
  /** Another attempt holds the lease; this process will be woken. `nowMs`: the store time of the refusal. */
  | { readonly kind: 'held'; readonly remainingMs: number; readonly nowMs: number }
  | { readonly kind: 'backing-off'; readonly remainingMs: number };

export interface CommitRequest {
  readonly key: EntryKey;
  readonly token: string;
  /** From the grant. A store of another epoch refuses. */
  readonly epoch: number;
  /**
   * `fill`: a load's value. `put`: a write; voids all other attempts. `extend`: only if the entry is still `seenId`.
   * `clear`: nothing is kept and what is there goes.
   */
  readonly kind: 'fill' | 'put' | 'extend' | 'clear';
  readonly seenId: string | undefined;
  /** A whole entry; empty for `clear`. */
  readonly bytes: Buffer;
  /** Store time at which the entry must be gone. */
  readonly hardMs: number;
  readonly versionWindowMs: number;
  /** Re-read in the same round trip. */
  readonly generations: readonly GenerationName[];
}

export interface CommitReply {
  readonly outcome: 'committed' | 'fenced-token' | 'fenced-epoch' | 'fenced-version' | 'superseded';
  readonly generations: Generations;
}

/** A version that the source is known to have reached. */
export interface KnownVersion {
  readonly version: bigint;
  /** How long an older one is refused. */
  readonly windowMs: number;
}

export interface ReleaseRequest {
  readonly key: EntryKey;
  readonly token: string;
  /** Set exactly when the load failed: how long attempts that honour it stay away, 0 for not at all. */
  readonly backoff: { readonly baseMs: number; readonly maxMs: number } | undefined;
}

/** A proof of life, asked for in regular intervals. */
export interface BeatRequest {
  /** Grows by one with each; comes back in the signal `heard`. */
  readonly beat: number;
  /** No invalidation that this process was asked for is still to be carried out. */
  readonly settled: boolean;
  /** How long ago this process lost the store and found it again, milliseconds; `undefined` when it was not away. */
  readonly outage: { readonly lostForMs: number; readonly backForMs: number } | undefined;
}

export interface BeatReply {
  /** Processes that have beaten as settled in the last `LIVE_MS`; with this one, if it is settled, at least 1. */
  readonly live: number;
  /** Processes that had beaten in the last `KNOWN_MS` before the outage, and have not beaten as settled since it was over. */
  readonly unsettled: number;
}

/** A process whose last beat is older than this is not counted as alive. */
export const LIVE_MS = 3_000;

/** For so long a process that is not heard may still have something pending. */
export const KNOWN_MS = 30_000;

/** What a store tells every process, or the one that waits. `atMs` is store time, with its microseconds as a fraction. */
export type Signal = KeySignal | HealthSignal;

export type KeySignal =
  /** A lease that this process waits for has ended. `loaded`: its load came to an end, well or not; else it was given up. */
  | { readonly kind: 'released'; readonly key: EntryKey; readonly atMs: number; readonly loaded: boolean }
  /** Every attempt on the key that was granted up to `atMs` is void. */
  | { readonly kind: 'invalidated'; readonly key: EntryKey; readonly atMs: number }
  /** A still fresh value was replaced; attempts are untouched. */
  | { readonly kind: 'replaced'; readonly key: EntryKey }
  | { readonly kind: 'advanced'; readonly generation: GenerationName; readonly value: number };

export type HealthSignal =
  /** A beat of this process has come back over the way that signals take: whatever was signalled before it was sent has arrived. */
  | { readonly kind: 'heard'; readonly beat: number }
  /** Signals may have been lost: a connection was, or another server answers. */
  | { readonly kind: 'gap' }
  /** Commands do not reach a server; `over`: they did not, and a beat has just been answered. */
  | { readonly kind: 'lost'; readonly over?: boolean }
  /** The server's version, settings or load need somebody's attention. */
  | { readonly kind: 'advice'; readonly code: AdviceCode; readonly text: string };

/**
 * Where entries, leases and generations live. Each call is one atomic step for its key; each is bounded in time by the store
 * itself and rejects with `CacheGuardStoreError` when the store does not answer.
 *
 * A call is *sent* not before it was made; a reply never reflects a state older than the call.
 */
export interface Store {
  /** It lives outside of this process: its signals can be lost, it can be away, and a tier in memory before it pays. */
  readonly remote: boolean;
  /** Which events were dealt with, by whichever process. */
  readonly ledger: Ledger;
  readonly records: Records;
  readonly board: Board;
  /**
   * Starts it; resolves when it is usable, or after a bounded time when it is not yet. Rejects only for what no waiting mends, with
   * `CacheGuardConfigError`.
   */
  open(): Promise<void>;
  /** Store time where `key` lives, rounded so that values look older. Throws `CacheGuardStoreError` while it is not known. */
  now(key: EntryKey): number;
  read(key: EntryKey, generations: readonly GenerationName[]): Promise<ReadReply>;
  acquire(request: AcquireRequest): Promise<AcquireReply>;
  /** `false`: the token is void. */
  renew(key: EntryKey, token: string, leaseMs: number): Promise<boolean>;
  /** Who holds the key's lease, for who wants to know; changes nothing. `undefined`: nobody. */
  lease(key: EntryKey): Promise<HeldLease | undefined>;
  commit(request: CommitRequest): Promise<CommitReply>;
  release(request: ReleaseRequest): Promise<void>;
  /**
   * Voids every attempt on the key and marks stale (`expire`) or takes away what is cached. With a version, leaves all alone if what is
   * cached is as new; else nothing older is accepted any more.
   */
  invalidate(key: EntryKey, mode: InvalidationMode, known?: KnownVersion): Promise<void>;
  /** Moves a generation. */
  advance(generation: GenerationName, mode: InvalidationMode, ttlMs: number): Promise<void>;
  /** Erases the bytes of a domain's entries for which `doomed` says so, in bounded batches; resolves to their number. */
  sweep(domain: string, doomed: (bytes: Buffer) => boolean): Promise<number>;
  /** A domain's entries, in bounded batches that do not block the store; one that comes or goes meanwhile may be left out or come twice. */
  walk(domain: string, batch: number): AsyncIterable<readonly WalkedEntry[]>;
  /** Proves that the store answers; on each way that signals can take, `heard` follows. Also tells which processes are alive. */
  beat(request: BeatRequest): Promise<BeatReply>;
  onSignal(listener: (signal: Signal) => void): void;
  /** Ends every connection and timer; calls under way reject. */
  close(): Promise<void>;
}

import { setImmediate } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.js';
import { FLAG } from '../../core/entry.js';
import { CacheGuardStoreError } from '../../core/errors.js';
import type { InvalidationMode } from '../../core/events.js';
import type { WalkedEntry } from '../../core/fleet-notes.js';
import type { GenerationName } from '../../core/generations.js';
import type { EntryKey } from '../../core/keys.js';
import type {
  AcquireReply,
  AcquireRequest,
  BeatReply,
  CommitReply,
  CommitRequest,
  KnownVersion,
  ReadReply,
  ReleaseRequest,
  Signal,
  Store,
} from '../../core/store.js';
import { versionBytes } from '../../core/version.js';
import { beganOf, hardOf, hasFlag, idOf, isAsNew, isFresh, markedStale, tombstone, versionOf } from './entry-bytes.js';
import { GenerationTable } from './generation-table.js';
import { Lease } from './lease.js';
import { MemoryLedger } from './memory-ledger.js';
import { MemoryBoard, MemoryRecords } from './memory-notes.js';
import { StoreTime } from './store-time.js';

export interface MemoryStoreOptions {
  readonly clock: Clock;
  /** What a server's identity is to a shared store. Default: 1. */
  readonly epoch?: number | undefined;
  /**
   * How many entries are kept before the least recently used goes. Default: 10 000. Leases and generations are bounded in
   * proportion; one that is pushed out counts as lost, which is always safe: its attempts are void, its entries not fresh.
   */
  readonly maxEntries?: number | undefined;
}

const DEFAULT_MAX_ENTRIES = 10_000;
/** Also under a small `maxEntries`, loads under way must not push each other out. */
const MIN_LEASES = 1_000;
const GENERATIONS_PER_ENTRY = 4;
const TOMBSTONE_MS = 60_000;
const SWEEP_BATCH = 256;

interface Kept {
  /** Never changed in place, never handed out: a caller may do with its copy what it likes. */
  readonly bytes: Buffer;
  readonly untilMs: number;
}

/** The embedded store: what a fleet shares through Redis, within one process. */
export class MemoryStore implements Store {
  readonly remote = false;
  readonly ledger = new MemoryLedger(() => this.enter());
  readonly records: MemoryRecords;
  readonly board: MemoryBoard;
  private readonly time: StoreTime;
  private readonly epoch: number;
  private readonly entries: LRUCache<EntryKey, Kept>;
  private readonly leases: LRUCache<EntryKey, Lease>;
  private readonly generations: GenerationTable;
  private listeners: ((signal: Signal) => void)[] = [];
  private closed = false;

  constructor({ clock, epoch = 1, maxEntries = DEFAULT_MAX_ENTRIES }: MemoryStoreOptions) {
    const maxLeases = Math.max(maxEntries, MIN_LEASES);
    this.time = new StoreTime(clock);
    this.records = new MemoryRecords(() => this.enter(), maxEntries);
    this.board = new MemoryBoard(() => this.enter());
    this.epoch = epoch;
    this.entries = new LRUCache({ max: maxEntries });
    this.leases = new LRUCache({ max: maxLeases });
    this.generations = new GenerationTable(this.time, maxLeases * GENERATIONS_PER_ENTRY);
  }

  async open(): Promise<void> {}

  now(): number {
    return this.time.ms();
  }

  async read(key: EntryKey, generations: readonly GenerationName[]): Promise<ReadReply> {
    const nowMs = this.enter();
    return this.reply(this.live(key, nowMs), generations, nowMs);
  }

  async acquire(request: AcquireRequest): Promise<AcquireReply> {
    const nowMs = this.enter();
    const { key, token, seenId, generations } = request;
    const lease = this.leases.get(key) ?? new Lease();
    if (!lease.isAlive(token, nowMs)) {
      const kept = this.live(key, nowMs);
      if (seenId !== undefined && kept && hardOf(kept.bytes) > nowMs && idOf(kept.bytes) !== seenId) {
        return { kind: 'changed', reply: this.reply(kept, generations, nowMs) };
      }
      if (request.honourBackoff && lease.backoffUntilMs > nowMs) {
        return { kind: 'backing-off', remainingMs: lease.backoffUntilMs - nowMs };
      }
      const exclusive = request.mode === 'exclusive';
      const heldMs = lease.heldMs(nowMs);
      if (exclusive && heldMs > 0) {
        lease.waiting = true;
        return { kind: 'held', remainingMs: heldMs, nowMs: this.tickMs() };
      }
      lease.grant(token, nowMs + request.leaseMs, exclusive, nowMs);
      this.keep(key, lease, nowMs);
    }
    const ensured = this.generations.ensure(generations, request.generationTtlMs);
    return { kind: 'granted', generations: ensured, epoch: this.epoch, nowMs: this.tickMs() };
  }

  async renew(key: EntryKey, token: string, leaseMs: number): Promise<boolean> {
    const nowMs = this.enter();
    const lease = this.leases.get(key);
    if (!lease?.isAlive(token, nowMs)) return false;
    lease.renew(token, nowMs + leaseMs);
    return true;
  }

  async lease(key: EntryKey) {
    return this.leases.peek(key)?.held(this.enter());
  }

  async commit(request: CommitRequest): Promise<CommitReply> {
    const nowMs = this.enter();
    const outcome = request.epoch === this.epoch ? this.attemptCommit(request, nowMs) : 'fenced-epoch';
    return { outcome, generations: this.generations.current(request.generations) };
  }

  async release({ key, token, backoff }: ReleaseRequest): Promise<void> {
    const nowMs = this.enter();
    const lease = this.leases.get(key);
    if (!lease?.isRegistered(token)) return;
    lease.consume(token);
    if (backoff) lease.failed(backoff, nowMs);
    this.wake(key, lease, backoff !== undefined);
    this.keep(key, lease, nowMs);
  }

  async invalidate(key: EntryKey, mode: InvalidationMode, known?: KnownVersion): Promise<void> {
    const nowMs = this.enter();
    const kept = this.live(key, nowMs);
    const version = known && versionBytes(known.version);
    if (version && kept && isAsNew(kept.bytes, version)) return;
    const lease = this.leases.get(key) ?? (version && new Lease());
    if (lease) {
      lease.voidAll();
      lease.waiting = false;
      if (version) lease.raiseFloor(version, nowMs + known.windowMs, nowMs);
      this.keep(key, lease, nowMs);
    }
    if (kept) this.spoil(key, kept, mode, nowMs);
    this.emit({ kind: 'invalidated', key, atMs: this.tickMs() });
  }

  async advance(generation: GenerationName, mode: InvalidationMode, ttlMs: number): Promise<void> {
    this.enter();
    this.emit({ kind: 'advanced', generation, value: this.generations.advance(generation, mode, ttlMs) });
  }

  async sweep(domain: string, doomed: (bytes: Buffer) => boolean): Promise<number> {
    let swept = 0;
    for await (const batch of this.walk(domain, SWEEP_BATCH)) {
      for (const { key, bytes } of batch) if (doomed(bytes) && this.entries.delete(key)) swept++;
    }
    return swept;
  }

  async *walk(domain: string, batch: number): AsyncIterable<readonly WalkedEntry[]> {
    this.enter();
    const keys = [...this.entries.keys()].filter((key) => key.startsWith(`${domain}:`));
    for (let from = 0; from < keys.length; from += batch) {
      if (from > 0) await setImmediate();
      const nowMs = this.enter();
      yield keys.slice(from, from + batch).flatMap((key) => {
        const kept = this.entries.peek(key);
        return kept && kept.untilMs > nowMs ? [{ key, bytes: Buffer.from(kept.bytes) }] : [];
      });
    }
  }

  /** Its signals cannot be lost: nothing need be heard. */
  async beat(): Promise<BeatReply> {
    this.enter();
    return { live: 1, unsettled: 0 };
  }

  onSignal(listener: (signal: Signal) => void): void {
    if (!this.closed) this.listeners.push(listener);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.listeners = [];
  }

  private enter(): number {
    if (this.closed) {
      throw new CacheGuardStoreError(
        'CG_STORE_UNAVAILABLE',
        'The memory store is closed; its application has shut down.',
      );
    }
    return this.time.ms();
  }

  private tickMs(): number {
    return this.time.tick() / 1000;
  }

  private live(key: EntryKey, nowMs: number): Kept | undefined {
    const kept = this.entries.get(key);
    if (!kept || kept.untilMs > nowMs) return kept;
    this.entries.delete(key);
    return undefined;
  }

  private reply(kept: Kept | undefined, generations: readonly GenerationName[], nowMs: number): ReadReply {
    const bytes = kept && Buffer.from(kept.bytes);
    return { bytes, generations: this.generations.current(generations), epoch: this.epoch, nowMs };
  }

  private attemptCommit(request: CommitRequest, nowMs: number): CommitReply['outcome'] {
    const { key, token } = request;
    const lease = this.leases.get(key);
    const answered = lease?.answer(token, nowMs);
    if (answered) return answered;
    if (!lease?.isAlive(token, nowMs)) return 'fenced-token';

    const kept = this.live(key, nowMs);
    const outcome = refusal(request, kept?.bytes, lease.versionFloor(nowMs), nowMs) ?? 'committed';
    if (outcome === 'committed') this.write(request, kept?.bytes, lease, nowMs);
    lease.consume(token);
    lease.remember(token, outcome, nowMs);
    this.wake(key, lease, true);
    this.keep(key, lease, nowMs);
    return outcome;
  }

  private write(request: CommitRequest, old: Buffer | undefined, lease: Lease, nowMs: number): void {
    const { key, kind, bytes, hardMs } = request;
    if (kind === 'clear') this.entries.delete(key);
    else this.entries.set(key, { bytes: Buffer.from(bytes), untilMs: hardMs });
    const version = versionOf(bytes);
    if (version) lease.raiseFloor(version, hardMs + request.versionWindowMs, nowMs);
    lease.succeeded();
    if (kind === 'put') {
      lease.voidAll();
      this.emit({ kind: 'invalidated', key, atMs: this.tickMs() });
    } else if (old && isFresh(old, nowMs) && (kind === 'clear' || idOf(old) !== idOf(bytes))) {
      this.emit({ kind: 'replaced', key });
    }
  }

  /** What an invalidation leaves of an entry. */
  private spoil(key: EntryKey, { bytes, untilMs }: Kept, mode: InvalidationMode, nowMs: number): void {
    if (mode === 'remove') {
      this.entries.set(key, { bytes: tombstone(bytes), untilMs: Math.min(untilMs, nowMs + TOMBSTONE_MS) });
    } else if (mode === 'purge' || hasFlag(bytes, FLAG.negative | FLAG.hitForMiss)) {
      this.entries.delete(key);
    } else {
      this.entries.set(key, { bytes: markedStale(bytes, nowMs), untilMs });
    }
  }

  private keep(key: EntryKey, lease: Lease, nowMs: number): void {
    if (lease.isSpent(nowMs)) this.leases.delete(key);
    else this.leases.set(key, lease);
  }

  private wake(key: EntryKey, lease: Lease, loaded: boolean): void {
    if (!lease.waiting) return;
    lease.waiting = false;
    this.emit({ kind: 'released', key, atMs: this.tickMs(), loaded });
  }

  /** Listeners hear of it before the caller does, but never from within its call. */
  private emit(signal: Signal): void {
    queueMicrotask(() => {
      for (const listener of this.listeners) listener(signal);
    });
  }
}

function refusal(
  { kind, seenId, bytes }: CommitRequest,
  old: Buffer | undefined,
  floor: Buffer | undefined,
  nowMs: number,
): CommitReply['outcome'] | undefined {
  if (kind === 'extend' && (!old || idOf(old) !== seenId)) return 'superseded';
  const version = versionOf(bytes);
  if (version && [versionOf(old), floor].some((least) => least && version.compare(least) < 0)) return 'fenced-version';
  const counts = kind === 'fill' && old && !hasFlag(old, FLAG.removed | FLAG.hitForMiss);
  // What claims to begin in the future is nobody's rival.
  return counts && beganOf(old) > beganOf(bytes) && beganOf(old) <= nowMs ? 'superseded' : undefined;
}

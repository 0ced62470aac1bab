import { CacheGuardStoreError } from '../core/errors.js';
import type { InvalidationMode } from '../core/events.js';
import type { Board, Records, WalkedEntry } from '../core/fleet-notes.js';
import type { GenerationName } from '../core/generations.js';
import type { EntryKey } from '../core/keys.js';
import type { Ledger } from '../core/ledger.js';
import type {
  AcquireReply,
  AcquireRequest,
  BeatReply,
  BeatRequest,
  CommitReply,
  CommitRequest,
  HeldLease,
  KnownVersion,
  ReadReply,
  ReleaseRequest,
  Signal,
  Store,
} from '../core/store.js';

export type StoreOperation =
  | 'read'
  | 'acquire'
  | 'renew'
  | 'lease'
  | 'commit'
  | 'release'
  | 'invalidate'
  | 'advance'
  | 'sweep'
  | 'beat'
  | 'known'
  | 'remember';

/** Something that is going to happen to a call. */
export interface Fault {
  /** Resolves when it has met its first call (for the faults of a reply: when the inner store has executed it). */
  readonly struck: Promise<void>;
  /** Ends a delay: calls that wait go on, later ones are not delayed. */
  release(): void;
}

type FaultKind = 'fail' | 'lose-reply' | 'delay' | 'delay-reply';

interface Planned extends Fault {
  readonly operation: StoreOperation;
  readonly kind: FaultKind;
  readonly released: Promise<void>;
  strike(): void;
  left: number;
}

/** A store whose calls fail, wait, or lose their replies when a test says so; else it does what the inner one does. */
export class ChaosStore implements Store {
  /** How often each operation was called, whatever became of it. */
  readonly calls: Record<StoreOperation, number> = {
    read: 0,
    acquire: 0,
    renew: 0,
    lease: 0,
    commit: 0,
    release: 0,
    invalidate: 0,
    advance: 0,
    sweep: 0,
    beat: 0,
    known: 0,
    remember: 0,
  };
  /** While true, no signal arrives. */
  deaf = false;
  /** In the order in which they strike. */
  private readonly planned = new Set<Planned>();
  private readonly closed = gate();
  private readonly listeners: ((signal: Signal) => void)[] = [];

  /** @param remote `true` gives a store in this process what belongs to a distant one: heartbeats, and a tier in memory before it */
  constructor(
    private readonly inner: Store,
    readonly remote = inner.remote,
  ) {}

  /** The next calls reject, and nothing is executed. */
  fail(operation: StoreOperation, times = 1): Fault {
    return this.plan(operation, 'fail', times);
  }

  /** The next calls are executed, and then reject. */
  loseReply(operation: StoreOperation, times = 1): Fault {
    return this.plan(operation, 'lose-reply', times);
  }

  /** The next calls are executed only once the fault is released. */
  delay(operation: StoreOperation, times = 1): Fault {
    return this.plan(operation, 'delay', times);
  }

  /** The next calls are executed at once, but answered only once the fault is released. */
  delayReply(operation: StoreOperation, times = 1): Fault {
    return this.plan(operation, 'delay-reply', times);
  }

  /** The next calls are neither executed nor answered until the store is closed. */
  hang(operation: StoreOperation, times = 1): Pick<Fault, 'struck'> {
    return this.plan(operation, 'delay', times);
  }

  /** Every operation fails, until `heal`. */
  down(): void {
    for (const operation of Object.keys(this.calls) as StoreOperation[]) this.fail(operation, Infinity);
  }

  /** Forgets every fault; calls that wait go on. */
  heal(): void {
    for (const fault of this.planned) fault.release();
  }

  open(): Promise<void> {
    return this.inner.open();
  }

  now(key: EntryKey): number {
    return this.inner.now(key);
  }

  read(key: EntryKey, generations: readonly GenerationName[]): Promise<ReadReply> {
    return this.call('read', () => this.inner.read(key, generations));
  }

  acquire(request: AcquireRequest): Promise<AcquireReply> {
    return this.call('acquire', () => this.inner.acquire(request));
  }

  renew(key: EntryKey, token: string, leaseMs: number): Promise<boolean> {
    return this.call('renew', () => this.inner.renew(key, token, leaseMs));
  }

  lease(key: EntryKey): Promise<HeldLease | undefined> {
    return this.call('lease', () => this.inner.lease(key));
  }

  commit(request: CommitRequest): Promise<CommitReply> {
    return this.call('commit', () => this.inner.commit(request));
  }

  release(request: ReleaseRequest): Promise<void> {
    return this.call('release', () => this.inner.release(request));
  }

  get records(): Records {
    return this.inner.records;
  }

  get board(): Board {
    return this.inner.board;
  }

  walk(domain: string, batch: number): AsyncIterable<readonly WalkedEntry[]> {
    return this.inner.walk(domain, batch);
  }

  get ledger(): Ledger {
    const { ledger } = this.inner;
    return {
      known: (identities) => this.call('known', () => ledger.known(identities)),
      remember: (identities) => this.call('remember', () => ledger.remember(identities)),
    };
  }

  invalidate(key: EntryKey, mode: InvalidationMode, known?: KnownVersion): Promise<void> {
    return this.call('invalidate', () => this.inner.invalidate(key, mode, known));
  }

  advance(generation: GenerationName, mode: InvalidationMode, ttlMs: number): Promise<void> {
    return this.call('advance', () => this.inner.advance(generation, mode, ttlMs));
  }

  sweep(domain: string, doomed: (bytes: Buffer) => boolean): Promise<number> {
    return this.call('sweep', () => this.inner.sweep(domain, doomed));
  }

  /** Heard by the listeners of this store only: another one of the same inner store stands for another process. */
  async beat(request: BeatRequest): Promise<BeatReply> {
    const reply = await this.call('beat', () => this.inner.beat(request));
    if (!this.inner.remote && !this.deaf)
      for (const listener of this.listeners) listener({ kind: 'heard', beat: request.beat });
    return reply;
  }

  onSignal(listener: (signal: Signal) => void): void {
    this.listeners.push(listener);
    this.inner.onSignal((signal) => {
      if (!this.deaf) listener(signal);
    });
  }

  async close(): Promise<void> {
    this.closed.open();
    await this.inner.close();
  }

  private plan(operation: StoreOperation, kind: FaultKind, times: number): Fault {
    const struck = gate();
    const released = gate();
    const fault: Planned = {
      operation,
      kind,
      left: times,
      struck: struck.opened,
      released: released.opened,
      strike: struck.open,
      release: () => {
        this.planned.delete(fault);
        released.open();
      },
    };
    this.planned.add(fault);
    return fault;
  }

  private next(operation: StoreOperation): Planned | undefined {
    for (const fault of this.planned) {
      if (fault.operation !== operation || fault.left === 0) continue;
      fault.left--;
      return fault;
    }
    return undefined;
  }

  private async call<T>(operation: StoreOperation, execute: () => Promise<T>): Promise<T> {
    this.calls[operation]++;
    const fault = this.next(operation);
    if (!fault) return execute();
    if (fault.kind === 'fail' || fault.kind === 'delay') fault.strike();
    if (fault.kind === 'fail') throw unavailable(operation, 'failed');
    if (fault.kind === 'delay') await this.unlessClosed(fault.released, operation);
    const reply = await execute();
    if (fault.kind === 'lose-reply' || fault.kind === 'delay-reply') fault.strike();
    if (fault.kind === 'lose-reply') throw unavailable(operation, 'lost its reply');
    if (fault.kind === 'delay-reply') await this.unlessClosed(fault.released, operation);
    return reply;
  }

  private async unlessClosed(released: Promise<void>, operation: StoreOperation): Promise<void> {
    const outcome = await Promise.race([released, this.closed.opened.then(() => 'closed')]);
    if (outcome === 'closed') throw unavailable(operation, 'was under way when the store was closed');
  }
}

interface Gate {
  readonly opened: Promise<void>;
  readonly open: () => void;
}

function gate(): Gate {
  let opens: Gate['open'];
  const opened = new Promise<void>((resolve) => (opens = resolve));
  return { opened, open: () => opens() };
}

function unavailable(operation: StoreOperation, what: string): CacheGuardStoreError {
  return new CacheGuardStoreError('CG_STORE_UNAVAILABLE', `The store's ${operation} ${what}, as the test asked.`);
}

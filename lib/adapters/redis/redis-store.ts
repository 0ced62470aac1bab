import type { MakeBreaker } from '../../core/breaker.js';
import type { Clock } from '../../core/clock.js';
import type { CacheGuardStoreError } from '../../core/errors.js';
import type { InvalidationMode } from '../../core/events.js';
import type { Board, Records, WalkedEntry } from '../../core/fleet-notes.js';
import type { GenerationName } from '../../core/generations.js';
import type { Ids } from '../../core/ids.js';
import type { EntryKey } from '../../core/keys.js';
import type { Ledger } from '../../core/ledger.js';
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
} from '../../core/store.js';
import { unavailable, withinBudget } from './budget.js';
import { listen } from './channel.js';
import { keyPrefixOf, type NodeClient, type RedisConnect } from './client-shapes.js';
import { Heartbeat } from './heartbeat.js';
import { InvalidateBatcher } from './invalidate-batch.js';
import { Keyspace } from './keyspace.js';
import { NodeLink } from './node-link.js';
import { Patrol } from './patrol.js';
import { RedisGenerations } from './redis-generations.js';
import { RedisLedger } from './redis-ledger.js';
import { RedisBoard, RedisRecords } from './redis-notes.js';
import { ReadBatcher, replyOf } from './read-batch.js';
import { Script } from './script.js';
import { ScriptRunner, type Argument } from './script-runner.js';
import { DomainWalks } from './domain-walks.js';
import { topologyOf, type Topology } from './topology.js';

const scripts = {
  acquire: new Script('acquire'),
  renew: new Script('renew'),
  commit: new Script('commit'),
  release: new Script('release'),
  advance: new Script('advance'),
  beat: new Script('beat'),
};

/** A beat follows the one before it within less. */
const SOONER_MS = 300;

export interface RedisStoreOptions {
  /** First part of every name in Redis. */
  readonly namespace: string;
  readonly connect: RedisConnect;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Milliseconds; no command waits longer for its answer, however the client is configured. */
  readonly commandTimeoutMs: number;
  /** Keeps commands away from a server that does not answer them. */
  readonly makeBreaker: MakeBreaker;
}

/** Entries, leases and generations in Redis: standalone, Sentinel or Cluster. */
export class RedisStore implements Store {
  readonly remote = true;
  readonly ledger: Ledger;
  readonly records: Records;
  readonly board: Board;
  private readonly heartbeat: Heartbeat;
  private readonly patrol: Patrol;
  private readonly topology: Topology;
  private readonly walks: DomainWalks;
  private readonly invalidations: InvalidateBatcher;
  private readonly generations: RedisGenerations;
  private readonly keyspace: Keyspace;
  private readonly reads: ReadBatcher;
  private readonly runner: ScriptRunner;
  private readonly listeners: ((signal: Signal) => void)[] = [];
  private opening: Promise<void> | undefined;
  private closed = false;

  constructor(private readonly options: RedisStoreOptions) {
    this.keyspace = new Keyspace(keyPrefixOf(options.connect) + options.namespace);
    const { clock, commandTimeoutMs, ids, makeBreaker } = options;
    const emit = (signal: Signal) => this.emit(signal);
    const makeLink = (client: NodeClient, renew?: () => void) => {
      client.on('ready', () => this.patrol.walk(true));
      return new NodeLink(client, clock, makeBreaker, renew, (over) => emit({ kind: 'lost', over }));
    };
    this.topology = topologyOf(options.connect, makeLink, commandTimeoutMs, () => emit({ kind: 'gap' }));
    this.runner = new ScriptRunner(this.topology, clock, commandTimeoutMs);
    this.reads = new ReadBatcher(this.topology, (work) => this.bounded('a read', work));
    this.generations = new RedisGenerations(this.topology, this.runner, this.reads, this.keyspace);
    this.invalidations = new InvalidateBatcher(this.runner, this.topology, this.keyspace);
    this.ledger = new RedisLedger(this.runner, this.keyspace);
    this.records = new RedisRecords(this.runner, this.reads, this.keyspace);
    this.walks = new DomainWalks(
      () => this.openMasters(),
      this.keyspace,
      (work) => this.bounded('a walk', work),
    );
    this.board = new RedisBoard(this.runner, this.reads, this.keyspace);
    // Given up before a command of the same moment: what one process noticed as an outage, no other must have slept through.
    const beatTimeoutMs = Math.max(commandTimeoutMs / 2, commandTimeoutMs - SOONER_MS);
    this.heartbeat = new Heartbeat(this.topology, this.keyspace, ids.process, scripts.beat, emit, clock, beatTimeoutMs);
    this.patrol = new Patrol(this.topology, clock, emit, (work) => this.bounded('INFO', work));
    // An unheard 'error' event would end the process; every command learns of the trouble by itself.
    this.topology.onError(() => {});
  }

  open(): Promise<void> {
    this.opening ??= this.bounded('connecting', this.connect()).catch(() => {});
    return this.opening;
  }

  /** Why a server must not be used; known once it has answered. */
  refusal(): CacheGuardStoreError | undefined {
    return this.topology.masters().find((link) => link.refusal)?.refusal;
  }

  now(key: EntryKey): number {
    const now = this.topology.linkFor(this.keyspace.entry(key)).clock.now();
    if (now === undefined) throw unavailable('the time of the server is not known');
    return Math.ceil(now);
  }

  read(key: EntryKey, generations: readonly GenerationName[]): Promise<ReadReply> {
    if (this.closed) return Promise.reject(unavailable('the store is closed'));
    return this.reads.once(`${key} ${generations.join(' ')}`, async () => {
      const [entry, known] = await Promise.all([
        this.reads.read(this.keyspace.entry(key)),
        this.generations.read(generations),
      ]);
      return replyOf(entry.link, entry.epoch, entry.bytes ?? undefined, known);
    });
  }

  async acquire(request: AcquireRequest): Promise<AcquireReply> {
    const { key, token, seenId } = request;
    const seen = seenId === undefined ? '*' : Buffer.from(seenId, 'hex');
    const grant = this.run(key, scripts.acquire, [this.keyspace.entry(key), this.keyspace.lease(key)], (link) => [
      token,
      seen,
      request.mode,
      request.leaseMs,
      request.honourBackoff ? 1 : 0,
      this.options.ids.process,
      this.runner.deadline(link),
    ]);
    const generations = this.generations.ensure(request.generations, request.generationTtlMs);
    const [granted, known] = await Promise.allSettled([grant, generations]);
    if (granted.status === 'rejected') throw granted.reason;
    const { link, epoch, reply } = granted.value;
    const [kind, nowUs, rest] = reply as [Buffer, Buffer, Buffer | undefined];
    const nowMs = Number(nowUs) / 1_000;
    if (known.status === 'rejected') {
      // Without generations the attempt could not be fenced against tags: give the lease back.
      if (String(kind) === 'granted') this.release({ key, token, backoff: undefined }).catch(() => {});
      throw known.reason;
    }
    if (String(kind) === 'granted') return { kind: 'granted', generations: known.value, epoch, nowMs };
    if (String(kind) === 'changed') return { kind: 'changed', reply: replyOf(link, epoch, rest, known.value) };
    const remainingMs = Number(rest) / 1_000;
    if (String(kind) === 'held') return { kind: 'held', remainingMs, nowMs };
    if (String(kind) === 'backing-off') return { kind: 'backing-off', remainingMs };
    throw unavailable('an acquire arrived too late');
  }

  async renew(key: EntryKey, token: string, leaseMs: number): Promise<boolean> {
    const { reply } = await this.run(key, scripts.renew, [this.keyspace.lease(key)], () => [token, leaseMs]);
    return reply === 1;
  }

  lease(key: EntryKey): Promise<HeldLease | undefined> {
    const name = this.keyspace.lease(key);
    const ask = async (link: NodeLink) => {
      if (!link.known) await link.identify();
      const [token, expiryUs] = await link.client.hmget(name, 'h', 'x');
      const remainingMs = Number(expiryUs) / 1_000 - (link.clock.now() ?? Infinity);
      return token && remainingMs > 0 ? { token, remainingMs } : undefined;
    };
    return this.runner.at(name, ask, 'a look at a lease');
  }

  async commit(request: CommitRequest): Promise<CommitReply> {
    const { key, token, kind, bytes, hardMs, seenId, versionWindowMs } = request;
    const home = this.keyspace.entry(key);
    const epoch = await this.runner.at(home, async (link) => link.known ?? link.identify(), 'identifying the server');
    if (epoch !== request.epoch) return { outcome: 'fenced-epoch', generations: new Map() };
    const keys = [this.keyspace.entry(key), this.keyspace.lease(key), this.keyspace.versionFloor(key)];
    const written = this.run(key, scripts.commit, keys, (link) => [
      token,
      kind,
      bytes,
      Math.floor(hardMs),
      Buffer.from(seenId ?? '', 'hex'),
      versionWindowMs,
      this.keyspace.processChannelPrefix,
      this.keyspace.broadcastChannel,
      key,
      this.runner.deadline(link),
    ]);
    const [{ reply }, generations] = await Promise.all([written, this.generations.read(request.generations)]);
    const outcome = String((reply as Buffer[])[0]);
    if (outcome === 'late') throw unavailable('a commit arrived too late');
    return { outcome: outcome as CommitReply['outcome'], generations };
  }

  async release({ key, token, backoff }: ReleaseRequest): Promise<void> {
    await this.run(key, scripts.release, [this.keyspace.lease(key)], () => [
      token,
      backoff?.baseMs ?? '',
      backoff?.maxMs ?? '',
      this.keyspace.processChannelPrefix,
      key,
    ]);
  }

  invalidate(key: EntryKey, mode: InvalidationMode, known?: KnownVersion): Promise<void> {
    return this.invalidations.add(key, mode, known);
  }

  async advance(generation: GenerationName, mode: InvalidationMode, ttlMs: number): Promise<void> {
    const name = this.keyspace.generation(generation);
    await this.runner.run(name, scripts.advance, [name], (_link, epoch) => [
      mode,
      Math.ceil(ttlMs),
      epoch,
      this.keyspace.broadcastChannel,
      generation,
    ]);
  }

  sweep(domain: string, doomed: (bytes: Buffer) => boolean): Promise<number> {
    return this.walks.sweep(domain, doomed);
  }

  walk(domain: string, batch: number): AsyncIterable<readonly WalkedEntry[]> {
    return this.walks.walk(domain, batch);
  }

  beat(request: BeatRequest): Promise<BeatReply> {
    if (this.closed) return Promise.reject(unavailable('the store is closed'));
    this.patrol.walk();
    return this.heartbeat.beat(request);
  }

  onSignal(listener: (signal: Signal) => void): void {
    this.listeners.push(listener);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.runner.close();
    this.listeners.length = 0;
    this.topology.close();
  }

  private async connect(): Promise<void> {
    const { topology, keyspace, options } = this;
    const listening = listen(topology, keyspace, options.ids.process, (message) => {
      if (message.kind === 'beat') this.heartbeat.heard(message.beat, message.from);
      else this.emit(message);
    });
    // Both at once: whichever fails first, the other has somebody who hears of it.
    await Promise.all([listening, this.topology.connect()]);
    await Promise.all(this.topology.masters().map((link) => link.identify()));
  }

  private emit(signal: Signal): void {
    for (const listener of this.listeners) listener(signal);
  }

  private run(key: EntryKey, script: Script, keys: readonly string[], args: (link: NodeLink) => readonly Argument[]) {
    return this.runner.run(this.keyspace.entry(key), script, keys, args);
  }

  private openMasters(): NodeLink[] {
    if (this.closed) throw unavailable('the store is closed');
    return this.topology.masters();
  }

  private bounded<T>(what: string, work: Promise<T>): Promise<T> {
    return withinBudget(work, what, this.options.commandTimeoutMs, this.options.clock);
  }
}

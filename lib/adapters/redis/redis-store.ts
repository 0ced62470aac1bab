import type { MakeBreaker } from '../../core/breaker.js';
import type { Clock } from '../../core/clock.js';
import type { CacheGuardStoreError } from '../../core/errors.js';
import type { InvalidationMode } from '../../core/events.js';
import type { GenerationName, Generations } from '../../core/generations.js';
import type { Ids } from '../../core/ids.js';
import type { EntryKey } from '../../core/keys.js';
import type {
  AcquireReply,
  AcquireRequest,
  BeatReply,
  BeatRequest,
  CommitReply,
  CommitRequest,
  ReadReply,
  ReleaseRequest,
  Signal,
  Store,
} from '../../core/store.js';
import { unavailable, withinBudget } from './budget.js';
import { listen } from './channel.js';
import { keyPrefixOf, type NodeClient, type RedisConnect } from './client-shapes.js';
import { parseGeneration } from './generation-record.js';
import { Heartbeat } from './heartbeat.js';
import { Keyspace } from './keyspace.js';
import { NodeLink } from './node-link.js';
import { Patrol } from './patrol.js';
import { ReadBatcher, type Answer } from './read-batch.js';
import { Script } from './script.js';
import { ScriptRunner, type Argument } from './script-runner.js';
import { sweepNode } from './sweep.js';
import { topologyOf, type Topology } from './topology.js';

const scripts = {
  acquire: new Script('acquire'),
  renew: new Script('renew'),
  commit: new Script('commit'),
  release: new Script('release'),
  invalidate: new Script('invalidate'),
  generations: new Script('generations'),
  advance: new Script('advance'),
  beat: new Script('beat'),
};

/** How long a removed entry's header stays, so that the next miss knows its cause. */
const TOMBSTONE_MS = 60_000;

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
  private readonly heartbeat: Heartbeat;
  private readonly patrol: Patrol;
  private readonly topology: Topology;
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
    const makeLink = (client: NodeClient, mends: boolean) => {
      client.on('ready', () => this.patrol.walk(true));
      return new NodeLink(client, clock, makeBreaker, mends, (over) => emit({ kind: 'lost', over }));
    };
    this.topology = topologyOf(options.connect, makeLink, commandTimeoutMs, () => emit({ kind: 'gap' }));
    this.runner = new ScriptRunner(this.topology, clock, commandTimeoutMs);
    this.reads = new ReadBatcher(this.topology, (work) => this.bounded('a read', work));
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
        this.readGenerations(generations),
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
    const generations = this.ensureGenerations(request.generations, request.generationTtlMs);
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
    switch (String(kind)) {
      case 'granted':
        return { kind: 'granted', generations: known.value, epoch, nowMs };
      case 'changed':
        return { kind: 'changed', reply: replyOf(link, epoch, rest, known.value) };
      case 'held':
        return { kind: 'held', remainingMs: Number(rest) / 1_000, nowMs };
      case 'backing-off':
        return { kind: 'backing-off', remainingMs: Number(rest) / 1_000 };
      default:
        throw unavailable('an acquire arrived too late');
    }
  }

  async renew(key: EntryKey, token: string, leaseMs: number): Promise<boolean> {
    const { reply } = await this.run(key, scripts.renew, [this.keyspace.lease(key)], () => [token, leaseMs]);
    return reply === 1;
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
    const [{ reply }, generations] = await Promise.all([written, this.readGenerations(request.generations)]);
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

  async invalidate(key: EntryKey, mode: InvalidationMode): Promise<void> {
    const keys = [this.keyspace.entry(key), this.keyspace.lease(key)];
    await this.run(key, scripts.invalidate, keys, () => [mode, TOMBSTONE_MS, this.keyspace.broadcastChannel, key]);
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

  async sweep(domain: string, doomed: (bytes: Buffer) => boolean): Promise<number> {
    if (this.closed) throw unavailable('the store is closed');
    let swept = 0;
    for (const link of this.topology.masters()) {
      swept += await sweepNode(link.client, this.keyspace.entriesOf(domain), doomed, (work) =>
        this.bounded('a sweep', work),
      );
    }
    return swept;
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

  /** All at once where one server has all; a cluster keeps each generation in a slot of its own. */
  private async ensureGenerations(names: readonly GenerationName[], ttlMs: number): Promise<Generations> {
    const keys = names.map((name) => this.keyspace.generation(name));
    const groups = this.topology.spread ? keys.map((key) => [key]) : keys.length > 0 ? [keys] : [];
    const answers = await Promise.all(
      groups.map(async (group) => {
        const { reply, epoch } = await this.runner.run(group[0]!, scripts.generations, group, (_link, known) => [
          Math.ceil(ttlMs),
          known,
        ]);
        return (reply as Buffer[]).map((record) => parseGeneration(record, epoch));
      }),
    );
    const known = answers.flat();
    return new Map(names.map((name, i) => [name, known[i]]));
  }

  private async readGenerations(names: readonly GenerationName[]): Promise<Generations> {
    const answers = await Promise.all(names.map((name) => this.reads.read(this.keyspace.generation(name))));
    return new Map(names.map((name, i) => [name, parseGeneration(answers[i]!.bytes, answers[i]!.epoch)]));
  }

  private run(key: EntryKey, script: Script, keys: readonly string[], args: (link: NodeLink) => readonly Argument[]) {
    return this.runner.run(this.keyspace.entry(key), script, keys, args);
  }

  private bounded<T>(what: string, work: Promise<T>): Promise<T> {
    return withinBudget(work, what, this.options.commandTimeoutMs, this.options.clock);
  }
}

function replyOf(
  link: NodeLink,
  epoch: Answer['epoch'],
  bytes: Buffer | undefined,
  generations: Generations,
): ReadReply {
  const now = link.clock.now();
  if (now === undefined) throw unavailable('the connection was lost');
  return { bytes, generations, epoch, nowMs: Math.ceil(now) };
}

import type { Clock } from '../../core/clock.js';
import type { InvalidationMode } from '../../core/events.js';
import type { GenerationName, Generations } from '../../core/generations.js';
import type { Ids } from '../../core/ids.js';
import type { EntryKey } from '../../core/keys.js';
import type {
  AcquireReply,
  AcquireRequest,
  CommitReply,
  CommitRequest,
  ReadReply,
  ReleaseRequest,
  Signal,
  Store,
} from '../../core/store.js';
import { unavailable, withinBudget } from './budget.js';
import { listen } from './channel.js';
import type { RedisConnect } from './client-shapes.js';
import { parseGeneration } from './generation-record.js';
import { Keyspace } from './keyspace.js';
import type { NodeLink } from './node-link.js';
import { ReadBatcher, type Answer } from './read-batch.js';
import { Script } from './script.js';
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
};

/** How long a removed entry's header stays, so that the next miss knows its cause. */
const TOMBSTONE_MS = 60_000;

type Argument = string | number | Buffer;

export interface RedisStoreOptions {
  /** First part of every name in Redis. */
  readonly namespace: string;
  readonly connect: RedisConnect;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Milliseconds; no command waits longer for its answer, however the client is configured. */
  readonly commandTimeoutMs: number;
}

/** Entries, leases and generations in Redis: standalone, Sentinel or Cluster. */
export class RedisStore implements Store {
  private readonly topology: Topology;
  private readonly keyspace: Keyspace;
  private readonly reads: ReadBatcher;
  private readonly listeners: ((signal: Signal) => void)[] = [];
  private opening: Promise<void> | undefined;
  private closed = false;

  constructor(private readonly options: RedisStoreOptions) {
    this.keyspace = new Keyspace(options.namespace);
    this.topology = topologyOf(options.connect, options.clock, options.commandTimeoutMs);
    this.reads = new ReadBatcher(this.topology, (work) => this.bounded('a read', work));
    // An unheard 'error' event would end the process; every command learns of the trouble by itself.
    this.topology.onError(() => {});
  }

  open(): Promise<void> {
    this.opening ??= this.bounded('connecting', this.connect()).catch(() => {});
    return this.opening;
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
      this.deadline(link),
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
    const link = this.topology.linkFor(this.keyspace.entry(key));
    if ((link.known ?? (await link.identify())) !== request.epoch)
      return { outcome: 'fenced-epoch', generations: new Map() };
    const keys = [this.keyspace.entry(key), this.keyspace.lease(key), this.keyspace.versionFloor(key)];
    const written = this.run(key, scripts.commit, keys, () => [
      token,
      kind,
      bytes,
      Math.floor(hardMs),
      Buffer.from(seenId ?? '', 'hex'),
      versionWindowMs,
      this.keyspace.processChannelPrefix,
      this.keyspace.broadcastChannel,
      key,
      this.deadline(link),
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
    await this.runAt(name, scripts.advance, [name], (_link, epoch) => [
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

  onSignal(listener: (signal: Signal) => void): void {
    this.listeners.push(listener);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.listeners.length = 0;
    this.topology.close();
  }

  private async connect(): Promise<void> {
    const listening = listen(this.topology, this.keyspace, this.options.ids.process, (signal) => {
      for (const listener of this.listeners) listener(signal);
    });
    // Both at once: whichever fails first, the other has somebody who hears of it.
    await Promise.all([listening, this.topology.connect()]);
    await Promise.all(this.topology.masters().map((link) => link.identify()));
  }

  /** All at once where one server has all; a cluster keeps each generation in a slot of its own. */
  private async ensureGenerations(names: readonly GenerationName[], ttlMs: number): Promise<Generations> {
    const keys = names.map((name) => this.keyspace.generation(name));
    const groups = this.topology.spread ? keys.map((key) => [key]) : keys.length > 0 ? [keys] : [];
    const answers = await Promise.all(
      groups.map(async (group) => {
        const { reply, epoch } = await this.runAt(group[0]!, scripts.generations, group, (_link, known) => [
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
    return this.runAt(this.keyspace.entry(key), script, keys, args);
  }

  /** Runs a script on the server that has `home`, whose clock and identity are known by then. */
  private runAt(
    home: string,
    script: Script,
    keys: readonly string[],
    args: (link: NodeLink, epoch: number) => readonly Argument[],
  ) {
    const work = async () => {
      if (this.closed) throw unavailable('the store is closed');
      const link = this.topology.linkFor(home);
      const epoch = link.known ?? (await link.identify());
      const sentAt = link.clock.start();
      try {
        const reply = await script.run(link.client, keys, args(link, epoch));
        const stamped =
          Array.isArray(reply) && reply.length > 1 && (script === scripts.acquire || script === scripts.commit);
        if (stamped) link.clock.learn(Number(reply[1]) / 1_000, sentAt);
        return { link, epoch, reply };
      } catch (error) {
        if (error instanceof Error && /^(MOVED|ASK|CLUSTERDOWN)/.test(error.message)) this.topology.refresh();
        throw error;
      }
    };
    return this.bounded(`the script '${script.name}'`, work());
  }

  /** Server time after which a command that was held up on its way must do nothing: nobody waits for it any more. */
  private deadline(link: NodeLink): number {
    return Math.ceil((link.clock.now() ?? Infinity) + this.options.commandTimeoutMs);
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

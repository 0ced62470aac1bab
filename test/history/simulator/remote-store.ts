import { MemoryLedger } from '../../../lib/adapters/memory/memory-ledger.js';
import { CacheGuardStoreError } from '../../../lib/core/errors.js';
import type { InvalidationMode } from '../../../lib/core/events.js';
import type { GenerationName, Generations } from '../../../lib/core/generations.js';
import type { EntryKey } from '../../../lib/core/keys.js';
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
} from '../../../lib/core/store.js';
import type { Link, Sent } from './link.js';
import type { Random } from './random.js';
import type { Server } from './server.js';
import type { ProcessClock } from './timeline.js';

export const COMMAND_TIMEOUT_MS = 1_000;
const BEAT_TIMEOUT_MS = 500;
/** So many beats that were sent and not heard, and the subscription is made anew. */
const DEAF_AFTER = 8;
/** No connection is given up sooner after the last one was. */
const RECONNECT_MS = 2_000;

export interface RemoteStoreParts {
  readonly link: Link;
  readonly server: Server;
  readonly clock: ProcessClock;
  readonly random: Random;
  /** Entries and generations are not read in one step, as in a cluster. */
  readonly spread: boolean;
  /** A command was not answered in time, or its connection was lost. */
  readonly unanswered: (sentAt: number) => void;
  /** A beat is sent; everything that this process had pending is carried out. */
  readonly settled: () => void;
}

const NONE = { put: async () => {}, post: async () => {}, get: async () => [], read: async () => [] };

/** One process's way to the server: keeps time-outs, deadlines and the rules of a connection as the store for Redis does. */
export class RemoteStore implements Store {
  readonly remote = true;
  /** No domain events happen here. */
  readonly ledger = new MemoryLedger();
  readonly records = NONE;
  readonly board = NONE;
  private readonly listeners: ((signal: Signal) => void)[] = [];
  /** Commands under way, each with what ends its wait. */
  private readonly underway = new Map<Sent, (error: Error) => void>();
  private known = false;
  private identifying: Promise<void> | undefined;
  /** No beat has been answered since one was not: nothing else is sent. */
  private missing = false;
  private unheard = 0;
  private reconnectedAt = -Infinity;
  private closed = false;
  /** How far its idea of the server's time is ahead: values never look younger. */
  private aheadMs = 0;

  constructor(private readonly parts: RemoteStoreParts) {
    const { link } = parts;
    link.onSignal = (signal) => {
      if (signal.kind === 'heard') this.unheard = 0;
      this.emit(signal);
    };
    link.onDown = (way) => (way === 'commands' ? this.dropped() : this.emit({ kind: 'gap' }));
    link.onUp = (way) => {
      if (way === 'commands') this.identifying = this.identify();
    };
  }

  async open(): Promise<void> {
    this.parts.link.open();
    await this.identifying;
  }

  now(): number {
    if (!this.known) throw unavailable('the time of the server is not known');
    return Math.ceil(this.parts.server.nowMs() + this.aheadMs);
  }

  async read(key: EntryKey, generations: readonly GenerationName[]): Promise<ReadReply> {
    const [entry, known] = await Promise.all([
      this.command('read', (store) => store.read(key, this.parts.spread ? [] : generations)),
      this.parts.spread ? this.readGenerations(key, generations) : undefined,
    ]);
    return { ...entry, generations: known ?? entry.generations, nowMs: this.now() };
  }

  async acquire(request: AcquireRequest): Promise<AcquireReply> {
    const { key, generations, generationTtlMs, token } = request;
    const { spread, server, link } = this.parts;
    const deadline = this.deadline();
    const grant = this.command('acquire', async (store) => {
      if (server.nowMs() > deadline) throw unavailable('it arrived too late');
      const reply = await store.acquire(spread ? { ...request, generations: [] } : request);
      if (reply.kind === 'held') server.registerWaiter(key, link.process);
      return reply;
    });
    const ensured = spread
      ? this.command('acquire', async () => server.ensure(generations, generationTtlMs) as Generations)
      : undefined;
    const [granted, known] = await Promise.allSettled([grant, ensured]);
    if (granted.status === 'rejected') throw granted.reason;
    const reply = granted.value;
    if (known.status === 'rejected') {
      if (reply.kind === 'granted') this.release({ key, token, backoff: undefined }).catch(() => {});
      throw known.reason;
    }
    if (reply.kind === 'granted') return { ...reply, generations: known.value ?? reply.generations };
    if (reply.kind !== 'changed') return reply;
    const nowMs = this.now();
    return { kind: 'changed', reply: { ...reply.reply, generations: known.value ?? reply.reply.generations, nowMs } };
  }

  renew(key: EntryKey, token: string, leaseMs: number): Promise<boolean> {
    return this.command('renew', (store) => store.renew(key, token, leaseMs));
  }

  lease(key: EntryKey) {
    return this.command('lease', (store) => store.lease(key));
  }

  async commit(request: CommitRequest): Promise<CommitReply> {
    const { spread, server } = this.parts;
    const deadline = this.deadline();
    const written = this.command('commit', async (store) => {
      if (server.nowMs() > deadline) throw unavailable('it arrived too late');
      return store.commit(spread ? { ...request, generations: [] } : request);
    });
    const read = spread ? this.readGenerations(request.key, request.generations) : undefined;
    const [reply, generations] = await Promise.all([written, read]);
    return { outcome: reply.outcome, generations: generations ?? reply.generations };
  }

  release(request: ReleaseRequest): Promise<void> {
    return this.command('release', (store) => store.release(request));
  }

  invalidate(key: EntryKey, mode: InvalidationMode): Promise<void> {
    return this.command('invalidate', (store) => store.invalidate(key, mode));
  }

  advance(generation: GenerationName, mode: InvalidationMode, ttlMs: number): Promise<void> {
    return this.command('advance', (store) => store.advance(generation, mode, ttlMs));
  }

  async *walk() {}

  sweep(domain: string, doomed: (bytes: Buffer) => boolean): Promise<number> {
    return this.command('sweep', (store) => store.sweep(domain, doomed));
  }

  async beat(request: BeatRequest): Promise<BeatReply> {
    const { server, link } = this.parts;
    if (request.settled) this.parts.settled();
    const deadline = this.deadline(BEAT_TIMEOUT_MS);
    const sentAt = server.clockMs();
    try {
      const reply = await this.bounded('beat', BEAT_TIMEOUT_MS, async () => {
        if (server.nowMs() > deadline) throw unavailable('it arrived too late');
        server.publish(link.process, { kind: 'heard', beat: request.beat });
        return server.beat(link.process, request, sentAt);
      });
      if (this.missing) this.emit({ kind: 'lost', over: true });
      this.missing = false;
      if (++this.unheard > DEAF_AFTER) {
        this.unheard = 0;
        link.reset('signals');
      }
      return reply;
    } catch (error) {
      this.miss();
      this.reconnect();
      throw error;
    }
  }

  onSignal(listener: (signal: Signal) => void): void {
    this.listeners.push(listener);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.listeners.length = 0;
    this.parts.link.close();
    this.drop('the store is closed');
  }

  private emit(signal: Signal): void {
    for (const listener of this.listeners) listener(signal);
  }

  private readGenerations(key: EntryKey, names: readonly GenerationName[]): Promise<Generations> {
    return this.command('read', (store) => store.read(key, names)).then(({ generations }) => generations);
  }

  /** Server time after which a command must do nothing any more. */
  private deadline(timeoutMs = COMMAND_TIMEOUT_MS): number {
    return this.parts.server.nowMs() + this.aheadMs + timeoutMs;
  }

  private command<T>(what: string, run: (store: Store) => Promise<T>): Promise<T> {
    if (this.missing || !this.known) return Promise.reject(unavailable('it has not been answering'));
    return this.bounded(what, COMMAND_TIMEOUT_MS, run);
  }

  private bounded<T>(what: string, timeoutMs: number, run: (store: Store) => Promise<T>): Promise<T> {
    const { link, clock, unanswered } = this.parts;
    if (this.closed || !link.isUp('commands')) return Promise.reject(unavailable('there is no connection'));
    const sentAt = clock.monotonic();
    const sent: Sent = { connection: link.connection, open: true };
    return new Promise<T>((resolve, reject) => {
      const end = (act: () => void) => {
        if (!sent.open) return;
        sent.open = false;
        cancel();
        this.underway.delete(sent);
        act();
      };
      const fail = (error: Error) =>
        end(() => {
          unanswered(sentAt);
          reject(error);
        });
      const cancel = clock.schedule(timeoutMs, () => fail(unavailable(`${what} was not answered in time`)));
      this.underway.set(sent, fail);
      link.send((store) => {
        run(store).then(
          (reply) => link.reply(sent, () => end(() => resolve(reply))),
          (error: unknown) => link.reply(sent, () => end(() => reject(error))),
        );
      });
    });
  }

  /** Asked once for each connection: before that nothing is sent on it. */
  private async identify(): Promise<void> {
    const { link } = this.parts;
    const { connection } = link;
    try {
      await this.bounded('identify', COMMAND_TIMEOUT_MS, async () => undefined);
    } catch {
      if (connection === link.connection) link.reset('commands');
      return;
    }
    if (connection !== link.connection) return;
    this.aheadMs = this.parts.random.between(0, link.weather.mostMs);
    this.known = true;
  }

  private dropped(): void {
    this.known = false;
    this.drop('the connection was lost');
    this.miss();
  }

  private drop(why: string): void {
    for (const fail of this.underway.values()) fail(unavailable(why));
  }

  private miss(): void {
    if (!this.missing) this.emit({ kind: 'lost' });
    this.missing = true;
  }

  /** A connection that is half open would stay so for many minutes. */
  private reconnect(): void {
    const { link, clock } = this.parts;
    if (clock.monotonic() - this.reconnectedAt < RECONNECT_MS) return;
    this.reconnectedAt = clock.monotonic();
    link.reset('commands');
  }
}

function unavailable(why: string): CacheGuardStoreError {
  return new CacheGuardStoreError('CG_STORE_UNAVAILABLE', `The store did not answer: ${why}.`);
}

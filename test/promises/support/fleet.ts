import { createSecretKey } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { Cluster, Redis } from 'ioredis';
import { CacheGuard, type CacheGuardEvent, type DomainPolicies, type Store } from 'nestjs-cache-guard';
import { ChaosStore, FakeClock } from 'nestjs-cache-guard/testing';
import { inject } from 'vitest';
import { Codecs } from '../../../lib/adapters/codecs/index.js';
import { MemoryStore } from '../../../lib/adapters/memory/memory-store.js';
import type { RedisConnect } from '../../../lib/adapters/redis/client-shapes.js';
import { makeBreaker } from '../../../lib/adapters/breaker.js';
import { RedisStore } from '../../../lib/adapters/redis/redis-store.js';
import { systemClock, systemIds } from '../../../lib/adapters/system.js';
import type { MakeBreaker } from '../../../lib/core/breaker.js';
import type { Ids } from '../../../lib/core/ids.js';
import type { Signal } from '../../../lib/core/store.js';
import type { Sealer } from '../../../lib/core/sealing.js';
import type { ThrownCodec } from '../../../lib/core/thrown.js';
import { Domains } from '../../../lib/engine/domains.js';
import { uniqueNamespace } from '../../support/namespace.js';
import { startProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import { Source } from './source.js';

export type StoreKind = 'memory' | 'redis' | 'cluster';

/** What a process of the fleet is started with. */
export interface MemberOptions {
  /** Over, or beside, those of `DOMAINS`. */
  readonly domains?: DomainPolicies;
  readonly proxy?: TcpProxy;
  /** A server of the test's own. */
  readonly url?: string;
  /** Another way to reach one. */
  readonly connect?: RedisConnect;
  /** The masters of a cluster of the test's own. */
  readonly nodes?: { readonly host: string; readonly port: number }[];
  readonly namespace?: string;
  readonly commandTimeoutMs?: number;
  readonly ids?: Partial<Ids>;
  readonly thrown?: ThrownCodec;
  readonly makeBreaker?: MakeBreaker;
  /** For the domains that encrypt. */
  readonly sealer?: Sealer;
  /** For the domains whose values have owners. */
  readonly principal?: () => unknown;
  /** For the domains that hide their keys. */
  readonly keySecret?: string;
  /** `true` gives a process in memory what Redis gives it: heartbeats, and a tier in memory before the store. */
  readonly remote?: boolean;
  /** `false`: it does nothing of what is due in the fleet from time to time. */
  readonly scheduled?: boolean;
  /** Called before the process starts. */
  readonly prepare?: (store: TellingStore) => void;
}

const TTLS = { freshness: 'operational', softTtl: '1m', hardTtl: '10m', jitter: 0 } as const;

/** One domain for each kind of staleness; loads may take as long as a test needs. */
export const DOMAINS = {
  balances: { ...TTLS, stalePolicy: 'never' },
  rates: { ...TTLS, stalePolicy: 'if-error' },
  offers: { ...TTLS, stalePolicy: 'while-revalidate' },
} as const satisfies DomainPolicies;

/** What one fact is worth waiting for, in real time. */
const PATIENCE_MS = 10_000;

/** Waits for a fact that nobody announces, by asking again and again. */
export async function until(fact: () => boolean | Promise<boolean>, what = 'the fact'): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await fact())) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await setImmediate();
  }
}

/** Lets everything happen that needs no more than turns of the event loop. */
export async function settle(turns = 5): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await setImmediate();
}

type EventOf<T extends CacheGuardEvent['type']> = Extract<CacheGuardEvent, { type: T }>;

/** A store that can also be made to say something, and remembers what was said. */
export class TellingStore extends ChaosStore {
  readonly signals: Signal[] = [];
  private readonly told: ((signal: Signal) => void)[] = [];

  override onSignal(listener: (signal: Signal) => void): void {
    const hear = (signal: Signal): void => {
      this.signals.push(signal);
      listener(signal);
    };
    this.told.push(hear);
    super.onSignal(hear);
  }

  tell(signal: Signal): void {
    for (const hear of this.told) hear(signal);
  }

  /** How often something of this kind has been said. */
  said(kind: Signal['kind']): number {
    return this.signals.filter((signal) => signal.kind === kind).length;
  }
}

/** One process of the fleet: a guard with an identity, a store and a memory of its own. */
export class Member {
  readonly events: CacheGuardEvent[] = [];
  private readonly waiting = new Set<() => void>();

  constructor(
    readonly guard: CacheGuard,
    readonly store: TellingStore,
    readonly process: string,
  ) {
    guard.on((event) => {
      this.events.push(event);
      for (const look of this.waiting) look();
    });
  }

  all<T extends CacheGuardEvent['type']>(type: T, like: Partial<EventOf<T>> = {}): EventOf<T>[] {
    return this.events.filter(
      (event): event is EventOf<T> =>
        event.type === type &&
        Object.entries(like).every(([name, value]) => (event as unknown as Record<string, unknown>)[name] === value),
    );
  }

  /** The `count`-th such event, past or to come. */
  heard<T extends CacheGuardEvent['type']>(type: T, like: Partial<EventOf<T>> = {}, count = 1): Promise<EventOf<T>> {
    return new Promise((resolve) => {
      const look = (): void => {
        const event = this.all(type, like)[count - 1];
        if (!event) return;
        this.waiting.delete(look);
        resolve(event);
      };
      this.waiting.add(look);
      look();
    });
  }
}

/** Several processes on one store. */
export class Fleet {
  readonly namespace = uniqueNamespace('promise');
  /** Time of a fleet in memory; it moves when the test says so. */
  readonly clock = new FakeClock();
  private readonly memory: MemoryStore;
  readonly members: Member[] = [];
  private readonly sources: Source<never>[] = [];
  private readonly cleanups: (() => unknown)[] = [];
  private client: Redis | undefined;

  constructor(readonly kind: StoreKind) {
    this.memory = new MemoryStore({ clock: this.clock });
  }

  async start(options: MemberOptions = {}): Promise<Member> {
    const domains = new Domains();
    domains.register({ ...DOMAINS, ...options.domains }, 'the test');
    const ids = { ...systemIds(), ...options.ids };
    const clock = this.kind === 'memory' ? this.clock : systemClock;
    const inner = this.kind === 'memory' ? shared(this.memory) : this.redisStore(ids, options);
    const store = new TellingStore(inner, options.remote);
    const thrown = options.thrown ? { thrown: options.thrown } : {};
    const breaker = options.makeBreaker ? { makeBreaker: options.makeBreaker } : {};
    const sealer = options.sealer ? { sealer: options.sealer } : {};
    const guard = new CacheGuard({
      domains,
      store,
      clock,
      ids,
      codecs: new Codecs(),
      ...thrown,
      ...breaker,
      ...sealer,
      ...means(options),
    });
    const member = new Member(guard, store, ids.process);
    this.members.push(member);
    options.prepare?.(store);
    await guard.open({ scheduled: options.scheduled ?? true });
    return member;
  }

  async startAll(count: number, options: MemberOptions = {}): Promise<Member[]> {
    return Promise.all(Array.from({ length: count }, () => this.start(options)));
  }

  async pair(options: MemberOptions = {}): Promise<[Member, Member]> {
    return [await this.start(options), await this.start(options)];
  }

  source<T = unknown>(): Source<T> {
    const source = new Source<T>();
    this.sources.push(source as unknown as Source<never>);
    return source;
  }

  /** Between one process and the standalone Redis. */
  async proxy(): Promise<TcpProxy> {
    const proxy = await startProxy(Number(new URL(inject('redisUrl')).port));
    this.finally(() => proxy.stop());
    return proxy;
  }

  /** The standalone Redis, from outside of the library. */
  get raw(): Redis {
    this.client ??= new Redis(inject('redisUrl'), { lazyConnect: false });
    return this.client;
  }

  finally(cleanup: () => unknown): void {
    this.cleanups.push(cleanup);
  }

  /** Lets time pass: at once in memory, else as long as it takes. */
  async pass(ms: number): Promise<void> {
    if (this.kind === 'memory') return this.clock.run(ms);
    const from = performance.now();
    await until(() => performance.now() - from >= ms);
  }

  /** Waits for what may need time to pass, and lets it pass where the test has to. */
  async patiently(work: Promise<unknown>): Promise<void> {
    const ended = work.then(() => 'ended');
    await settle();
    while (this.kind === 'memory') {
      if ((await Promise.race([ended, settle().then(() => 'open')])) === 'ended') return;
      await this.clock.run(500);
    }
    await ended;
  }

  async close(): Promise<void> {
    for (const source of this.sources) source.end();
    for (const { store } of this.members) store.heal();
    await this.patiently(Promise.all(this.members.map(({ guard }) => guard.close())));
    for (const cleanup of this.cleanups.toReversed()) await cleanup();
    this.client?.disconnect();
  }

  private redisStore(ids: Ids, options: MemberOptions) {
    const { proxy, url, nodes, connect, namespace = this.namespace, commandTimeoutMs = 5_000 } = options;
    return new RedisStore({
      namespace,
      connect: connect ?? this.connection(url ?? proxy?.url, nodes),
      clock: systemClock,
      ids,
      commandTimeoutMs,
      makeBreaker,
    });
  }

  private connection(url: string | undefined, nodes = inject('clusterNodes')): RedisConnect {
    if (url !== undefined || this.kind === 'redis') return { url: url ?? inject('redisUrl') };
    const client = new Cluster(nodes, { lazyConnect: true });
    this.finally(() => client.disconnect());
    return { client };
  }
}

function means({ principal, keySecret }: MemberOptions) {
  return { principal, keySecret: keySecret === undefined ? undefined : createSecretKey(Buffer.from(keySecret)) };
}

/** One process that closes must not close what the others use. */
function shared(store: MemoryStore): Store {
  let closed = false;
  const listeners: Parameters<Store['onSignal']>[0][] = [];
  store.onSignal((signal) => {
    if (!closed) for (const listener of listeners) listener(signal);
  });
  return {
    remote: false,
    ledger: store.ledger,
    records: store.records,
    board: store.board,
    walk: (domain, batch) => store.walk(domain, batch),
    open: () => store.open(),
    now: () => store.now(),
    read: (key, generations) => store.read(key, generations),
    acquire: (request) => store.acquire(request),
    renew: (key, token, leaseMs) => store.renew(key, token, leaseMs),
    lease: (key) => store.lease(key),
    commit: (request) => store.commit(request),
    release: (request) => store.release(request),
    invalidate: (key, mode, known) => store.invalidate(key, mode, known),
    advance: (generation, mode, ttlMs) => store.advance(generation, mode, ttlMs),
    sweep: (domain, doomed) => store.sweep(domain, doomed),
    beat: () => store.beat(),
    onSignal: (listener) => void listeners.push(listener),
    close: async () => void (closed = true),
  };
}

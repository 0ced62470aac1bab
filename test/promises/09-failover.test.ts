import { setTimeout as pause } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import { describe, expect, test } from 'vitest';
import type { DomainPolicies } from 'nestjs-cache-guard';
import type { RedisConnect } from '../../lib/adapters/redis/client-shapes.js';
import { startCluster, type RedisCluster } from '../support/redis-cluster.js';
import { startSentinel } from '../support/redis-sentinel.js';
import { startRedis } from '../support/redis-server.js';
import { startProxy } from '../support/tcp-proxy.js';
import { whyNoTls } from '../support/tls.js';
import { areBack, knowAway, ownRedis, see } from './support/away.js';
import { Fleet, until, type Member } from './support/fleet.js';
import { expectNotFresh, promise, REDIS } from './support/promise.js';

const SOFT_TIMEOUT_MS = 200;
/** A lease that died with its server is waited for. */
const BUDGET_MS = 3_000;
/** What a busy machine adds to a wait. */
const SLACK_MS = 500;

const kept = {
  freshness: 'experience',
  softTtl: '1m',
  hardTtl: '10m',
  jitter: 0,
  waitBudget: BUDGET_MS,
} as const;
const domains = {
  offers: { ...kept, stalePolicy: 'while-revalidate', softTimeout: SOFT_TIMEOUT_MS },
  balances: { ...kept, freshness: 'critical' },
} satisfies DomainPolicies;

const noTls = await whyNoTls();

/** Failures of a whole group of servers take seconds. */
const LONG_MS = 60_000;
const KEYS = Array.from({ length: 12 }, (_, i) => `k${i}`);
const TARGETS = Object.keys(domains).flatMap((domain) => KEYS.map((key) => ({ domain, key })));
const ASKED = TARGETS.filter((_, i) => i % 2 === 0);
const REST = TARGETS.filter((_, i) => i % 2 === 1);

/** A test whose servers are a group of its own. */
function group(title: string, run: (fleet: Fleet) => Promise<void>): void {
  test(`promise 9: ${title}`, { timeout: LONG_MS }, async () => {
    const fleet = new Fleet('redis');
    try {
      await run(fleet);
    } finally {
      await fleet.close();
    }
  });
}

async function pairOn(fleet: Fleet, connect: () => RedisConnect): Promise<[Member, Member]> {
  const options = { domains, commandTimeoutMs: 500 };
  const a = await fleet.start({ ...options, connect: connect() });
  const b = await fleet.start({ ...options, connect: connect() });
  for (const member of [a, b]) {
    await member.heard('l1-trust', { trusted: true });
    for (let i = 0; i < 2; i++) await Promise.all(TARGETS.map((target) => see(member, target, async () => 'old')));
  }
  return [a, b];
}

/** Reads everything again and again until `over`; nobody waits longer than his policy says. */
async function readUntil(over: Promise<unknown>, members: readonly Member[]): Promise<void> {
  const open = new AbortController();
  const end = over.finally(() => open.abort());
  const readAll = async (domain: string, limitMs: number): Promise<void> => {
    const targets = TARGETS.filter((target) => target.domain === domain);
    while (!open.signal.aborted) {
      const reads = await Promise.all(members.flatMap((member) => targets.map((target) => see(member, target))));
      expect(Math.max(...reads.map(({ ms }) => ms))).toBeLessThan(limitMs + SLACK_MS);
      await pause(5);
    }
  };
  await Promise.all([end, readAll('offers', SOFT_TIMEOUT_MS), readAll('balances', BUDGET_MS)]);
}

describe('failover', () => {
  for (const how of ['killed', 'frozen'] as const) {
    group(
      `a master that is ${how}: reads go on, and what was invalidated meanwhile is gone from its heir`,
      async (fleet) => {
        const sentinel = await startSentinel();
        fleet.finally(() => sentinel.stop());
        const [a, b] = await pairOn(fleet, () => ({
          options: { sentinels: sentinel.sentinels, name: sentinel.name, sentinelRetryStrategy: () => 50 },
        }));
        await sentinel.untilReplica(sentinel.servers[1]);
        const old = await (how === 'killed' ? sentinel.killMaster() : sentinel.pauseMaster());
        await knowAway(a, b);
        for (const { domain, key } of ASKED)
          expect(await a.guard.invalidate({ domain, key })).toEqual({ outcome: 'pending' });
        await readUntil(sentinel.untilMaster(sentinel.otherThan(old)), [a, b]);
        await areBack(a, b);
        for (const target of ASKED) await expectNotFresh([a, b], target, 'old');
        // Another server may have lost what the old one had confirmed.
        for (const target of REST) await expectNotFresh([a, b], target, 'old');
        for (const target of TARGETS) {
          await until(async () => (await see(b, target)).value === 'new', 'the new value');
        }
      },
    );
  }

  for (const retries of [true, false]) {
    const how = retries ? 'asks again' : 'asks once';
    group(`sentinels that hang, and a client that ${how}: the heir is found when they answer`, async (fleet) => {
      const sentinel = await startSentinel();
      fleet.finally(() => sentinel.stop());
      const proxies = await Promise.all(sentinel.sentinels.map(({ port }) => startProxy(port)));
      fleet.finally(() => Promise.all(proxies.map((proxy) => proxy.stop())));
      const sentinels = proxies.map(({ port }) => ({ host: '127.0.0.1', port }));
      const options = {
        sentinels,
        name: sentinel.name,
        updateSentinels: false,
        sentinelRetryStrategy: () => (retries ? 50 : null),
      };
      const a = await fleet.start({ domains, commandTimeoutMs: 500, connect: { options } });
      await sentinel.untilReplica(sentinel.servers[1]);
      for (const proxy of proxies) proxy.halfOpen();
      const old = await sentinel.killMaster();
      await knowAway(a);
      const asked = a.store.calls.beat;
      // Long enough that a connection which does not come to stand would be given up for a new one.
      await until(() => a.store.calls.beat > asked + 40, 'beats');
      await sentinel.untilMaster(sentinel.otherThan(old));
      for (const proxy of proxies) proxy.up();
      await areBack(a);
      await until(async () => (await see(a, { domain: 'offers', key: 'gold' })).state === 'fresh', 'a fresh value');
    });
  }

  for (const how of ['killed', 'frozen'] as const) {
    group(
      `a master of a cluster that is ${how}: the others serve on, and what was invalidated is gone from its heir`,
      async (fleet) => {
        const cluster = await startCluster({ replicas: true });
        fleet.finally(() => cluster.stop());
        const [a, b] = await pairOn(fleet, () => {
          const client = new Cluster(cluster.nodes, { lazyConnect: true });
          fleet.finally(() => client.disconnect());
          return { client };
        });
        const promoted = how === 'killed' ? cluster.killMaster(0) : freeze(cluster);
        await knowAway(a, b);
        const outcomes = await Promise.all(ASKED.map(({ domain, key }) => a.guard.invalidate({ domain, key })));
        expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['applied', 'pending']));
        await readUntil(promoted, [a, b]);
        const pending = outcomes.filter(({ outcome }) => outcome === 'pending').length;
        const carriedOut = (): number =>
          a.all('invalidation', { outcome: 'carried-out' }).reduce((sum, { count }) => sum + count, 0);
        await until(() => carriedOut() >= pending, 'what is pending to be carried out');
        await areBack(a, b);
        for (const target of ASKED) await expectNotFresh([a, b], target, 'old');
        for (const target of ASKED) await until(async () => (await see(b, target)).value === 'new', 'the new value');
      },
    );
  }
});

/** Freezes the first master; resolves when its replica serves its slots. */
async function freeze({ servers, replicas }: RedisCluster): Promise<void> {
  await servers[0]!.pause();
  const knows = async (): Promise<boolean> => {
    const nodes = (await servers[1]!.command('CLUSTER', 'NODES')).split('\n');
    return nodes.some((line) => line.includes(`:${replicas[0]!.port}@`) && / master .*connected \d/.test(line));
  };
  while (!(await knows())) await pause(50);
}

describe('what a server loses while a load runs', () => {
  promise(2, 'FLUSHALL in mid-load: the value is given, and is not taken for the fresh one', REDIS, async (fleet) => {
    const server = await ownRedis(fleet);
    const a = await fleet.start({ url: server.url, domains });
    for (const domain of Object.keys(domains)) {
      const source = fleet.source<string>();
      const read = a.guard.getOrLoad({ domain, key: 'gold' }, source.load);
      const call = await source.call(1);
      await server.command('FLUSHALL');
      call.resolve('loaded');
      expect(await read).toBe('loaded');
      expect(a.all('fenced', { domain, reason: 'token' })).toHaveLength(1);
      expect(await a.guard.peek({ domain, key: 'gold' })).toBeUndefined();
    }
  });

  for (const part of ['l', 'g'] as const) {
    const what = part === 'l' ? 'its lease' : 'its generations';
    promise(
      2,
      `eviction of ${what} in mid-load: the value is given, and is not taken for the fresh one`,
      REDIS,
      async (fleet) => {
        const a = await fleet.start({ domains });
        const source = fleet.source<string>();
        const target = { domain: 'balances', key: 'gold', tags: ['metal'] };
        const read = a.guard.getOrLoad(target, source.load);
        const call = await source.call(1);
        for (const name of await fleet.raw.keys(`${fleet.namespace}:${part}:*`)) await fleet.raw.del(name);
        call.resolve('loaded');
        expect(await read).toBe('loaded');
        expect(a.all('fenced')).toMatchObject([{ reason: part === 'l' ? 'token' : 'generation' }]);
        await expectNotFresh([a], target, 'loaded');
      },
    );
  }
});

describe('ways to a server', () => {
  async function usable(fleet: Fleet, connect: RedisConnect): Promise<void> {
    const [a, b] = [await fleet.start({ connect, domains }), await fleet.start({ connect, domains })];
    for (const domain of Object.keys(domains)) {
      expect(await see(a, { domain, key: 'gold' }, async () => 'old')).toMatchObject({ state: 'loaded' });
      expect(await see(b, { domain, key: 'gold' })).toMatchObject({ value: 'old', state: 'fresh' });
      expect(await a.guard.invalidate({ domain, key: 'gold' })).toEqual({ outcome: 'applied' });
      await until(async () => (await see(b, { domain, key: 'gold' })).value === 'new', 'the new value');
    }
    await a.heard('l1-trust', { trusted: true });
    expect(a.all('store-error')).toEqual([]);
  }

  promise(9, 'a user whose rules allow what the library needs', REDIS, async (fleet) => {
    const users = [
      {
        name: 'app',
        password: 'secret',
        rules: [`~${fleet.namespace}:*`, `&${fleet.namespace}:*`, '+@all', '-@admin', '-@dangerous', '+info'],
      },
    ];
    const server = await startRedis({ password: 'other', users });
    fleet.finally(() => server.stop());
    await usable(fleet, { url: server.urlFor('app') });
  });

  promise(9, 'another database', REDIS, async (fleet) => {
    const server = await ownRedis(fleet);
    await usable(fleet, { url: `${server.url}/3` });
    expect(await server.command('INFO', 'keyspace')).toMatch(/db3:keys=\d/);
    expect(await server.command('INFO', 'keyspace')).not.toMatch(/db0/);
  });

  promise(9, 'a prefix of all keys', REDIS, async (fleet) => {
    const server = await ownRedis(fleet);
    await usable(fleet, { url: server.url, options: { keyPrefix: 'bank:' } });
    expect(await server.command('KEYS', `bank:${fleet.namespace}:*`)).not.toEqual([]);
  });

  test.skipIf(noTls)('promise 9: TLS [redis]', async () => {
    const fleet = new Fleet('redis');
    const server = await startRedis({ tls: true });
    fleet.finally(() => server.stop());
    try {
      await usable(fleet, { url: server.url, options: { tls: { ca: server.ca! } } });
    } finally {
      await fleet.close();
    }
  });
});

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startCluster, type RedisCluster } from '../support/redis-cluster.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { tally } from './support/facts.js';
import { startFleet, type Fleet, type Member } from './support/fleet.js';
import { startOrigin, type Origin } from './support/origin.js';
import type { AppOptions } from './support/protocol.js';
import { sharedNow } from './support/time.js';

/** Much longer than any of these tests: who waits for another process's load is woken, or the test fails. */
const LEASE = '45s';
const policy: AppOptions['policy'] = {
  freshness: 'operational',
  softTtl: '5m',
  hardTtl: '5m',
  stalePolicy: 'never',
  lease: { duration: LEASE },
  loadTimeout: LEASE,
};

let origin: Origin;
let fleet: Fleet;
let late: Member;
let other: Member;

beforeAll(async () => {
  [origin, fleet] = await Promise.all([startOrigin(), startFleet(2)]);
  [late, other] = fleet.members as [Member, Member];
});

afterAll(async () => {
  expect(await fleet.stop(), 'processes that did not end by themselves').toEqual([]);
  await origin.close();
});

let label = 0;
beforeEach(() => {
  label += 1;
});

/** Boots although nothing answers, and serves from the loader: concurrent readers share it, later ones load anew. */
async function servesWithoutRedis(boot: () => Promise<void>): Promise<void> {
  const beganMs = sharedNow();
  await boot();
  expect(sharedNow() - beganMs, 'how long the start takes').toBeLessThan(10_000);
  const id = `away.${label}`;
  for (let version = 1; version <= 2; version++) {
    origin.hold(id);
    const crowd = await late.launch(id, 20);
    const load = await origin.next(id);
    await load.release();
    const { reads, failures } = await crowd.answers();
    expect(failures).toEqual([]);
    expect(tally(reads.map((read) => `${read.state} ${read.version}`))).toEqual({ [`uncached ${version}`]: 20 });
    expect(origin.loads(id).length).toBe(version);
    origin.bump(id);
  }
}

/** It shares values with the other process, is woken by it, and sees its writes. */
async function usesTheCache(): Promise<void> {
  await late.storeAnswers();
  await other.storeAnswers();
  const id = `back.${label}`;
  origin.hold(id);
  const holding = await other.launch(id, 5);
  const load = await origin.next(id);
  const waiting = await late.launch(id, 5);
  await late.seen({ type: 'lease', outcome: 'refused', id });
  await load.release();
  for (const crowd of [holding, waiting]) {
    const { reads, failures } = await crowd.answers();
    expect(failures).toEqual([]);
    expect(tally(reads.map((read) => read.load))).toEqual({ [load.number]: 5 });
  }
  origin.open(id);
  await other.write('write', id);
  expect((await late.read(id)).map(({ version }) => version)).toEqual([2]);
  await late.write('writeBook', id);
  expect((await other.read(id)).map(({ version }) => version)).toEqual([3]);
  expect((await fleet.read(id)).map(({ state, version }) => `${state} ${version}`)).toEqual(['fresh 3', 'fresh 3']);
  expect(origin.loads(id).length).toBe(3);
}

describe('promise 9: Redis is unreachable when a process starts', () => {
  let redis: RedisServer;
  let proxy: TcpProxy;
  let cluster: RedisCluster;

  beforeAll(async () => {
    [redis, cluster] = await Promise.all([startRedis(), startCluster()]);
    proxy = await startProxy(redis.port);
  });

  afterAll(async () => {
    await Promise.all([proxy.stop(), redis.stop(), cluster.stop()]);
  });

  it('refused: it serves from the loader, and from the cache as soon as there is one', async () => {
    await fleet.boot({ origin: origin.url, policy, redis: { url: redis.url } });
    proxy.down();
    await servesWithoutRedis(() => fleet.bootOne(late, { redis: { url: proxy.url } }));
    proxy.up();
    await usesTheCache();
  });

  it('silent: it serves from the loader, and from the cache as soon as there is one', async () => {
    await fleet.boot({ origin: origin.url, policy, redis: { url: redis.url } });
    proxy.hang();
    await servesWithoutRedis(() => fleet.bootOne(late, { redis: { url: proxy.url } }));
    proxy.resume();
    await usesTheCache();
  });

  it('a cluster: it serves from the loader, and from the cache as soon as there is one', async () => {
    await Promise.all(cluster.servers.map((server) => server.kill()));
    await servesWithoutRedis(() => fleet.boot({ origin: origin.url, policy, redis: { cluster: cluster.nodes } }));
    await Promise.all(cluster.servers.map((server) => server.restart()));
    // The masters come back one after the other; what was loaded in between is not fresh before all has settled.
    await fleet.all((member) => member.seen({ type: 'store-state', state: 'up' }));
    await usesTheCache();
  });
});

import { Redis } from 'ioredis';
import { describe, expect, inject } from 'vitest';
import { startCluster } from '../support/redis-cluster.js';
import { startRedis } from '../support/redis-server.js';
import { startProxy } from '../support/tcp-proxy.js';
import { settle, until, type Fleet, type Member } from './support/fleet.js';
import { GOLD, keep, near, OLD_FRESH, read, trust } from './support/l1.js';
import { CLUSTER, REDIS } from './support/promise.js';

/** A process behind a proxy that has the value in memory, and another one that changes it. */
async function kept(fleet: Fleet) {
  const proxy = await fleet.proxy();
  const [a, b] = [await near(fleet), await near(fleet, { proxy })];
  await keep(b, GOLD);
  return { a, b, proxy };
}

/** A server of the test's own, behind a proxy for the first of two processes. */
async function own(fleet: Fleet) {
  const server = await startRedis();
  fleet.finally(() => server.stop());
  const proxy = await startProxy(server.port);
  fleet.finally(() => proxy.stop());
  const [a, b] = [
    await near(fleet, { url: server.url }),
    await near(fleet, { url: proxy.url, commandTimeoutMs: 1_000 }),
  ];
  await keep(b, GOLD);
  return { a, b, proxy, server };
}

/** Nothing in the memory of the process is fresh any more; resolves to how long that took. */
async function untilDistrusted(member: Member): Promise<number> {
  const began = performance.now();
  await until(async () => {
    const got = await read(member, GOLD, 'new');
    return got.from !== 'l1' || got.state !== 'fresh';
  });
  return performance.now() - began;
}

/** What is fresh comes from memory again. */
async function untilTrusted(member: Member): Promise<void> {
  await until(async () => {
    const got = await read(member, GOLD, 'new');
    return got.from === 'l1' && got.state === 'fresh';
  }, 'trust');
}

describe('the connection for signals', () => {
  trust('is cut: nothing is fresh before the next read; trust comes back by itself', REDIS, async (fleet) => {
    const { b, proxy } = await kept(fleet);
    proxy.cutSubscribers();
    await until(() => b.store.said('gap') > 0);
    expect(await read(b, GOLD)).toEqual({ ...OLD_FRESH, from: 'l2' });
    await untilTrusted(b);
  });

  trust('is cut, and something is said before it stands again', REDIS, async (fleet) => {
    const { a, b, proxy } = await kept(fleet);
    const again = proxy.holdRequest((request) => /\r\nsubscribe\r\n/i.test(request.toString('latin1')));
    proxy.cutSubscribers();
    await until(() => b.store.said('gap') > 0);
    await read(b, GOLD);
    await a.guard.invalidate(GOLD);
    await again.struck;
    again.release();
    const heard = b.store.said('heard');
    await until(() => b.store.said('heard') > heard);
    expect(await read(b, GOLD, 'new')).not.toEqual(OLD_FRESH);
    await untilTrusted(b);
  });

  trust('is killed by the server', REDIS, async (fleet) => {
    const { a, b, server } = await own(fleet);
    await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => b.store.said('gap') > 0);
    await a.guard.invalidate(GOLD);
    expect(await untilDistrusted(b)).toBeLessThan(1_000);
    await untilTrusted(b);
  });

  trust('is half open: nothing is fresh after a second, and it is replaced', REDIS, async (fleet) => {
    const { a, b, proxy } = await kept(fleet);
    const { connections } = proxy.counts;
    proxy.halfOpenSubscribers();
    await a.guard.invalidate(GOLD);
    expect(await untilDistrusted(b)).toBeLessThan(1_000);
    // The store answers: it is asked.
    expect((await read(b, GOLD, 'new')).from).toBe('l2');
    await until(() => proxy.counts.connections > connections, 'a new connection');
    await untilTrusted(b);
    await a.guard.invalidate(GOLD);
    expect(await untilDistrusted(b)).toBeLessThan(1_000);
  });

  trust('loses what it carries for a while', REDIS, async (fleet) => {
    const { a, b, proxy } = await kept(fleet);
    const silence = proxy.loseMessages(() => true);
    await a.guard.invalidate(GOLD);
    await until(() => silence.count >= 2, 'an invalidation and a beat');
    silence.release();
    const heard = b.store.said('heard');
    await until(() => b.store.said('heard') > heard);
    expect(await read(b, GOLD, 'new')).not.toEqual(OLD_FRESH);
    await untilTrusted(b);
  });

  trust('is slower than the one for commands: a message that comes late still counts', REDIS, async (fleet) => {
    const { a, b, proxy } = await kept(fleet);
    const late = proxy.holdMessages('i|');
    await a.guard.put(GOLD, 'new');
    await late.struck;
    expect(await untilDistrusted(b)).toBeLessThan(1_000);
    late.release();
    await until(() => b.store.said('invalidated') > 0);
    await keep(b, GOLD, 'new');
  });
});

describe('the server', () => {
  trust('restarts: what was in memory is not fresh any more', REDIS, async (fleet) => {
    const { b, server } = await own(fleet);
    await server.restart({ from: 'empty' });
    await until(() => b.store.said('gap') > 0);
    expect(await read(b, GOLD)).not.toEqual(OLD_FRESH);
    await untilTrusted(b);
  });

  trust('does not answer: within a second nothing is fresh, old values serve, and it mends', REDIS, async (fleet) => {
    const { b, server } = await own(fleet);
    await server.pause();
    // The read that finds it out waits for the soft time-out.
    expect(await untilDistrusted(b)).toBeLessThan(1_500);
    expect(await read(b, GOLD, 'new')).toEqual({ value: 'old', from: 'l1', state: 'stale' });
    server.resume();
    await untilTrusted(b);
    expect((await read(b, GOLD)).value).toBe('old');
  });

  trust('comes back: memory is not fresher than it while invalidations may be on their way', REDIS, async (fleet) => {
    const { a: other, b, proxy, server } = await own(fleet);
    // Both have known each other.
    await until(async () => Number(await server.command('ZCARD', `${fleet.namespace}:live`)) === 2);
    await keep(other, GOLD);
    await until(() => b.store.said('heard') > 2 && other.store.said('heard') > 2);
    await server.pause();
    await other.heard('store-state', { state: 'away' });
    await b.heard('store-state', { state: 'away' });
    proxy.hang();
    expect(await b.guard.invalidate(GOLD)).toEqual({ outcome: 'pending' });
    server.resume();
    await other.heard('store-state', { state: 'settling' });
    const heard = other.store.said('heard');
    while (other.all('store-state').at(-1)?.state === 'settling') {
      const got = await read(other, GOLD);
      if (other.all('store-state').at(-1)?.state === 'settling') expect(got.state).toBe('stale');
      if (other.store.said('heard') > heard + 2) break;
    }
    expect(other.store.said('heard')).toBeGreaterThan(heard + 2);
    proxy.resume();
    await b.heard('invalidation', { outcome: 'carried-out' });
    await until(() => other.store.said('invalidated') > 0);
    expect(await read(other, GOLD, 'new')).not.toEqual(OLD_FRESH);
  });

  trust('is asked for one beat in a quarter of a second, by one command', REDIS, async (fleet) => {
    const { b, proxy } = await kept(fleet);
    await settle();
    const { beat } = b.store.calls;
    await until(() => b.store.calls.beat > beat);
    proxy.resetCounts();
    const began = performance.now();
    await until(() => b.store.calls.beat >= beat + 7);
    await settle();
    const { requests, commands } = proxy.counts;
    expect(commands).toEqual({ EVALSHA: requests });
    expect(requests).toBeGreaterThanOrEqual(6);
    expect(requests).toBeLessThanOrEqual(1 + (performance.now() - began) / 225);
  });
});

describe('a cluster', () => {
  trust('beats on every master, over one subscription', CLUSTER, async (fleet) => {
    const b = await near(fleet);
    const listener = new Redis(inject('clusterNodes')[0]!);
    fleet.finally(() => listener.disconnect());
    const beats = new Map<string, Set<string>>();
    listener.on('message', (_channel, message: string) => {
      const [, beat, from] = message.split('|') as [string, string, string];
      beats.set(beat, (beats.get(beat) ?? new Set()).add(from));
    });
    await listener.subscribe(`${fleet.namespace}:p:${b.process}`);
    await until(() => beats.size >= 3);
    const [, second] = [...beats.values()];
    expect([...second!].toSorted()).toEqual(inject('clusterNodes').map((_, i) => String(i)));
  });

  trust('of which one master does not answer: nothing is fresh, wherever it lies', CLUSTER, async (fleet) => {
    const cluster = await startCluster();
    fleet.finally(() => cluster.stop());
    const b = await near(fleet, { nodes: cluster.nodes, commandTimeoutMs: 1_000 });
    const keys = Array.from({ length: 12 }, (_, i) => ({ ...GOLD, key: `key-${i}` }));
    for (const key of keys) await keep(b, key);
    for (const key of keys) expect(await read(b, key)).toEqual(OLD_FRESH);
    await cluster.servers[1]!.pause();
    const began = performance.now();
    await until(() => performance.now() - began >= 1_000);
    const reads = await Promise.all(keys.map((key) => b.guard.getOrLoad(key, async () => 'new')));
    expect(reads.every((value) => value === 'old' || value === 'new')).toBe(true);
    expect(b.all('hit', { tier: 'l1', state: 'fresh' }).filter(({ key }) => key !== '')).toHaveLength(2 * keys.length);
    cluster.servers[1]!.resume();
    for (const key of keys) await until(async () => (await read(b, key, 'new')).from === 'l1', 'trust');
  });
});

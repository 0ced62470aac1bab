import { Cluster, Redis } from 'ioredis';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { makeBreaker } from '../../lib/adapters/breaker.js';
import type { RedisConnect } from '../../lib/adapters/redis/client-shapes.js';
import { RedisStore } from '../../lib/adapters/redis/redis-store.js';
import { systemClock, systemIds } from '../../lib/adapters/system.js';
import { uniqueNamespace } from '../support/namespace.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function start(connect: RedisConnect, namespace: string): Promise<RedisStore> {
  const ids = systemIds();
  const store = new RedisStore({ namespace, connect, clock: systemClock, ids, commandTimeoutMs: 5_000, makeBreaker });
  cleanups.push(() => store.close());
  await store.open();
  return store;
}

async function use(store: RedisStore): Promise<void> {
  await store.advance('d:offers', 'remove', 60_000);
  const heard = new Promise((resolve) => store.onSignal((signal) => signal.kind === 'heard' && resolve(signal)));
  await store.beat({ beat: 1, settled: true, outage: undefined });
  await heard;
}

describe('the key prefix of a connection', () => {
  it.each<[string, (keyPrefix: string) => RedisConnect]>([
    ['options', (keyPrefix) => ({ options: { port: Number(new URL(inject('redisUrl')).port), keyPrefix } })],
    ['a URL', (keyPrefix) => ({ url: `${inject('redisUrl')}?keyPrefix=${encodeURIComponent(keyPrefix)}` })],
    [
      'a client',
      (keyPrefix) => {
        const client = new Redis(inject('redisUrl'), { keyPrefix, lazyConnect: true });
        cleanups.push(() => client.disconnect());
        return { client };
      },
    ],
  ])('comes before every key and channel: %s', async (_how, connect) => {
    const raw = new Redis(inject('redisUrl'));
    cleanups.push(() => raw.disconnect());
    const namespace = uniqueNamespace('prefix');
    await use(await start(connect('team*a:'), namespace));
    expect((await raw.keys(`*${namespace}*`)).toSorted()).toEqual([
      `team*a:${namespace}:g:{d:offers}`,
      `team*a:${namespace}:live`,
    ]);
    const channels = (await raw.pubsub('CHANNELS', `*${namespace}*`)) as string[];
    expect(channels.every((channel) => channel.startsWith(`team*a:${namespace}:`))).toBe(true);
    expect(channels.length).toBe(2);
  });

  it('comes before every key of a cluster', async () => {
    const client = new Cluster(inject('clusterNodes'), { keyPrefix: 'team-b:', lazyConnect: true });
    cleanups.push(() => client.disconnect());
    const namespace = uniqueNamespace('prefix');
    await use(await start({ client }, namespace));
    const raw = new Cluster(inject('clusterNodes'));
    cleanups.push(() => raw.disconnect());
    expect(await raw.exists(`team-b:${namespace}:g:{d:offers}`)).toBe(1);
  });
});

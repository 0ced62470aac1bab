import { setTimeout } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import { storeContract, type StoreHarness } from 'nestjs-cache-guard/testing';
import { afterAll, describe, inject, it } from 'vitest';
import type { RedisConnect } from '../../lib/adapters/redis/client-shapes.js';
import { makeBreaker } from '../../lib/adapters/breaker.js';
import { RedisStore } from '../../lib/adapters/redis/redis-store.js';
import { systemClock, systemIds } from '../../lib/adapters/system.js';
import { uniqueNamespace } from '../support/namespace.js';

/** Runs one case on stores of a namespace of their own, and closes them. */
async function onRedis(connect: RedisConnect, run: (harness: StoreHarness) => Promise<void>): Promise<void> {
  const namespace = uniqueNamespace('contract');
  const stores: RedisStore[] = [];
  const open = async (): Promise<RedisStore> => {
    const store = new RedisStore({
      namespace,
      connect,
      clock: systemClock,
      ids: systemIds(),
      commandTimeoutMs: 10_000,
      makeBreaker,
    });
    stores.push(store);
    await store.open();
    return store;
  };
  try {
    await run({ unitMs: 250, create: open, another: open, advance: (ms) => setTimeout(ms) });
  } finally {
    await Promise.all(stores.map((store) => store.close()));
  }
}

describe.concurrent('the store contract, on one Redis', () => {
  for (const { name, run } of storeContract()) it(name, () => onRedis({ url: inject('redisUrl') }, run));
});

describe.concurrent('the store contract, on a Redis Cluster', () => {
  const client = new Cluster(inject('clusterNodes'), { lazyConnect: true });
  afterAll(() => client.disconnect());
  for (const { name, run } of storeContract()) it(name, () => onRedis({ client }, run));
});

import { Cluster } from 'ioredis';
import { eventSourceContract, type EventSourceHarness } from 'nestjs-cache-guard/testing';
import { afterAll, describe, inject, it } from 'vitest';
import type { RedisConnect } from '../../lib/adapters/redis/client-shapes.js';
import { RedisStreamSource } from '../../lib/adapters/redis/stream/redis-stream-source.js';
import { StreamPublisher } from '../../lib/adapters/redis/stream/stream-publisher.js';
import { systemClock as clock, systemIds } from '../../lib/adapters/system.js';
import { uniqueNamespace } from '../support/namespace.js';

/** Runs one case on sources of a stream of their own, and closes them. */
async function onRedis(connect: RedisConnect, run: (harness: EventSourceHarness) => Promise<void>): Promise<void> {
  const stream = uniqueNamespace('contract');
  const sources: RedisStreamSource[] = [];
  const publisher = new StreamPublisher({ connect, clock, commandTimeoutMs: 10_000 });
  const make = async (): Promise<RedisStreamSource> => {
    const source = new RedisStreamSource({
      name: 'contract',
      stream,
      group: 'contract',
      consumer: systemIds().process,
      connect,
      clock,
      commandTimeoutMs: 10_000,
      maxTries: 3,
      retryAfterMs: 50,
    });
    sources.push(source);
    return source;
  };
  const publish: EventSourceHarness['publish'] = (events) => publisher.append(stream, events);
  try {
    await run({ create: make, another: make, publish, maxTries: 3 });
  } finally {
    await Promise.all(sources.map((source) => source.close()));
    publisher.close();
  }
}

describe.concurrent('the event source contract, on a stream of one Redis', () => {
  for (const { name, run } of eventSourceContract('shared')) it(name, () => onRedis({ url: inject('redisUrl') }, run));
});

describe.concurrent('the event source contract, on a stream of a Redis Cluster', () => {
  const client = new Cluster(inject('clusterNodes'), { lazyConnect: true });
  afterAll(() => client.disconnect());
  for (const { name, run } of eventSourceContract('shared')) it(name, () => onRedis({ client }, run));
});

import { Injectable } from '@nestjs/common';
import { Cluster, Redis } from 'ioredis';
import { Cached, CacheGuardModule, Invalidates, Refreshes, type CacheGuardModuleOptions } from 'nestjs-cache-guard';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { freePort } from '../support/ports.js';
import { startApp } from './support/app.js';

@Injectable()
class Offers {
  loads = 0;

  @Cached({ domain: 'offers', key: (id: string) => id, tags: (id: string) => [`first:${id[0]}`] })
  async get(id: string): Promise<{ id: string; load: number }> {
    return { id, load: ++this.loads };
  }

  @Invalidates({ domain: 'offers', key: (id: string) => id })
  async change(_id: string): Promise<void> {}

  @Invalidates({ domain: 'offers', tags: (first: string) => [`first:${first}`] })
  async changeAll(_first: string): Promise<void> {}

  @Refreshes({ domain: 'offers', key: (id: string) => id })
  async set(id: string, load: number): Promise<{ id: string; load: number }> {
    return { id, load };
  }
}

const start = async (connection: Partial<CacheGuardModuleOptions>, namespace = uniqueNamespace()) => {
  const root = CacheGuardModule.forRoot({
    namespace,
    ...connection,
    domains: { offers: { freshness: 'experience', stalePolicy: 'never' } },
  });
  const made = await startApp({ imports: [root], providers: [Offers] });
  return { ...made, offers: made.of<Offers>(Offers) };
};

const client = (): Redis => {
  const redis = new Redis(inject('redisUrl'));
  onTestFinished(() => redis.disconnect());
  return redis;
};

const cluster = (): Cluster => {
  const nodes = new Cluster(inject('clusterNodes'));
  onTestFinished(() => nodes.disconnect());
  return nodes;
};

describe('a fleet on Redis', () => {
  it.each<[string, () => Partial<CacheGuardModuleOptions>]>([
    ['a URL', () => ({ redisUrl: inject('redisUrl') })],
    ['options', () => ({ redis: { host: '127.0.0.1', port: Number(new URL(inject('redisUrl')).port) } })],
    ['a client of the application', () => ({ existingClient: client() })],
    ['a Cluster of the application', () => ({ existingClient: cluster() })],
  ])('is reached by %s', async (_, connection) => {
    const namespace = uniqueNamespace();
    const one = await start(connection(), namespace);
    const two = await start(connection(), namespace);
    const both = await Promise.all([one.offers.get('a'), two.offers.get('a'), one.offers.get('a')]);
    expect(both).toEqual([1, 1, 1].map((load) => ({ id: 'a', load })));
    expect(one.offers.loads + two.offers.loads).toBe(1);

    await one.offers.change('a');
    await two.offers.get('a');
    expect(one.offers.loads + two.offers.loads).toBe(2);
    await two.offers.changeAll('a');
    await one.offers.get('a');
    expect(one.offers.loads + two.offers.loads).toBe(3);
    await two.offers.set('a', 42);
    expect(await one.offers.get('a')).toEqual({ id: 'a', load: 42 });
  });

  it('leaves the application’s own client open', async () => {
    const existingClient = client();
    const { app, offers } = await start({ existingClient });
    await offers.get('a');
    await app.close();
    expect(await existingClient.ping()).toBe('PONG');
  });

  it('need not be there: the application starts, reads and writes', async () => {
    const redis = { host: '127.0.0.1', port: await freePort() };
    const { offers, events, logs } = await start({ redis, commandTimeout: '50ms' });
    expect(await offers.get('a')).toEqual({ id: 'a', load: 1 });
    await offers.change('a');
    expect(await offers.set('a', 7)).toEqual({ id: 'a', load: 7 });
    expect(events).toContainEqual(expect.objectContaining({ type: 'invalidation', outcome: 'pending' }));
    expect(logs.of('error')).toEqual([]);
    expect(logs.of('warn')).toContainEqual(expect.stringContaining('The store does not answer'));
    expect(logs.of('warn')).toContainEqual(expect.stringContaining('kept in this process'));
  });
});

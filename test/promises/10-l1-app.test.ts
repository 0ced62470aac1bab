import { Injectable } from '@nestjs/common';
import { Cached, CacheGuardModule, Invalidates, type DomainPolicies } from 'nestjs-cache-guard';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { startApp, failureOf, type TestApp } from '../e2e/support/app.js';
import { uniqueNamespace } from '../support/namespace.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { until } from './support/fleet.js';

@Injectable()
class Catalog {
  loads = 0;

  @Cached({ domain: 'catalog', key: (id: string) => id, tags: () => ['metal'] })
  async find(id: string): Promise<{ id: string; load: number }> {
    return { id, load: ++this.loads };
  }

  @Cached({ domain: 'catalog', key: (id: string) => id, name: 'exact', stalePolicy: 'never' })
  async exact(id: string): Promise<string> {
    return id;
  }

  @Cached({ domain: 'balances', key: (id: string) => id })
  async balance(id: string): Promise<string> {
    return id;
  }

  @Invalidates({ domain: 'catalog', key: (id: string) => id })
  async publish(_id: string): Promise<void> {}
}

const domains = {
  catalog: { freshness: 'reference' },
  balances: { freshness: 'critical', softTtl: '1m', hardTtl: '1m' },
} as const satisfies DomainPolicies;

type App = TestApp & { readonly catalog: Catalog };

async function start(redisUrl: string, namespace: string, more: DomainPolicies = domains): Promise<App> {
  const root = CacheGuardModule.forRoot({ namespace, redisUrl, domains: more });
  const app = await startApp({ imports: [root], providers: [Catalog] });
  return { ...app, catalog: app.of<Catalog>(Catalog) };
}

async function proxied(): Promise<TcpProxy> {
  const proxy = await startProxy(Number(new URL(inject('redisUrl')).port));
  onTestFinished(() => proxy.stop());
  return proxy;
}

const tierOf = async ({ events }: App, run: () => Promise<unknown>): Promise<string> => {
  const before = events.filter(({ type }) => type === 'hit').length;
  await run();
  const hit = events.filter((event) => event.type === 'hit')[before];
  return hit?.tier ?? 'load';
};

const inMemory = (app: App, id = 'gold') =>
  until(async () => (await tierOf(app, () => app.catalog.find(id))) === 'l1', 'a hit in memory');

describe('memory of a Nest application', () => {
  test('promise 10: a hit through a decorated method issues no command', async () => {
    const proxy = await proxied();
    const app = await start(proxy.url, uniqueNamespace());
    for (const id of ['gold', 'silver']) await inMemory(app, id);
    proxy.resetCounts();
    for (let i = 0; i < 100; i++) {
      await Promise.all([app.catalog.find('gold'), app.catalog.find('silver')]);
    }
    // What is left are beats.
    expect(proxy.counts.commands['MGET']).toBeUndefined();
    expect(proxy.counts.requests).toBe(proxy.counts.commands['EVALSHA'] ?? 0);
    expect(proxy.counts.requests).toBeLessThan(5);
    expect(app.catalog.loads).toBe(2);
  });

  test('promise 10: methods that must not be stale have none of it', async () => {
    const app = await start(inject('redisUrl'), uniqueNamespace());
    await inMemory(app);
    for (const run of [() => app.catalog.exact('gold'), () => app.catalog.balance('gold')]) {
      for (let i = 0; i < 3; i++) await run();
      expect(await tierOf(app, run)).toBe('l2');
    }
  });

  test('promise 10: an invalidating method is known at once here, and within a second there', async () => {
    const namespace = uniqueNamespace();
    const [one, two] = [await start(inject('redisUrl'), namespace), await start(inject('redisUrl'), namespace)];
    for (const app of [one, two]) await inMemory(app);
    await one.catalog.publish('gold');
    expect(await tierOf(one, () => one.catalog.find('gold'))).not.toBe('l1');
    const began = performance.now();
    await until(async () => (await two.catalog.find('gold')).load === 2 || one.catalog.loads + two.catalog.loads > 1);
    await until(async () => (await tierOf(two, () => two.catalog.find('gold'))) !== 'load');
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  test('promise 13: two applications in one process share no memory, nor do two namespaces', async () => {
    const namespace = uniqueNamespace();
    const apps = [
      await start(inject('redisUrl'), namespace),
      await start(inject('redisUrl'), namespace),
      await start(inject('redisUrl'), `${namespace}-other`),
    ];
    for (const app of apps) await inMemory(app);
    const values = await Promise.all(apps.map(({ catalog }) => catalog.find('gold')));
    expect(new Set(values).size).toBe(3);
    expect(apps.map(({ catalog }) => catalog.loads)).toEqual([1, 0, 1]);
    // What one of them drops, or its end, leaves the others alone.
    await apps[2]!.catalog.publish('gold');
    await apps[0]!.app.close();
    expect(await tierOf(apps[1]!, () => apps[1]!.catalog.find('gold'))).toBe('l1');
  });

  test('promise 15: after its end nothing is answered from memory, and no connection is left', async () => {
    const proxy = await proxied();
    const app = await start(proxy.url, uniqueNamespace());
    await inMemory(app);
    await app.app.close();
    await until(() => proxy.counts.open === 0);
    const { loads } = app.catalog;
    await app.catalog.find('gold');
    expect(app.catalog.loads).toBe(loads + 1);
  });

  test.each([
    [{ freshness: 'critical', l1: {} }, 'l1', /another freshness class/],
    [{ freshness: 'reference', stalePolicy: 'never', l1: { maxAge: '1s' } }, 'l1', /allow stale serving/],
    [{ freshness: 'reference', l1: { maxEntries: 0 } }, 'l1.maxEntries', /from 1 to/],
    [{ freshness: 'reference', l1: { maxBytes: Number.NaN } }, 'l1.maxBytes', /whole number/],
    [{ freshness: 'reference', l1: { maxAge: -1 } }, 'l1.maxAge', /milliseconds|at least/],
  ] as const)('promise 10: %o is refused at boot', async (config, field, mend) => {
    const refused = { ...domains, refused: config } as DomainPolicies;
    const error = await failureOf(() => start(inject('redisUrl'), uniqueNamespace(), refused));
    expect(error).toMatchObject({ code: 'CG_INVALID_POLICY', domain: 'refused', field });
    expect((error as Error).message).toMatch(mend);
  });
});

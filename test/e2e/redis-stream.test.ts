import { Injectable } from '@nestjs/common';
import { Cluster, Redis } from 'ioredis';
import {
  Cached,
  CacheGuard,
  CacheGuardModule,
  redisStream,
  type CacheGuardEvent,
  type DomainEvent,
  type RedisStreamOptions,
} from 'nestjs-cache-guard';
import { afterAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { until } from '../support/redis-server.js';
import { failureOf, startApp } from './support/app.js';

@Injectable()
class Offers {
  loads = 0;

  @Cached({ domain: 'offers', key: (segment: string) => segment })
  async find(segment: string): Promise<string> {
    return `${segment} ${++this.loads}`;
  }
}

const domains = { offers: { freshness: 'reference', stalePolicy: 'never' } } as const;
const rules = [
  { on: 'offer.changed', domain: 'offers', key: (event: DomainEvent<{ segment: string }>) => event.data.segment },
];

let raw: Redis | undefined;
afterAll(() => raw?.disconnect());

const publish = async (stream: string, id: string, segment: string): Promise<void> => {
  raw ??= new Redis(inject('redisUrl'));
  const event = { specversion: '1.0', id, source: '/bank', type: 'offer.changed', data: { segment } };
  await raw.xadd(stream, '*', 'event', JSON.stringify(event));
};

const root = (options: Partial<RedisStreamOptions>, redis: object = { redisUrl: inject('redisUrl') }) => {
  const namespace = uniqueNamespace('stream');
  const sources = [redisStream({ stream: `${namespace}:events`, ...options })];
  return { namespace, module: CacheGuardModule.forRoot({ namespace, ...redis, domains, events: { rules, sources } }) };
};

const start = async (options: Partial<RedisStreamOptions> = {}, redis?: object) => {
  const { namespace, module } = root(options, redis);
  const app = await startApp({ imports: [module], providers: [Offers] });
  const events: CacheGuardEvent[] = [];
  app.of<CacheGuard>(CacheGuard).on((event) => events.push(event));
  return { stream: `${namespace}:events`, namespace, offers: app.of<Offers>(Offers), events };
};

describe('redisStream', () => {
  test('what is published there drives the cache, and its lag is told', async () => {
    const { stream, namespace, offers, events } = await start();
    expect([await offers.find('gold'), await offers.find('gold')]).toEqual(['gold 1', 'gold 1']);
    await publish(stream, '1', 'gold');
    await until('it is loaded again', async () => (await offers.find('gold')) === 'gold 2');
    await publish(stream, '1', 'gold');
    await until('the repeat came', async () =>
      events.some((event) => event.type === 'domain-events' && event.outcome === 'duplicate'),
    );
    expect(await offers.find('gold')).toBe('gold 2');
    await until('lag is told', async () => events.some((event) => event.type === 'event-lag'));
    expect(events.filter((event) => event.type === 'event-lag')[0]).toMatchObject({ source: stream });
    const groups = (await raw!.xinfo('GROUPS', stream)) as string[][];
    expect(groups.map((group) => group[group.indexOf('name') + 1])).toEqual([namespace]);
  });

  test('with a Redis of its own it works beside the memory store, under the name and in the group that it is given', async () => {
    const { stream, offers, events } = await start(
      { name: 'market', group: 'readers', redis: { url: inject('redisUrl') } },
      {},
    );
    await offers.find('gold');
    await publish(stream, '1', 'gold');
    await until('it is loaded again', async () => (await offers.find('gold')) === 'gold 2');
    expect(events.find(({ type }) => type === 'domain-events')).toMatchObject({ source: 'market' });
    const groups = (await raw!.xinfo('GROUPS', stream)) as string[][];
    expect(groups.map((group) => group[group.indexOf('name') + 1])).toEqual(['readers']);
  });

  test('a domain does not rest on a source of which an event was put aside: its rules failed, or it is none', async () => {
    const namespace = uniqueNamespace('stream');
    const stream = `${namespace}:events`;
    const long = { ...domains.offers, softTtl: '1h', hardTtl: '2h' } as const;
    const reliant = { ...long, freshBy: { source: stream, fallbackTtl: '1s' } } as const;
    const fails = (): never => {
      throw new RangeError('customer 4711');
    };
    const module = CacheGuardModule.forRoot({
      namespace,
      redisUrl: inject('redisUrl'),
      domains: { offers: long, quotes: reliant, rates: reliant },
      events: {
        rules: [
          { on: 'offer.changed', domain: 'offers', key: fails },
          { on: 'quote.changed', domain: 'quotes', key: () => 'gold' },
        ],
        sources: [redisStream({ stream, maxTries: 2, retryAfter: '50ms' })],
      },
    });
    const app = await startApp({ imports: [module] });
    const guard = app.of<CacheGuard>(CacheGuard);
    const letters: CacheGuardEvent[] = [];
    guard.on((event) => event.type === 'dead-letter' && letters.push(event));
    const names = ['offers', 'quotes', 'rates'];
    const cached = async () => {
      const states = await Promise.all(names.map((domain) => guard.peek({ domain, key: 'gold' })));
      return names.filter((_, i) => states[i]?.state === 'fresh');
    };
    for (const domain of names) await guard.getOrLoad({ domain, key: 'gold' }, async () => 'old');
    await publish(stream, '1', 'gold');
    await until('it is put aside', async () => letters.length === 1);
    expect(await cached()).toEqual(['quotes', 'rates']);
    const rule = "events.rules[0] of domain 'offers'";
    const failed = { eventType: 'offer.changed', eventId: '1', rule, error: 'RangeError', attempt: 2 };
    expect(letters[0]).toMatchObject({ source: stream, domains: ['offers'], failed });
    await guard.getOrLoad({ domain: 'offers', key: 'gold' }, async () => 'new');
    await raw!.xadd(stream, '*', 'event', 'nonsense');
    await until('it is put aside', async () => letters.length === 2);
    expect(await cached()).toEqual(['offers']);
    expect((await raw!.xpending(stream, namespace))[0]).toBe(0);
  });

  test('without a Redis the boot fails, and says how to mend it', async () => {
    const { module } = root({}, {});
    const failure = (await failureOf(() => startApp({ imports: [module] }))) as Error;
    expect(failure).toMatchObject({ name: 'CacheGuardConfigError', code: 'CG_INVALID_OPTIONS', field: 'redis' });
    expect(failure.message).toContain('redisUrl');
  });

  test('dead letters in another slot of a cluster are refused at boot', async () => {
    const client = new Cluster(inject('clusterNodes'), { lazyConnect: true });
    onTestFinished(() => client.disconnect());
    const bad = root({ stream: 'events', deadLetters: 'dead', redis: { client } });
    expect(await failureOf(() => startApp({ imports: [bad.module] }))).toMatchObject({ field: 'deadLetters' });
    const { namespace } = bad;
    await start({ stream: `{${namespace}}:events`, deadLetters: `{${namespace}}:aside`, redis: { client } });
  });

  test.each([
    [{ stream: '' }, 'stream'],
    [{ stream: 3 }, 'stream'],
    [{ name: '' }, 'name'],
    [{ group: '' }, 'group'],
    [{ from: 'now' }, 'from'],
    [{ batch: 0 }, 'batch'],
    [{ batch: 1_001 }, 'batch'],
    [{ maxTries: 1.5 }, 'maxTries'],
    [{ retryAfter: '1 fortnight' }, 'retryAfter'],
    [{ claimAfter: 0 }, 'claimAfter'],
    [{ deadLetters: '' }, 'deadLetters'],
    [{ redis: 'redis://:secret@host' }, 'redis'],
    [{ streams: 'x' }, 'streams'],
  ])('%o is refused at once', (bad, field) => {
    const given = { stream: 'events', ...bad } as RedisStreamOptions;
    expect(() => redisStream(given)).toThrow(expect.objectContaining({ code: 'CG_INVALID_OPTIONS', field }) as Error);
    expect(() => redisStream(given)).not.toThrow(/secret/);
  });

  test('nothing but options is refused at once', () => {
    expect(() => redisStream(undefined as never)).toThrow(/redisStream: options = undefined is refused/);
  });
});

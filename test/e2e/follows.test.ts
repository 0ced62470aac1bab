import { Injectable, Scope } from '@nestjs/common';
import { Cached, CacheGuard, CacheGuardModule, Follows, type DomainEvent } from 'nestjs-cache-guard';
import { Redis } from 'ioredis';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { failureOf, gate, startApp } from './support/app.js';

interface OfferChanged {
  readonly segment: string;
  readonly page?: number;
  readonly revision: number;
}

type Changed = DomainEvent<OfferChanged>;

let lastId = 0;
const event = (type: string, data: unknown) => ({ id: String(++lastId), source: '/bank/offers', type, data });
const DONE = { kind: 'done', outcome: 'applied' };

@Injectable()
class Offers {
  readonly loads: unknown[][] = [];

  @Follows({ on: 'offer.changed', args: ({ data }: Changed) => [data.segment], action: 'refresh' })
  @Cached({ domain: 'offers', key: (segment: string) => segment })
  @Follows({ on: 'offer.gone', args: ({ data }: Changed) => [data.segment] })
  async find(segment: string): Promise<string> {
    return this.load('find', segment);
  }

  @Follows({ on: 'offer.changed', args: ({ data }: Changed) => [data.segment, data.page], action: 'refresh' })
  @Cached({ domain: 'offers' })
  async list(segment: string, page?: number): Promise<string> {
    return this.load('list', segment, page);
  }

  @Cached({ domain: 'offers', name: 'best', key: (segment: string) => segment })
  @Follows({
    on: 'offer.changed',
    args: ({ data }: Changed) => (data.page === undefined ? undefined : [data.segment]),
    mode: 'remove',
  })
  async best(segment: string): Promise<string> {
    return this.load('best', segment);
  }

  of(method: string): unknown[][] {
    return this.loads.filter(([name]) => name === method);
  }

  private async load(...call: unknown[]): Promise<string> {
    this.loads.push(call);
    return `${call.join(' ')} ${this.loads.length}`;
  }
}

const domains = { offers: { freshness: 'reference', stalePolicy: 'never' } } as const;

describe.each(['memory', 'redis'])('@Follows on %s', (store) => {
  const start = async () => {
    const redisUrl = store === 'redis' ? { redisUrl: inject('redisUrl') } : {};
    const root = CacheGuardModule.forRoot({ namespace: uniqueNamespace('follows'), ...redisUrl, domains });
    const app = await startApp({ imports: [root], providers: [Offers] });
    return { ...app, offers: app.of<Offers>(Offers), guard: app.of<CacheGuard>(CacheGuard) };
  };

  test('invalidates the call that the event names, by the key function of the method', async () => {
    const { offers, guard } = await start();
    const [gold, silver] = [await offers.find('gold'), await offers.find('silver')];
    expect(await guard.events.publish(event('offer.gone', { segment: 'gold' }))).toEqual(DONE);
    expect(await offers.find('silver')).toBe(silver);
    expect(await offers.find('gold')).not.toBe(gold);
  });

  test('calls the method again with the arguments that the event gives, with and without a key function', async () => {
    const { offers, guard, events } = await start();
    await offers.find('gold');
    await offers.list('gold', 2);
    await guard.events.publish(event('offer.changed', { segment: 'gold', page: 2 }));
    await expect.poll(() => events.filter(({ type }) => type === 'accepted')).toHaveLength(4);
    expect(offers.of('find')).toEqual([['find', 'gold'], ['find', 'gold']]); // prettier-ignore
    expect(offers.of('list')).toEqual([['list', 'gold', 2], ['list', 'gold', 2]]); // prettier-ignore
    const before = offers.loads.length;
    await offers.find('gold');
    await offers.list('gold', 2);
    expect(offers.loads).toHaveLength(before);
  });

  test('leaves alone what the event does not concern', async () => {
    const { offers, guard } = await start();
    const best = await offers.best('gold');
    await guard.events.publish(event('offer.changed', { segment: 'gold' }));
    expect(await offers.best('gold')).toBe(best);
    await guard.events.publish(event('offer.changed', { segment: 'gold', page: 1 }));
    expect(await offers.best('gold')).not.toBe(best);
  });

  test('tries again what a function of the event throws, and says which', async () => {
    const { guard } = await start();
    const verdict = await guard.events.publish(event('offer.changed', null));
    expect(verdict).toMatchObject({ kind: 'retry', reason: expect.stringContaining('@Follows on Offers.') });
  });
});

test('what the event says with which arguments is not recorded', async () => {
  const namespace = uniqueNamespace('unrecorded');
  const redisUrl = inject('redisUrl');
  const rule = { on: 'offer.sold', domain: 'sold', key: () => 'gold', action: 'refresh' } as const;
  const both = { ...domains, sold: domains.offers };
  const root = CacheGuardModule.forRoot({ namespace, redisUrl, domains: both, events: { rules: [rule] } });
  const { of, guard } = await startApp({ imports: [root], providers: [Offers] });
  await of<Offers>(Offers).find('gold');
  await guard.getOrLoad({ domain: 'sold', key: 'gold' }, async () => 1);
  const redis = new Redis(redisUrl);
  onTestFinished(() => redis.disconnect());
  await expect.poll(() => redis.keys(`${namespace}:a:*`)).toEqual([`${namespace}:a:{sold:::s.gold}`]);
});

test('a worker that ends gives back what it has not done', async () => {
  const shared = { namespace: uniqueNamespace('handed'), redisUrl: inject('redisUrl') };
  const startWorker = (load: () => Promise<string>) => {
    @Injectable()
    class Slow {
      @Follows({ on: 'offer.changed', args: ({ data }: Changed) => [data.segment], action: 'refresh' })
      @Cached({ domain: 'offers', name: 'slow', key: (segment: string) => segment })
      find(_segment: string): Promise<string> {
        return load();
      }
    }
    return startApp({ imports: [CacheGuardModule.forRoot({ ...shared, domains })], providers: [Slow] });
  };
  const called = gate();
  const first = await startWorker(() => {
    called.open();
    return new Promise(() => {});
  });
  await first.guard.events.publish(event('offer.changed', { segment: 'gold' }));
  await called.passed;
  const second = await startWorker(async () => 'new');
  await first.app.close();
  const value = () => second.guard.peek({ domain: 'offers', name: 'slow', key: 'gold' });
  await expect.poll(value, { timeout: 10_000 }).toMatchObject({ state: 'fresh', value: 'new' });
});

describe('refused', () => {
  const boot = (provider: new () => object, policies: object = domains) => {
    const root = CacheGuardModule.forRoot({ namespace: 'a', domains: policies as typeof domains });
    return failureOf(() => startApp({ imports: [root], providers: [provider] }));
  };

  test('@Follows without @Cached', async () => {
    @Injectable()
    class Uncached {
      @Follows({ on: 'offer.changed', args: () => [] })
      async find(): Promise<void> {}
    }
    const failure = await boot(Uncached);
    expect(failure).toMatchObject({ code: 'CG_INVALID_DECORATION' });
    expect(String(failure)).toContain('Uncached.find');
  });

  test('what a rule refuses', async () => {
    @Injectable()
    class Nameless {
      @Follows({ on: '', args: () => [] })
      @Cached({ domain: 'offers' })
      async find(): Promise<void> {}
    }
    expect(await boot(Nameless)).toMatchObject({ code: 'CG_INVALID_RULE', field: 'on' });
  });

  test('refresh in a domain that keeps nothing', async () => {
    @Injectable()
    class Unkept {
      @Follows({ on: 'offer.changed', args: () => [], action: 'refresh' })
      @Cached({ domain: 'offers' })
      async find(): Promise<void> {}
    }
    const policies = { offers: { freshness: 'reference', stalePolicy: 'no-store' } };
    expect(await boot(Unkept, policies)).toMatchObject({ code: 'CG_INVALID_RULE' });
  });

  test('update, fields that there are not, and no function, when the class is defined', async () => {
    const decorate = (options: object) =>
      failureOf(() => {
        class Wrong {
          @(Follows(options as never) as MethodDecorator)
          @Cached({ domain: 'offers' })
          async find(): Promise<void> {}
        }
        return Wrong;
      });
    const args = (): unknown[] => [];
    for (const [options, field] of [
      [{ on: 'a', args, action: 'update' }, 'action'],
      [{ on: 'a', args, key: args }, 'key'],
      [{ on: 'a' }, 'args'],
      [{ on: 'a', args, version: 1 }, 'version'],
    ] as const) {
      const failure = await decorate(options);
      expect(failure).toMatchObject({ code: 'CG_INVALID_DECORATION' });
      expect(String(failure)).toContain(`${field} = `);
    }
  });
});

test.each(['web', 'server'])('role %s without Redis is refused, and says what to do', async (role) => {
  const root = () => CacheGuardModule.forRoot({ namespace: 'a', domains, role: role as 'web' });
  const failure = await failureOf(() => startApp({ imports: [root()], providers: [Offers] }));
  expect(failure).toMatchObject({ code: 'CG_INVALID_OPTIONS', field: 'role' });
  expect(String(failure)).toContain(role === 'web' ? 'without Redis there is no worker' : 'web, worker, both');
});

test('rules of a request-scoped host hold, and its refresh is skipped', async () => {
  @Injectable({ scope: Scope.REQUEST })
  class PerRequest {
    @Follows({ on: 'offer.changed', args: ({ data }: Changed) => [data.segment], action: 'refresh' })
    @Cached({ domain: 'offers' })
    async find(segment: string): Promise<string> {
      return segment;
    }
  }
  const root = CacheGuardModule.forRoot({ namespace: 'a', domains });
  const app = await startApp({ imports: [root], providers: [PerRequest] });
  expect(await app.guard.events.publish(event('offer.changed', { segment: 'gold' }))).toEqual(DONE);
  await expect
    .poll(() => app.events.filter(({ type }) => type === 'refresh-skipped'))
    .toMatchObject([{ reason: 'request-scoped' }]);
});

import { Injectable } from '@nestjs/common';
import { Observable, of } from 'rxjs';
import { argsKey, Cached, CacheGuardModule, Invalidates, isCacheGuardError, loadContext } from 'nestjs-cache-guard';
import { describe, expect, it } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { failureOf, startApp, visibleKeys } from './support/app.js';

const root = () =>
  CacheGuardModule.forRoot({
    namespace: uniqueNamespace(),
    domains: { offers: { freshness: 'experience' }, balances: { freshness: 'critical' } },
  });

const start = async <T>(type: new () => T) => {
  const made = await startApp({ imports: [root()], providers: [type as new () => object] });
  return { ...made, service: made.of<T>(type) };
};

describe('@Cached', () => {
  it('loads once for each key, and for one key once at a time', async () => {
    @Injectable()
    class Offers {
      loads: string[] = [];

      @Cached({ domain: 'offers', key: (segment: string) => segment })
      async find(segment: string): Promise<string[]> {
        this.loads.push(segment);
        return [`${segment}-1`];
      }
    }
    const { service } = await start(Offers);
    const found = await Promise.all([service.find('gold'), service.find('gold'), service.find('silver')]);
    expect(found).toEqual([['gold-1'], ['gold-1'], ['silver-1']]);
    expect(await service.find('gold')).toEqual(['gold-1']);
    expect(service.loads).toEqual(['gold', 'silver']);
  });

  it('derives the key from all arguments, in a space of the method', async () => {
    @Injectable()
    class Offers {
      loads = 0;

      @Cached({ domain: 'offers' })
      async find(segment: string, page = 1): Promise<string> {
        return `${segment} ${page} ${++this.loads}`;
      }

      @Cached({ domain: 'offers' })
      async count(segment: string): Promise<number> {
        return segment.length;
      }
    }
    const { service, guard } = await start(Offers);
    expect(await service.find('gold')).toBe('gold 1 1');
    expect(await service.find('gold', 2)).toBe('gold 2 2');
    expect(await service.find('gold', undefined)).toBe('gold 1 1');
    expect(await service.count('gold')).toBe(4);
    expect(await guard.peek({ domain: 'offers', name: 'Offers.find', key: argsKey('gold', 2) })).toMatchObject({
      value: 'gold 2 2',
    });
  });

  it('keeps explicit keys in the space of the domain, or of its name', async () => {
    @Injectable()
    class Offers {
      @Cached({ domain: 'offers', key: (id: string) => id })
      async byId(id: string): Promise<string> {
        return `offer ${id}`;
      }

      @Cached({ domain: 'offers', key: (id: string) => id, name: 'prices' })
      async price(id: string): Promise<string> {
        return `price ${id}`;
      }
    }
    const { service, guard } = await start(Offers);
    expect([await service.byId('1'), await service.price('1')]).toEqual(['offer 1', 'price 1']);
    expect(await guard.peek({ domain: 'offers', key: '1' })).toMatchObject({ value: 'offer 1' });
    expect(await guard.peek({ domain: 'offers', key: '1', name: 'prices' })).toMatchObject({ value: 'price 1' });
  });

  it('lets methods share their values where both say so', async () => {
    @Injectable()
    class Offers {
      @Cached({ domain: 'offers', key: (id: string) => id, shared: true })
      async byId(id: string): Promise<string> {
        return `offer ${id}`;
      }

      @Cached({ domain: 'offers', key: (_eager: boolean, id: string) => id, shared: true })
      async again(_eager: boolean, _id: string): Promise<string> {
        throw new Error('must not be called');
      }
    }
    const { service } = await start(Offers);
    await service.byId('1');
    expect(await service.again(true, '1')).toBe('offer 1');
  });

  it('overrides the policy of its domain, and labels its values', async () => {
    @Injectable()
    class Offers {
      loads = 0;

      @Cached({
        domain: 'offers',
        key: () => 'all',
        tags: () => ['list'],
        softTtl: '5s',
        hardTtl: '9s',
        stalePolicy: 'never',
      })
      async all(): Promise<number> {
        return ++this.loads;
      }
    }
    const { service, guard } = await start(Offers);
    expect(await service.all()).toBe(1);
    const { entry } = await guard.explain({ domain: 'offers', key: 'all' });
    expect(entry!.softInMs).toBeLessThanOrEqual(5_000);
    expect(entry!.hardInMs).toBeLessThanOrEqual(9_000);
    await guard.invalidateTags({ domain: 'offers', tags: ['list'], mode: 'remove' });
    expect(await service.all()).toBe(2);
  });

  it('gives a load its context', async () => {
    @Injectable()
    class Offers {
      loads = 0;

      @Cached({ domain: 'offers', key: () => 'all' })
      async all(): Promise<number> {
        loadContext().doNotCache();
        return ++this.loads;
      }
    }
    const { service } = await start(Offers);
    expect([await service.all(), await service.all()]).toEqual([1, 2]);
  });

  it('keeps `this`, private fields, and what the method is', async () => {
    @Injectable()
    class Offers {
      #prefix = 'secret';

      @Cached({ domain: 'offers' })
      async find(segment: string, _page = 1): Promise<string> {
        return `${this.#prefix} ${segment}`;
      }
    }
    const { service } = await start(Offers);
    expect(await service.find('gold')).toBe('secret gold');
    expect([service.find.name, service.find.length]).toEqual(['find', 1]);
    expect(visibleKeys(service)).toEqual([]);
  });

  it('takes a method without parameters at its word', async () => {
    @Injectable()
    class Offers {
      loads = 0;

      @Cached({ domain: 'offers' })
      async all(): Promise<number> {
        return ++this.loads;
      }

      @Cached({ domain: 'offers' })
      async some(first = 0): Promise<number> {
        return first + ++this.loads;
      }

      @Cached({ domain: 'offers' })
      async hidden(): Promise<number> {
        return arguments.length + ++this.loads;
      }

      @Cached({ domain: 'offers' })
      @Invalidates({ domain: 'balances', all: true })
      async stacked(): Promise<number> {
        return ++this.loads;
      }

      @Cached({ domain: 'offers' })
      async each(...ids: number[]): Promise<number> {
        return ids.length + ++this.loads;
      }
    }
    const { service } = await start(Offers);
    const handled: Record<'all' | 'hidden' | 'stacked', (...more: unknown[]) => Promise<number>> = service;
    expect([await handled.all(), await handled.all(() => 'a request')]).toEqual([1, 1]);
    expect([await service.some(10), await service.some(20)]).toEqual([12, 23]);
    expect([await service.each(1, 2), await service.each(1, 2, 3)]).toEqual([6, 8]);
    expect([await handled.hidden(1), await handled.hidden(1, 2)]).toEqual([7, 9]);
    expect([await handled.stacked(), await handled.stacked(() => 'a request')]).toEqual([8, 8]);
  });

  it('passes on what the method throws, unchanged', async () => {
    const failure = new Error('no such segment');
    @Injectable()
    class Offers {
      @Cached({ domain: 'offers' })
      find(_segment: string): Promise<string> {
        throw failure;
      }
    }
    const { service } = await start(Offers);
    expect(await failureOf(() => service.find('gold'))).toBe(failure);
  });

  it('refuses a method that returns no promise', async () => {
    @Injectable()
    class Offers {
      // @ts-expect-error the types refuse it too
      @Cached({ domain: 'offers' })
      sync(): string {
        return 'gold';
      }

      // @ts-expect-error the types refuse it too
      @Cached({ domain: 'offers' })
      observable(): Observable<string> {
        return of('gold');
      }
    }
    const { service } = await start(Offers);
    for (const method of ['sync', 'observable'] as const) {
      const error = await failureOf(() => service[method]());
      expect(error).toMatchObject({ code: 'CG_NOT_A_PROMISE', method: `Offers.${method}` });
      expect(String(error)).toMatch(/async.*firstValueFrom/);
    }
    expect(new Offers().sync()).toBe('gold');
  });

  it('runs uncached on objects that were made without Nest', async () => {
    class Offers {
      loads = 0;

      @Cached({ domain: 'nowhere', key: (): string => expect.fail('no key is made') })
      async all(): Promise<number> {
        return ++this.loads;
      }
    }
    const service = new Offers();
    expect([await service.all(), await service.all()]).toEqual([1, 2]);
    const copy = Object.assign(Object.create(Offers.prototype) as Offers, { loads: 7 });
    expect(await copy.all()).toBe(8);
  });
});

describe('the key of a call', () => {
  @Injectable()
  class Offers {
    runs = 0;

    @Cached({
      domain: 'offers',
      key: (segment: string) => {
        if (segment === 'bad') throw new TypeError('no segment');
        return segment;
      },
    })
    async find(_segment: string): Promise<number> {
      return ++this.runs;
    }

    @Cached({ domain: 'offers', key: (segment: { id?: string }) => segment.id!, name: 'optional' })
    async optional(_segment: { id?: string }): Promise<number> {
      return ++this.runs;
    }

    @Cached({ domain: 'offers' })
    async derived(_callback: () => void): Promise<number> {
      return ++this.runs;
    }

    @Cached({ domain: 'offers', name: 'tagged', tags: (tag: string | undefined) => [tag!] })
    async tagged(_tag: string | undefined): Promise<number> {
      return ++this.runs;
    }

    @Cached({ domain: 'balances', key: () => 'outer', name: 'outer' })
    async outer(): Promise<number> {
      return this.find('bad');
    }
  }

  it.each([
    ['throws', (service: Offers) => service.find('bad'), 'Offers.find', 'TypeError'],
    ['is nothing', (service: Offers) => service.optional({}), 'Offers.optional', 'CacheGuardError'],
    ['cannot be derived', (service: Offers) => service.derived(() => {}), 'Offers.derived', 'CacheGuardError'],
    ['comes with an unusable tag', (service: Offers) => service.tagged(undefined), 'Offers.tagged', 'CacheGuardError'],
  ])('fails the call where it %s, and names the method', async (_, call, method, cause) => {
    const { service } = await start(Offers);
    const error = await failureOf(() => call(service));
    expect(error).toMatchObject({ code: 'CG_UNUSABLE_KEY', domain: 'offers', method, cause: { name: cause } });
    expect(isCacheGuardError(error) && error.message).toContain(`The call of ${method} has no usable key`);
    expect(service.runs).toBe(0);
  });

  it('advises an explicit key where none can be derived', async () => {
    const { service } = await start(Offers);
    expect(String(await failureOf(() => service.derived(() => {})))).toContain('give the decorator an explicit key');
  });

  it('names the inner method where the key of an inner call is unusable', async () => {
    const { service } = await start(Offers);
    expect(await failureOf(() => service.outer())).toMatchObject({ code: 'CG_UNUSABLE_KEY', method: 'Offers.find' });
  });
});

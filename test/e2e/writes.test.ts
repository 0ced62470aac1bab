import { Injectable } from '@nestjs/common';
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  argsKey,
  Cached,
  CacheGuardModule,
  CacheGuardStoreError,
  Invalidates,
  Refreshes,
  type AfterCommit,
} from 'nestjs-cache-guard';
import { describe, expect, it } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { failureOf, startApp } from './support/app.js';
import { STORE } from '../../lib/nest/tokens.js';
import { MemoryStore } from '../../lib/adapters/memory/memory-store.js';
import { systemClock } from '../../lib/adapters/system.js';

const tenants = new AsyncLocalStorage<string>();

const root = (afterCommit?: AfterCommit) =>
  CacheGuardModule.forRoot({
    namespace: uniqueNamespace(),
    afterCommit,
    domains: {
      offers: { freshness: 'experience' },
      prices: { freshness: 'experience', stalePolicy: 'never' },
      accounts: { freshness: 'critical', partition: () => tenants.getStore() },
    },
  });

interface Offer {
  id: string;
  segments: string[];
}

/** Reads and writes; `version` is what the source holds. */
@Injectable()
class Prices {
  version = 1;
  reads = 0;
  failure: Error | undefined;

  @Cached({ domain: 'prices', key: (id: string) => id, tags: (id: string) => [`first:${id[0]}`] })
  async get(id: string): Promise<string> {
    this.reads++;
    return `${id} v${this.version}`;
  }

  @Cached({ domain: 'prices' })
  async list(segment: string, page: number): Promise<string> {
    return `${segment} ${page} v${this.version}`;
  }

  @Invalidates({ domain: 'prices', key: (offer: Offer) => offer.id })
  async one(offer: Offer): Promise<string> {
    return this.write(offer.id);
  }

  @Invalidates({ domain: 'prices', keys: (...ids: string[]) => ids })
  async many(...ids: string[]): Promise<string> {
    return this.write(ids.join());
  }

  @Invalidates({ domain: 'prices', tags: (first: string) => [`first:${first}`] })
  async tagged(_first: string): Promise<string> {
    return this.write('tagged');
  }

  @Invalidates({ domain: 'prices', all: true })
  async everything(): Promise<string> {
    return this.write('all');
  }

  @Invalidates({ domain: 'prices', name: 'Prices.list', key: (segment: string) => argsKey(segment, 1) })
  @Invalidates({ domain: 'prices', key: (segment: string) => segment })
  async stacked(_segment: string): Promise<string> {
    return this.write('stacked');
  }

  @Invalidates({ domain: 'prices', key: (id: string) => id, when: 'settled' })
  async settled(_id: string): Promise<string> {
    return this.write('settled');
  }

  @Refreshes({ domain: 'prices', key: (id: string) => id })
  async rebuild(id: string): Promise<string> {
    this.write(id);
    return `${id} rebuilt`;
  }

  @Refreshes({ domain: 'prices', name: 'Prices.list' })
  async rebuildList(segment: string, page: number): Promise<string> {
    return `${segment} ${page} rebuilt`;
  }

  protected write(what: string): string {
    this.version++;
    if (this.failure) throw this.failure;
    return `wrote ${what}`;
  }
}

const start = async (afterCommit?: AfterCommit) => {
  const made = await startApp({ imports: [root(afterCommit)], providers: [Prices] });
  return { ...made, prices: made.of<Prices>(Prices) };
};

describe('@Invalidates', () => {
  it.each([
    ['one key', (prices: Prices) => prices.one({ id: 'a', segments: [] }), ['a v2', 'b v1']],
    ['many keys', (prices: Prices) => prices.many('a', 'b'), ['a v2', 'b v2']],
    ['no key', (prices: Prices) => prices.many(), ['a v1', 'b v1']],
    ['a tag', (prices: Prices) => prices.tagged('b'), ['a v1', 'b v2']],
    ['the whole domain', (prices: Prices) => prices.everything(), ['a v2', 'b v2']],
  ])('invalidates %s after success', async (_, write, expected) => {
    const { prices } = await start();
    await Promise.all([prices.get('a'), prices.get('b')]);
    expect(await write(prices)).toMatch(/^wrote/);
    expect(await Promise.all([prices.get('a'), prices.get('b')])).toEqual(expected);
  });

  it('can be stacked, and reaches derived keys by name', async () => {
    const { prices } = await start();
    await Promise.all([prices.get('gold'), prices.list('gold', 1), prices.list('gold', 2)]);
    await prices.stacked('gold');
    expect(await prices.get('gold')).toBe('gold v2');
    expect(await Promise.all([prices.list('gold', 1), prices.list('gold', 2)])).toEqual(['gold 1 v2', 'gold 2 v1']);
  });

  it('leaves the cache alone when the write fails, unless it is to be invalidated when settled', async () => {
    const { prices } = await start();
    await prices.get('a');
    prices.failure = new Error('timed out');
    expect(await failureOf(() => prices.one({ id: 'a', segments: [] }))).toBe(prices.failure);
    expect(await prices.get('a')).toBe('a v1');
    expect(await failureOf(() => prices.settled('a'))).toBe(prices.failure);
    expect(await prices.get('a')).toBe('a v3');
  });

  it('marks stale or removes, as the domain or the decorator says', async () => {
    @Injectable()
    class Offers {
      loads = 0;

      @Cached({ domain: 'offers', key: (id: string) => id })
      async get(_id: string): Promise<number> {
        return ++this.loads;
      }

      @Invalidates({ domain: 'offers', key: (id: string) => id })
      async expire(_id: string): Promise<void> {}

      @Invalidates({ domain: 'offers', key: (id: string) => id, mode: 'remove' })
      async remove(_id: string): Promise<void> {}
    }
    const made = await startApp({ imports: [root()], providers: [Offers] });
    const offers = made.of<Offers>(Offers);
    await offers.get('a');
    await offers.expire('a');
    expect(await made.guard.explain({ domain: 'offers', key: 'a' })).toMatchObject({ decision: 'serve-stale' });
    await offers.remove('a');
    expect(await made.guard.explain({ domain: 'offers', key: 'a' })).toMatchObject({ decision: 'load' });
  });

  it('makes keys before the method runs, from what the arguments are then', async () => {
    @Injectable()
    class Offers {
      written = 0;

      @Cached({ domain: 'prices', key: (segments: string[]) => segments })
      async find(segments: string[]): Promise<string> {
        return `${segments.join()} ${this.written}`;
      }

      @Invalidates({ domain: 'prices', key: (offer: Offer) => offer.segments })
      async clear(offer: Offer): Promise<void> {
        offer.segments.length = 0;
        this.written++;
      }
    }
    const offers = (await startApp({ imports: [root()], providers: [Offers] })).of<Offers>(Offers);
    await offers.find(['gold', 'new']);
    await offers.clear({ id: 'a', segments: ['gold', 'new'] });
    expect(await offers.find(['gold', 'new'])).toBe('gold,new 1');
  });

  it('fails the call before the write where the invalidation is impossible', async () => {
    @Injectable()
    class Offers {
      written = 0;

      @Invalidates({ domain: 'prices', key: (offer: Offer | undefined) => offer!.id })
      async throwing(_offer: Offer | undefined): Promise<void> {
        this.written++;
      }

      @Invalidates({ domain: 'prices', key: (id: string) => id })
      async nothing(_id: string): Promise<void> {
        this.written++;
      }

      @Invalidates({ domain: 'prices', keys: (ids: string[]) => ids })
      async nothingInside(_ids: string[]): Promise<void> {
        this.written++;
      }

      @Invalidates({ domain: 'prices', keys: (ids: string[]) => ids })
      async noList(_ids: string[]): Promise<void> {
        this.written++;
      }

      @Invalidates({ domain: 'prices', tags: (tag: string) => [tag] })
      async noTag(_tag: string): Promise<void> {
        this.written++;
      }

      @Invalidates({ domain: 'accounts', key: (id: string) => id })
      async nowhere(_id: string): Promise<void> {
        this.written++;
      }

      @Refreshes({ domain: 'prices', key: (id: string) => id })
      async refreshed(_id: string): Promise<void> {
        this.written++;
      }
    }
    const offers = (await startApp({ imports: [root()], providers: [Offers] })).of<Offers>(Offers);
    const calls: [string, () => Promise<void>][] = [
      ['throwing', () => offers.throwing(undefined)],
      ['nothing', () => offers.nothing('')],
      ['nothingInside', () => offers.nothingInside(['a', ''])],
      ['noList', () => offers.noList('a' as unknown as string[])],
      ['noTag', () => offers.noTag('')],
      ['nowhere', () => offers.nowhere('a')],
      ['refreshed', () => offers.refreshed('')],
    ];
    for (const [name, call] of calls) {
      expect(await failureOf(call)).toMatchObject({ code: 'CG_UNUSABLE_KEY', method: `Offers.${name}` });
    }
    expect(offers.written).toBe(0);
    await tenants.run('one', () => offers.nowhere('a'));
    expect(offers.written).toBe(1);
  });

  it('is not called off by a method that returns no promise', async () => {
    @Injectable()
    class Offers {
      @Cached({ domain: 'prices', key: () => 'a' })
      async get(): Promise<string> {
        return 'old';
      }

      // @ts-expect-error the types refuse it too
      @Invalidates({ domain: 'prices', key: () => 'a' })
      sync(): void {}
    }
    const { of, guard } = await startApp({ imports: [root()], providers: [Offers] });
    const offers = of<Offers>(Offers);
    await offers.get();
    expect(await failureOf(() => offers.sync())).toMatchObject({ code: 'CG_NOT_A_PROMISE', method: 'Offers.sync' });
    expect(await guard.peek({ domain: 'prices', key: 'a' })).toBeUndefined();
  });

  it('goes together with @Cached on one method: above for every call, below for every load', async () => {
    @Injectable()
    class Offers {
      loads = 0;

      @Cached({ domain: 'prices', key: () => 'index' })
      async index(): Promise<number> {
        return this.loads;
      }

      @Invalidates({ domain: 'prices', key: () => 'index' })
      @Cached({ domain: 'prices', name: 'above', key: (id: string) => id })
      async above(_id: string): Promise<number> {
        return ++this.loads;
      }

      @Cached({ domain: 'prices', name: 'below', key: (id: string) => id })
      @Invalidates({ domain: 'prices', key: () => 'index' })
      async below(_id: string): Promise<number> {
        return ++this.loads;
      }
    }
    const { of, events } = await startApp({ imports: [root()], providers: [Offers] });
    const offers = of<Offers>(Offers);
    const invalidations = () => events.filter(({ type }) => type === 'invalidation').length;
    expect([await offers.above('a'), await offers.above('a'), invalidations()]).toEqual([1, 1, 2]);
    expect([await offers.below('a'), await offers.below('a'), invalidations()]).toEqual([2, 2, 3]);
    expect(await offers.index()).toBe(2);
  });

  it('does not fail a write because the store is away', async () => {
    class AwayStore extends MemoryStore {
      override invalidate(): Promise<never> {
        return Promise.reject(new CacheGuardStoreError('CG_STORE_UNAVAILABLE', 'The store did not answer.'));
      }
    }
    const { of, events, logs } = await startApp({ imports: [root()], providers: [Prices] }, (builder) =>
      builder.overrideProvider(STORE).useValue(new AwayStore({ clock: systemClock })),
    );
    const prices = of<Prices>(Prices);
    expect(await prices.one({ id: 'a', segments: [] })).toBe('wrote a');
    expect(events).toContainEqual(expect.objectContaining({ type: 'invalidation', outcome: 'failed' }));
    expect(logs.of('warn')).toContainEqual(expect.stringContaining('was not confirmed'));
    expect(logs.of('error')).toEqual([]);
  });

  it('does not fail a write because of anything else, and says so in the log', async () => {
    const { prices, guard, logs } = await start();
    guard.invalidate = () => Promise.reject(new TypeError('broken'));
    expect(await prices.one({ id: 'a', segments: [] })).toBe('wrote a');
    expect(logs.of('error')).toEqual([expect.stringMatching(/Prices\.one failed: broken/)]);
  });
});

describe('@Refreshes', () => {
  it('makes the result the cached value', async () => {
    const { prices } = await start();
    await prices.get('a');
    expect(await prices.rebuild('a')).toBe('a rebuilt');
    expect(await prices.get('a')).toBe('a rebuilt');
    expect(await prices.rebuildList('gold', 1)).toBe('gold 1 rebuilt');
    expect(await prices.list('gold', 1)).toBe('gold 1 rebuilt');
  });

  it('leaves the cache alone when the write fails', async () => {
    const { prices } = await start();
    await prices.get('a');
    prices.failure = new Error('refused');
    expect(await failureOf(() => prices.rebuild('a'))).toBe(prices.failure);
    expect(await prices.get('a')).toBe('a v1');
  });

  it('does not fail a write because of the guard, and invalidates then', async () => {
    const { prices, guard } = await start();
    await prices.get('a');
    guard.writeThrough = async (_target, write) => {
      await write();
      throw new TypeError('broken');
    };
    expect(await prices.rebuild('a')).toBe('a rebuilt');
    expect(await prices.get('a')).toBe('a v2');
  });

  it('only runs where the domain is partitioned and nobody says which partition this is', async () => {
    @Injectable()
    class Accounts {
      @Cached({ domain: 'accounts', key: (id: string) => id })
      async get(id: string): Promise<string> {
        return `${id} loaded`;
      }

      @Refreshes({ domain: 'accounts', key: (id: string) => id })
      async set(id: string): Promise<string> {
        return `${id} set`;
      }
    }
    const accounts = (await startApp({ imports: [root()], providers: [Accounts] })).of<Accounts>(Accounts);
    expect(await accounts.set('a')).toBe('a set');
    expect(await tenants.run('one', () => accounts.get('a'))).toBe('a loaded');
    await tenants.run('one', () => accounts.set('a'));
    expect(await tenants.run('one', () => accounts.get('a'))).toBe('a set');
    expect(await tenants.run('two', () => accounts.get('a'))).toBe('a loaded');
  });
});

describe('inside a transaction', () => {
  const transaction = (open = true) => {
    const actions: (() => Promise<void>)[] = [];
    const afterCommit: AfterCommit = (action) => {
      if (open) actions.push(action);
      return open;
    };
    return { afterCommit, actions, commit: () => Promise.all(actions.map((action) => action())) };
  };

  it('invalidates after the commit', async () => {
    const { afterCommit, commit } = transaction();
    const { prices } = await start(afterCommit);
    await prices.get('a');
    expect(await prices.one({ id: 'a', segments: [] })).toBe('wrote a');
    expect(await prices.get('a')).toBe('a v1');
    await commit();
    expect(await prices.get('a')).toBe('a v2');
  });

  it('invalidates at once where none is open', async () => {
    const { afterCommit } = transaction(false);
    const { prices } = await start(afterCommit);
    await prices.get('a');
    await prices.one({ id: 'a', segments: [] });
    expect(await prices.get('a')).toBe('a v2');
    expect(await prices.rebuild('a')).toBe('a rebuilt');
    expect(await prices.get('a')).toBe('a rebuilt');
  });

  it('publishes nothing that may be rolled back: a refresh becomes an invalidation after the commit', async () => {
    const { afterCommit, commit, actions } = transaction();
    const { prices } = await start(afterCommit);
    await prices.get('a');
    expect(await prices.rebuild('a')).toBe('a rebuilt');
    expect(await prices.get('a')).toBe('a v1');
    expect(actions).toHaveLength(1);
    await commit();
    expect(await prices.get('a')).toBe('a v2');
  });

  it('invalidates at once and after the commit when a write of unknown outcome fails', async () => {
    const { afterCommit, commit } = transaction();
    const { prices } = await start(afterCommit);
    await prices.get('a');
    prices.failure = new Error('timed out');
    await failureOf(() => prices.settled('a'));
    expect(await prices.get('a')).toBe('a v2');
    prices.version = 3;
    await commit();
    expect(await prices.get('a')).toBe('a v3');
  });

  it('runs the deferred action in the context of the call', async () => {
    @Injectable()
    class Accounts {
      version = 1;

      @Cached({ domain: 'accounts', key: (id: string) => id })
      async get(id: string): Promise<string> {
        return `${id} v${this.version}`;
      }

      @Invalidates({ domain: 'accounts', key: (id: string) => id })
      async set(_id: string): Promise<void> {
        this.version++;
      }
    }
    const { afterCommit, commit } = transaction();
    const accounts = (await startApp({ imports: [root(afterCommit)], providers: [Accounts] })).of<Accounts>(Accounts);
    await tenants.run('one', () => accounts.get('a'));
    await tenants.run('one', () => accounts.set('a'));
    await commit();
    expect(await tenants.run('one', () => accounts.get('a'))).toBe('a v2');
  });

  it('fails the call when the hook throws', async () => {
    const failure = new Error('no transaction context');
    const { prices } = await start(() => {
      throw failure;
    });
    expect(await failureOf(() => prices.one({ id: 'a', segments: [] }))).toBe(failure);
  });
});

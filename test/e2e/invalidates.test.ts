import { Injectable } from '@nestjs/common';
import { Cached, Invalidates, Refreshes } from 'nestjs-cache-guard';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/adapters/system.js';
import { STORE } from '../../lib/nest/tokens.js';
import { failureOf, startApp } from './support/app.js';
import { AwayStore } from './support/away-store.js';
import { Prices, root, start, tenants, type Offer } from './support/prices.js';

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

      @Cached({ domain: 'prices', key: (segments: string[]) => segments, tags: (segments: string[]) => segments })
      async find(segments: string[]): Promise<string> {
        return `${segments.join()} ${this.written}`;
      }

      @Invalidates({ domain: 'prices', key: (offer: Offer) => offer.segments })
      async clear(offer: Offer): Promise<void> {
        offer.segments.length = 0;
        this.written++;
      }

      @Invalidates({ domain: 'prices', tags: (offer: Offer) => offer.segments })
      async clearTags(offer: Offer): Promise<void> {
        offer.segments.length = 0;
        this.written++;
      }
    }
    const offers = (await startApp({ imports: [root()], providers: [Offers] })).of<Offers>(Offers);
    await offers.find(['gold', 'new']);
    await offers.clear({ id: 'a', segments: ['gold', 'new'] });
    expect(await offers.find(['gold', 'new'])).toBe('gold,new 1');
    await offers.clearTags({ id: 'a', segments: ['gold'] });
    expect(await offers.find(['gold', 'new'])).toBe('gold,new 2');
  });

  it('takes instances of classes as keys', async () => {
    class Money {
      constructor(readonly amount: number) {}
    }
    @Injectable()
    class Rates {
      written = 0;

      @Cached({ domain: 'prices', key: (money: Money) => money })
      async rate(money: Money): Promise<string> {
        return `${money.amount} ${this.written}`;
      }

      @Invalidates({ domain: 'prices', key: (money: Money) => money })
      async setRate(_money: Money): Promise<void> {
        this.written++;
      }
    }
    const rates = (await startApp({ imports: [root()], providers: [Rates] })).of<Rates>(Rates);
    await rates.rate(new Money(1));
    await rates.setRate(new Money(1));
    expect(await rates.rate(new Money(1))).toBe('1 1');
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
    const { of, events, logs } = await startApp({ imports: [root()], providers: [Prices] }, (builder) =>
      builder.overrideProvider(STORE).useValue(new AwayStore({ clock: systemClock })),
    );
    const prices = of<Prices>(Prices);
    expect(await prices.one({ id: 'a', segments: [] })).toBe('wrote a');
    expect(events).toContainEqual(expect.objectContaining({ type: 'invalidation', outcome: 'pending' }));
    expect(logs.of('warn')).toContainEqual(expect.stringContaining('kept in this process'));
    expect(logs.of('error')).toEqual([]);
  });

  it('does not fail a write because of anything else, and says so in the log', async () => {
    const { prices, guard, logs } = await start();
    guard.invalidate = () => Promise.reject(new TypeError('broken'));
    expect(await prices.one({ id: 'a', segments: [] })).toBe('wrote a');
    expect(logs.of('error')).toEqual([expect.stringMatching(/Prices\.one failed: broken/)]);
  });
});

import { Injectable } from '@nestjs/common';
import { Cached, CacheGuardModule, Invalidates, Refreshes } from 'nestjs-cache-guard';
import { describe, expect, it } from 'vitest';
import { failureOf, startApp } from './support/app.js';
import { root, start, tenants } from './support/prices.js';

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

  it('only runs where partition throws; reads go past the cache, and what names a key is refused before it writes', async () => {
    @Injectable()
    class Accounts {
      runs = 0;

      @Cached({ domain: 'accounts', key: (id: string) => id })
      async get(id: string): Promise<string> {
        return `${id} ${++this.runs}`;
      }

      @Refreshes({ domain: 'accounts', key: (id: string) => id })
      async set(id: string): Promise<string> {
        return `${id} set ${++this.runs}`;
      }

      @Invalidates({ domain: 'accounts', key: (id: string) => id })
      async close(_id: string): Promise<void> {
        this.runs++;
      }
    }
    const partition = () => JSON.parse('nobody is logged in') as string;
    const throwing = CacheGuardModule.forRoot({
      namespace: 'throwing',
      domains: { accounts: { freshness: 'reference', partition } },
    });
    const accounts = (await startApp({ imports: [throwing], providers: [Accounts] })).of<Accounts>(Accounts);
    expect([await accounts.get('a'), await accounts.get('a'), await accounts.set('a')]).toEqual([
      'a 1',
      'a 2',
      'a set 3',
    ]);
    expect(await failureOf(() => accounts.close('a'))).toMatchObject({ code: 'CG_UNUSABLE_KEY' });
    expect(accounts.runs).toBe(3);
  });
});

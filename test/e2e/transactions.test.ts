import { Injectable } from '@nestjs/common';
import { Cached, Invalidates, Refreshes, type AfterCommit } from 'nestjs-cache-guard';
import { describe, expect, it } from 'vitest';
import { failureOf, startApp } from './support/app.js';
import { root, start, tenants } from './support/prices.js';

const transaction = (open = true) => {
  const actions: (() => Promise<void>)[] = [];
  const afterCommit: AfterCommit = (action) => {
    if (open) actions.push(action);
    return open;
  };
  return { afterCommit, actions, commit: () => Promise.all(actions.map((action) => action())) };
};

describe('inside a transaction', () => {
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

  it('defers nothing where nobody says which partition this is', async () => {
    @Injectable()
    class Accounts {
      @Refreshes({ domain: 'accounts', key: (id: string) => id })
      async set(id: string): Promise<string> {
        return id;
      }
    }
    const { afterCommit, actions } = transaction();
    const accounts = (await startApp({ imports: [root(afterCommit)], providers: [Accounts] })).of<Accounts>(Accounts);
    expect(await accounts.set('a')).toBe('a');
    expect(actions).toHaveLength(0);
  });

  it('fails the call when the hook throws', async () => {
    const failure = new Error('no transaction context');
    const { prices } = await start(() => {
      throw failure;
    });
    expect(await failureOf(() => prices.one({ id: 'a', segments: [] }))).toBe(failure);
  });
});

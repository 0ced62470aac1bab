import { Injectable } from '@nestjs/common';
import { Cached, CacheGuardModule, Refreshes } from 'nestjs-cache-guard';
import { beforeEach, describe, expect, it } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { startApp } from './support/app.js';

interface Query {
  user: string;
}

@Injectable()
class Accounts {
  @Cached({ domain: 'accounts' })
  async derived(query: Query): Promise<string> {
    return `value of ${query.user}`;
  }

  @Cached({ domain: 'accounts', name: 'explicit', key: ({ user }: Query) => user })
  async explicit(query: Query): Promise<string> {
    return `value of ${query.user}`;
  }

  @Refreshes({ domain: 'accounts', name: 'explicit', key: ({ user }: Query) => user })
  async write(query: Query): Promise<string> {
    return `written for ${query.user}`;
  }

  @Cached({ domain: 'accounts', name: 'text', key: (text: string) => counting(text) })
  async text(text: string): Promise<string> {
    return text;
  }

  @Cached({ domain: 'accounts', name: 'object', key: ({ user }: Query) => counting(user) })
  async object({ user }: Query): Promise<string> {
    return user;
  }
}

let keys = 0;
const counting = (key: string): string => {
  keys++;
  return key;
};

const start = () =>
  startApp({
    imports: [
      CacheGuardModule.forRoot({
        namespace: uniqueNamespace(),
        domains: { accounts: { freshness: 'reference', stalePolicy: 'never' } },
      }),
    ],
    providers: [Accounts],
  });

describe('an argument that is changed after the call', () => {
  beforeEach(() => {
    keys = 0;
  });

  it.each(['derived', 'explicit'] as const)('stores nothing under the key of the call: %s', async (method) => {
    const { of, events, logs } = await start();
    const accounts = of<Accounts>(Accounts);
    const query = { user: 'ada' };
    const read = accounts[method](query);
    query.user = 'bob';
    expect(await read).toBe('value of bob');
    expect(await accounts[method]({ user: 'ada' })).toBe('value of ada');
    expect(await accounts[method]({ user: 'bob' })).toBe('value of bob');
    expect(events.filter((event) => event.type === 'uncacheable')).toMatchObject([
      { origin: `Accounts.${method}`, reason: 'key-changed' },
    ]);
    expect(logs.of('warn')).toEqual([expect.stringMatching(`Accounts.${method}.*changed after the call`)]);
  });

  it('is written under no key, and the values of both are loaded anew', async () => {
    const { of } = await start();
    const accounts = of<Accounts>(Accounts);
    for (const user of ['ada', 'bob']) {
      expect(await accounts.write({ user })).toBe(`written for ${user}`);
      expect(await accounts.explicit({ user })).toBe(`written for ${user}`);
    }
    const query = { user: 'ada' };
    const write = accounts.write(query);
    query.user = 'bob';
    expect(await write).toBe('written for bob');
    for (const user of ['ada', 'bob']) expect(await accounts.explicit({ user })).toBe(`value of ${user}`);
  });

  it('costs a second key on loads only, and only where an argument is an object', async () => {
    const { of } = await start();
    const accounts = of<Accounts>(Accounts);
    await accounts.text('a');
    expect(keys).toBe(1);
    await accounts.object({ user: 'a' });
    expect(keys).toBe(3);
    await accounts.object({ user: 'a' });
    expect(keys).toBe(4);
  });
});

import { Inject, Injectable, Module, type Type } from '@nestjs/common';
import {
  Cached,
  CacheGuardModule,
  Follows,
  Invalidates,
  Refreshes,
  type CacheGuardModuleOptions,
  type EventRule,
} from 'nestjs-cache-guard';
import { describe, expect, it } from 'vitest';
import { failureOf, startApp } from './support/app.js';
import { acting, as, domains, privateRoot } from './support/private-root.js';

@Injectable()
class Accounts {
  loads = 0;
  runs: string[] = [];

  @Cached({ domain: 'accounts', key: (id: string) => id })
  async find(id: string): Promise<string> {
    return `${id} ${acting.user} ${++this.loads}`;
  }

  @Cached({ domain: 'offers', name: 'own', scope: 'private', key: (id: string) => id })
  async suggested(id: string): Promise<string> {
    return `${id} ${acting.user} ${++this.loads}`;
  }

  @Cached({ domain: 'accounts', name: 'checked', key: (id: string) => id })
  async check(_id: string): Promise<string> {
    if (acting.user === 'u1') throw new Error('none');
    return `account of ${acting.user}`;
  }

  @Invalidates({ domain: 'accounts', key: (id: string) => id })
  async close(id: string): Promise<void> {
    this.runs.push(`close ${id}`);
  }

  @Invalidates({ domain: 'offers', name: 'own', scope: 'private', keys: (id: string) => [id] })
  async dismiss(_id: string): Promise<void> {}

  /** Ends who is logged in. */
  @Invalidates({ domain: 'accounts', key: (id: string) => id })
  async logOut(_id: string): Promise<void> {
    acting.user = undefined;
  }

  @Refreshes({ domain: 'accounts', key: (id: string) => id })
  async rename(id: string): Promise<string> {
    return `${id} ${acting.user} renamed`;
  }

  @Refreshes({ domain: 'offers', name: 'own', scope: 'private', key: (id: string) => id })
  async suggest(id: string): Promise<string> {
    return `${id} ${acting.user} new`;
  }
}

/** Public, and made of what is private. */
@Injectable()
class Pages {
  @Inject(Accounts) private readonly accounts!: Accounts;

  @Cached({ domain: 'offers', name: 'written', key: () => 'page' })
  async written(): Promise<string> {
    return this.accounts.rename('a');
  }

  @Cached({ domain: 'offers', name: 'failed', key: () => 'page' })
  async failed(): Promise<string> {
    return this.accounts.check('a').catch(() => `no account of ${acting.user}`);
  }
}

const start = async (over: Partial<CacheGuardModuleOptions> = {}) => {
  const made = await startApp({ imports: [privateRoot(over)], providers: [Accounts, Pages] });
  return { ...made, accounts: made.of<Accounts>(Accounts), pages: made.of<Pages>(Pages) };
};

describe('a method that writes', () => {
  it.each([
    ['find', 'close', 'a domain that is private'],
    ['suggested', 'dismiss', 'a method that is'],
  ] as const)('reaches the value of its caller, after %s and %s, of %s', async (read, write, _what) => {
    const { accounts } = await start();
    for (const who of ['u1', 'u2']) await as(who, () => accounts[read]('a'));
    await as('u1', () => accounts[write]('a'));
    expect(await as('u1', () => accounts[read]('a'))).toBe('a u1 3');
    expect(await as('u2', () => accounts[read]('a'))).toBe('a u2 2');
  });

  it('reaches the value of whoever had called it, also if he is nobody afterwards, and after the commit', async () => {
    const after: (() => Promise<void>)[] = [];
    const { accounts } = await start({ afterCommit: (action) => after.push(action) > 0 });
    await as('u1', () => accounts.find('a'));
    await as('u1', () => accounts.logOut('a'));
    expect(acting.user).toBeUndefined();
    acting.user = 'u2';
    for (const action of after) await action();
    expect(await as('u1', () => accounts.find('a'))).toBe('a u1 2');
  });

  it('does not run where its invalidation is impossible', async () => {
    const { accounts } = await start();
    for (const who of [undefined, '', ' ', 'undefined']) {
      expect(await failureOf(() => as(who, () => accounts.close('a')))).toMatchObject({ code: 'CG_UNUSABLE_KEY' });
    }
    expect(accounts.runs).toEqual([]);
  });

  it('makes its result the value of its caller alone, and only runs where nobody calls', async () => {
    const { accounts } = await start();
    for (const who of ['u1', 'u2']) await as(who, () => accounts.find('a'));
    expect(await as('u1', () => accounts.rename('a'))).toBe('a u1 renamed');
    for (const who of [undefined, 'undefined', 'null'])
      expect(await as(who, () => accounts.rename('a'))).toBe(`a ${who} renamed`);
    expect(await as('u1', () => accounts.find('a'))).toBe('a u1 renamed');
    expect(await as('u2', () => accounts.find('a'))).toBe('a u2 2');
    await as('u1', () => accounts.suggest('a'));
    expect(await as('u1', () => accounts.suggested('a'))).toBe('a u1 new');
    expect(await as('u2', () => accounts.suggested('a'))).toBe('a u2 3');
  });
});

it('a public method that writes, or fails to read, what is private tells it to its caller alone', async () => {
  const { pages } = await start();
  for (const who of ['u1', 'u2', 'u1']) {
    expect(await as(who, () => pages.written())).toBe(`a ${who} renamed`);
    expect(await as(who, () => pages.failed())).toBe(who === 'u1' ? 'no account of u1' : 'account of u2');
  }
});

describe('refused at boot', () => {
  const boots = (imports: NonNullable<Parameters<typeof startApp>[0]['imports']>, providers: Type[] = []) =>
    failureOf(() => startApp({ imports, providers }));

  it('what is private, where nobody can say whose it is', async () => {
    const error = await boots([privateRoot({ principal: undefined })]);
    expect(error).toMatchObject({ code: 'CG_INVALID_POLICY', domain: 'accounts', field: 'scope' });
    @Injectable()
    class Own {
      @Cached({ domain: 'offers', scope: 'private' })
      async find(): Promise<number> {
        return 1;
      }
    }
    const open = { offers: domains.offers };
    expect(await boots([privateRoot({ principal: undefined, domains: open })], [Own])).toMatchObject({
      code: 'CG_INVALID_POLICY',
      message: expect.stringContaining('(set by Own.find)'),
    });
    @Module({ imports: [CacheGuardModule.forFeature({ late: domains.accounts })] })
    class Late {}
    const late = await boots([Late, privateRoot({ principal: undefined, domains: open })]);
    expect(late).toMatchObject({ code: 'CG_INVALID_POLICY', domain: 'late' });
  });

  it('keys that are to be hidden without a secret, and a secret that is none', async () => {
    const hidden = { offers: { ...domains.offers, hashKeys: true } };
    expect(await boots([privateRoot({ domains: hidden })])).toMatchObject({
      code: 'CG_INVALID_POLICY',
      field: 'hashKeys',
    });
    for (const keySecret of ['fifteen bytes..', Buffer.alloc(15, 'q'), 5, {}, ['a secret that is long enough']]) {
      const error = (await failureOf(
        () =>
          privateRoot({ keySecret: keySecret as string }) &&
          boots([privateRoot({ keySecret: keySecret as string })]).then((e) => {
            throw e as Error;
          }),
      )) as Error;
      expect(error).toMatchObject({ code: 'CG_INVALID_OPTIONS', field: 'keySecret' });
      expect(error.message).not.toMatch(/fifteen|qqq|secret that/);
    }
    await startApp({ imports: [privateRoot({ domains: hidden, keySecret: 'x'.repeat(16) })] });
    await startApp({ imports: [privateRoot({ domains: hidden, keySecret: Buffer.alloc(32, 1) })] });
  });

  it('a principal that is no function', async () => {
    expect(await boots([privateRoot({ principal: 'ada' as never })])).toMatchObject({
      code: 'CG_INVALID_OPTIONS',
      field: 'principal',
    });
  });

  it('a method that makes public what its domain keeps private', async () => {
    @Injectable()
    class Wide {
      @Cached({ domain: 'accounts', scope: 'public' })
      async find(): Promise<number> {
        return 1;
      }
    }
    expect(await boots([privateRoot()], [Wide])).toMatchObject({ code: 'CG_INVALID_POLICY', field: 'scope' });
  });

  it('who writes to private keys without saying so', async () => {
    @Injectable()
    class Reads {
      @Cached({ domain: 'offers', name: 'own', scope: 'private', key: (id: string) => id })
      async own(id: string): Promise<string> {
        return id;
      }
    }
    @Injectable()
    class Forgets {
      @Invalidates({ domain: 'offers', name: 'own', key: (id: string) => id })
      async drop(_id: string): Promise<void> {}
    }
    @Injectable()
    class Writes {
      @Refreshes({ domain: 'offers', name: 'own' })
      async make(id: string): Promise<string> {
        return id;
      }
    }
    for (const [type, place] of [
      [Forgets, '@Invalidates on Forgets.drop'],
      [Writes, '@Refreshes on Writes.make'],
    ] as const) {
      expect(await boots([privateRoot()], [Reads, type])).toMatchObject({
        code: 'CG_INVALID_DECORATION',
        message: expect.stringContaining(place),
      });
    }
  });

  it('events that name keys that are private: they come from nobody', async () => {
    @Injectable()
    class Follower {
      @Follows({ on: 'changed', args: () => ['a'] })
      @Cached({ domain: 'offers', scope: 'private' })
      async find(id: string): Promise<string> {
        return id;
      }
    }
    expect(await boots([privateRoot()], [Follower])).toMatchObject({ code: 'CG_INVALID_RULE' });
    const rules: EventRule[] = [
      { on: 'changed', domain: 'accounts', key: () => 'a' },
      { on: 'changed', domain: 'offers', name: 'own', key: () => 'a' },
    ];
    for (const rule of rules) {
      const error = await boots([privateRoot({ events: { rules: [rule] } })], [Accounts]);
      expect(error).toMatchObject({ code: 'CG_INVALID_RULE', message: expect.stringContaining('is private') });
    }
    const reach: EventRule = { on: 'changed', domain: 'accounts', tags: () => ['a'] };
    await startApp({ imports: [privateRoot({ events: { rules: [reach] } })], providers: [Accounts] });
  });
});

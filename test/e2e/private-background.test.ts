import { Injectable, type Type } from '@nestjs/common';
import { Cached, CacheGuard, Warmed, type CacheGuardModuleOptions, type EventRule } from 'nestjs-cache-guard';
import { describe, expect, inject, it } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { failureOf, startApp } from './support/app.js';
import { acting, as, domains, privateRoot } from './support/private-root.js';

@Injectable()
class Accounts {
  loads = 0;

  @Cached({ domain: 'accounts', key: (id: string) => id })
  async find(id: string): Promise<string> {
    return `${id} ${acting.user} ${++this.loads}`;
  }

  @Cached({ domain: 'offers', name: 'own', scope: 'private', key: (id: string) => id })
  async suggested(id: string): Promise<string> {
    return `${id} ${acting.user} ${++this.loads}`;
  }
}

const start = async (over: Partial<CacheGuardModuleOptions> = {}) => {
  const made = await startApp({ imports: [privateRoot(over)], providers: [Accounts] });
  return { ...made, accounts: made.of<Accounts>(Accounts) };
};

describe('warming', () => {
  @Injectable()
  class Own {
    @Cached({ domain: 'offers', scope: 'private' })
    async find(id: string): Promise<string> {
      return id;
    }
  }
  @Injectable()
  class Warm {
    @Warmed({ args: [['a']] })
    @Cached({ domain: 'offers', scope: 'private' })
    async find(id: string): Promise<string> {
      return id;
    }
  }

  it.each<[string, object[], Type[]]>([
    ['@Warmed', [], [Warm]],
    ['a method in options', [{ name: 'w', domain: 'offers', method: [Own, 'find'], args: [['a']] }], [Own]],
    ['a domain in options', [{ name: 'w', domain: 'accounts', keys: ['a'], load: async () => 1 }], []],
  ])('at the start of what is private is refused: %s', async (_what, warming, providers) => {
    const imports = [privateRoot({ warming: warming as never, principal: () => 'system' })];
    const error = (await failureOf(() => startApp({ imports, providers }))) as Error;
    expect(error.message).toContain('there is nobody for whom it could be loaded');
  });

  it('of what is private is for somebody', async () => {
    const { guard } = await start();
    const options = { name: 'w', domain: 'accounts', keys: ['a'], load: async () => `of ${acting.user}` };
    expect(await failureOf(() => as(undefined, async () => guard.warm(options)))).toMatchObject({
      code: 'CG_UNUSABLE_KEY',
      field: 'principal',
    });
    await as('u1', () => guard.warm(options).done);
    expect(await as('u1', () => guard.peek({ domain: 'accounts', key: 'a' }))).toMatchObject({ value: 'of u1' });
  });

  it('of a method that is private in a public domain is each one’s own', async () => {
    const { guard, accounts } = await start();
    const options = {
      name: 'w',
      domain: 'offers',
      host: accounts,
      method: 'suggested',
      args: [['a']],
      rest: '1m',
    } as const;
    for (const user of ['u1', 'u2'])
      expect(await as(user, () => guard.warm(options).done)).toMatchObject({ state: 'done', done: 1 });
    expect(await as('u1', () => guard.warm(options).done)).toMatchObject({ state: 'elsewhere' });
  });
});

describe('in the background', () => {
  it('nothing private is loaded, whatever the function says: nobody’s permissions are there', async () => {
    acting.user = undefined;
    const { guard, events, logs, accounts } = await start({ principal: () => acting.user ?? 'system' });
    expect(await accounts.suggested('a')).toBe('a undefined 1');
    // As another process may hand it over in which the method is not private yet.
    const key = events.flatMap((event) => (event.type === 'accepted' ? [event.key] : []))[0]!;
    await guard.invalidate({ domain: 'offers', name: 'own', scope: 'private', key: 'a' });
    await guard.events.refresh([
      { domain: 'offers', name: 'own', key, keyInput: 'a', args: ['a'], sinceMs: undefined },
    ]);
    await expect
      .poll(() => events.filter(({ type }) => type === 'refresh-skipped'))
      .toEqual([expect.objectContaining({ domain: 'offers', reason: 'private' })]);
    expect(accounts.loads).toBe(1);
    expect(logs.of('warn').join('\n')).toContain('the permissions of nobody');
  });

  it('nor is a loader taken for what is private', async () => {
    const { guard } = await start();
    const loader = { domain: 'offers', scope: 'private' } as never;
    expect(await failureOf(() => guard.events.loader(loader, async () => 1))).toMatchObject({
      code: 'CG_INVALID_OPTIONS',
    });
  });

  it('arguments of private methods, and of domains that hide keys, are not written down', async () => {
    const namespace = uniqueNamespace();
    const marker = 'ada@example.org';
    const hidden = { ...domains.offers, hashKeys: true };
    const rules: EventRule[] = [
      { on: 'changed', domain: 'hidden', name: 'n', action: 'refresh', key: ({ data }) => data as string },
      { on: 'changed', domain: 'offers', name: 'n', action: 'refresh', key: ({ data }) => data as string },
    ];
    @Injectable()
    class Names {
      calls: string[] = [];
      @Cached({ domain: 'hidden', name: 'n', key: (id: string) => id })
      async hidden(id: string): Promise<number> {
        return this.calls.push(id);
      }
      @Cached({ domain: 'offers', name: 'n', key: (id: string) => id })
      async plain(id: string): Promise<number> {
        return this.calls.push(id);
      }
      @Cached({ domain: 'offers', scope: 'private' })
      async own(id: string): Promise<number> {
        return this.calls.push(id);
      }
    }
    const options = { namespace, domains: { ...domains, hidden }, keySecret: 'x'.repeat(32), events: { rules } };
    const made = await startApp({
      imports: [privateRoot({ ...options, redisUrl: inject('redisUrl'), role: 'worker' })],
      providers: [Names],
    });
    const names = made.of<Names>(Names);
    await as('u1', () => Promise.all([names.hidden(marker), names.plain('plain-argument'), names.own(marker)]));
    const { Redis } = await import('ioredis');
    const redis = new Redis(inject('redisUrl'));
    const dump = async () => {
      const found = await redis.keys(`${namespace}*`);
      const bytes = await Promise.all(found.map((name) => redis.dumpBuffer(name)));
      return found.map((name, i) => `${name} ${bytes[i]?.toString('latin1')}`).join('\n');
    };
    try {
      await expect.poll(dump).toContain('plain-argument');
      await made.of(CacheGuard).events.publish({ id: '1', source: 'test', type: 'changed', data: marker });
      await expect
        .poll(() => made.events.flatMap((event) => (event.type === 'refresh-skipped' ? [event.reason] : [])))
        .toContain('not-recordable');
      const lines = (await dump())
        .split('\n')
        .filter((line) => line.includes(':e:{hidden') || line.includes(':a:{') || line.includes(':w:{'));
      expect(lines.length).toBeGreaterThan(1);
      expect(lines.filter((line) => line.includes('hidden') && line.includes(marker))).toEqual([]);
      expect(lines.filter((line) => line.includes(':a:{hidden') || line.includes('.own:'))).toEqual([]);
    } finally {
      redis.disconnect();
    }
  });

  it('events reach by tags what hides its keys', async () => {
    const rules: EventRule[] = [{ on: 'changed', domain: 'hidden', tags: ({ data }) => [data as string] }];
    const hidden = { ...domains.offers, hashKeys: true, scope: 'private' } as const;
    const { guard } = await start({ domains: { ...domains, hidden }, keySecret: 'x'.repeat(32), events: { rules } });
    let loads = 0;
    const read = (who: string, tag: string) =>
      as(who, () => guard.getOrLoad({ domain: 'hidden', key: tag, tags: [tag] }, async () => ++loads));
    expect([await read('u1', 'a'), await read('u2', 'a'), await read('u1', 'b')]).toEqual([1, 2, 3]);
    await guard.events.publish({ id: '1', source: 'test', type: 'changed', data: 'a' });
    expect([await read('u1', 'a'), await read('u2', 'a'), await read('u1', 'b')]).toEqual([4, 5, 3]);
  });
});

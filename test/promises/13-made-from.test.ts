import { AsyncLocalStorage } from 'node:async_hooks';
import { NotFoundException } from '@nestjs/common';
import type { CacheGuard, DomainPolicies, LoadContext, LoadOutcome } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { DOMAINS, settle, type Fleet, type Member } from './support/fleet.js';
import { BOTH, MEMORY, promise } from './support/promise.js';
import { sealer } from './support/sealed.js';
import { counted } from './support/source.js';

const users = new AsyncLocalStorage<string>();
const as = <T>(user: string, run: () => T): T => users.run(user, run);
const me = (): string => String(users.getStore());

const isAbsent = (outcome: LoadOutcome) => 'error' in outcome && outcome.error instanceof NotFoundException;
const keeping = { ...DOMAINS.offers, negativeTtl: '30s', isAbsent } as const;
const domains = {
  page: keeping,
  other: keeping,
  mine: { ...keeping, scope: 'private' },
  grave: { freshness: 'critical', scope: 'private', jitter: 0, isAbsent },
  tenants: { ...keeping, partition: me },
  passing: { ...DOMAINS.offers, stalePolicy: 'no-store', softTtl: undefined, hardTtl: undefined },
  sealed: { ...keeping, encrypt: true },
  plain: keeping,
  critical: { freshness: 'critical', jitter: 0, isAbsent },
} as const satisfies DomainPolicies;
type Domain = keyof typeof domains;

const start = (fleet: Fleet): Promise<Member> =>
  fleet.start({ domains, principal: () => users.getStore(), sealer: sealer(fleet.namespace, 'k1') });

const told = (given: Promise<unknown>): Promise<string> =>
  given.then(
    (value) => `gave ${String(value)}`,
    (error: unknown) => `threw ${(error as Error).message}`,
  );

interface Inner {
  readonly domain: Domain;
  readonly key: string;
}
type Make = (guard: CacheGuard, inner: Inner) => Promise<unknown>;

const read = (guard: CacheGuard, inner: Inner) => guard.getOrLoad(inner, async () => `of ${me()}`);
const failing = (error: Error) => async (): Promise<string> => {
  throw error;
};
/** Only ada has none. */
const absent = async (): Promise<string> => {
  if (me() === 'ada') throw new NotFoundException('no account of ada');
  return `of ${me()}`;
};
const caught = (given: Promise<unknown>) => given.catch(() => `nothing of ${me()}`);

/** All the ways by which a load can know something of a value of `inner`. */
const WAYS: Readonly<Record<string, Make>> = {
  'a value': read,
  'a caught failure': (guard, inner) => caught(guard.getOrLoad(inner, failing(new Error('no source')))),
  'a caught absence': (guard, inner) => caught(guard.getOrLoad(inner, absent)),
  'an absence that passes through': (guard, inner) => guard.getOrLoad(inner, absent),
  'an absence made of the value': async (guard, inner) => {
    throw new NotFoundException(await read(guard, inner));
  },
  'a value that its load refuses to keep': (guard, inner) =>
    guard.getOrLoad(inner, async (context) => (context.doNotCache(), `of ${me()}`)),
  'a value that is loaded alone': async (guard, inner) => {
    const load = async (context: LoadContext) => (context.doNotCache(), `of ${me()}`);
    await guard.getOrLoad(inner, load);
    return guard.getOrLoad(inner, load);
  },
  'a refresh': (guard, inner) => guard.refresh(inner, async () => `of ${me()}`),
  'a failed refresh': (guard, inner) => caught(guard.refresh(inner, failing(new Error('no source')))),
  'a peek': async (guard, inner) => `${(await guard.peek<string>(inner))?.value ?? 'nothing'} for ${me()}`,
  'an explained value': async (guard, inner) =>
    `${String((await guard.explain(inner, { value: true })).value)} for ${me()}`,
  'a write-through': (guard, inner) => guard.writeThrough(inner, async () => `of ${me()}`),
  'a read within a write-through': (guard, inner) =>
    guard.writeThrough({ domain: 'other', key: me() }, () => caught(guard.getOrLoad(inner, absent))),
  'a failure within a public value between': (guard, inner) =>
    caught(
      guard.getOrLoad({ domain: 'other', key: inner.key }, async () => {
        throw new Error(`not ${await read(guard, inner)}`);
      }),
    ),
  'its own load, through a public value': (guard, inner) =>
    guard.getOrLoad(inner, () => guard.getOrLoad({ domain: 'other', key: inner.key }, () => read(guard, inner))),
};

describe('what a public load knows of a private value', () => {
  for (const [way, make] of Object.entries(WAYS)) {
    promise(13, `is nobody else’s, by ${way}`, BOTH, async (fleet) => {
      const a = await start(fleet);
      for (const domain of ['mine', 'grave', 'tenants'] as const) {
        const inner = { domain, key: `inner ${domain}` };
        const page = (user: string) =>
          as(user, () => told(a.guard.getOrLoad({ domain: 'page', key: domain }, () => make(a.guard, inner))));
        await as('ada', () => read(a.guard, { ...inner, key: 'warm' }));
        expect(await page('ada')).toContain('ada');
        expect(await page('bob')).not.toContain('ada');
        const kept = await as('bob', () =>
          told(a.guard.getOrLoad({ domain: 'other', key: inner.key }, async () => 'bob')),
        );
        expect(kept).not.toContain('ada');
      }
    });

    promise(13, `nor readable in the store, where the inner domain encrypts: ${way}`, MEMORY, async (fleet) => {
      const a = await start(fleet);
      const inner = { domain: 'sealed', key: 'inner' } as const;
      const load = counted(() => as('ada', () => make(a.guard, inner)));
      const page = () => told(a.guard.getOrLoad({ domain: 'plain', key: 'page' }, load));
      await page();
      await page();
      expect(load.calls).toBe(2);
    });

    promise(14, `nor kept, where the inner domain is critical: ${way}`, MEMORY, async (fleet) => {
      const a = await start(fleet);
      const load = counted(() => as('ada', () => make(a.guard, { domain: 'critical', key: 'inner' })));
      const page = () => told(a.guard.getOrLoad({ domain: 'page', key: 'page' }, load));
      await page();
      await page();
      expect(load.calls).toBe(2);
    });
  }

  promise(
    13,
    'is told to nobody who waits for the same load: neither value, answer, nor failure',
    BOTH,
    async (fleet) => {
      const a = await start(fleet);
      const broken = () => {
        throw new TypeError('the policy');
      };
      const upset = await fleet.start({
        domains: { ...domains, page: { ...keeping, isAbsent: broken, isFailure: () => false } },
        principal: () => users.getStore(),
        sealer: sealer(fleet.namespace, 'k1'),
      });
      const ends: Readonly<Record<string, (mine: string) => string>> = {
        value: (mine) => mine,
        answer: (mine) => {
          throw new NotFoundException(mine);
        },
        failure: (mine) => {
          throw new Error(mine);
        },
      };
      for (const [member, domain] of [
        [a, 'page'],
        [a, 'passing'],
        [upset, 'page'],
      ] as const) {
        for (const inner of ['mine', 'grave', 'tenants']) {
          for (const [end, make] of Object.entries(ends)) {
            for (const atOnce of [true, false]) {
              const source = fleet.source<void>();
              const load = async (context: LoadContext) => {
                await source.load(context as LoadContext<never>);
                // What else forbids to keep it does not hide that it is somebody's.
                await read(member.guard, { domain: 'critical', key: 'inner' });
                return make(await read(member.guard, { domain: inner as Domain, key: 'inner' }));
              };
              const target = { domain, key: `${end} ${inner} ${String(member === upset)} ${String(atOnce)}` };
              const page = (user: string) => as(user, () => told(member.guard.getOrLoad(target, load)));
              const ada = page('ada');
              if (!atOnce) await source.call(1);
              const bob = page('bob');
              const first = await source.call(1);
              await settle();
              first.resolve();
              expect(await ada).toContain('of ada');
              (await source.call(2)).resolve();
              expect(await bob).toContain('of bob');
            }
          }
        }
      }
    },
  );

  promise(13, 'is not kept by extending what was kept before', BOTH, async (fleet) => {
    const a = await start(fleet);
    const page = { domain: 'page', key: 'page' };
    await a.guard.getOrLoad(page, async () => 'public');
    const given = await as('ada', () =>
      a.guard.refresh(page, async (context) => {
        await read(a.guard, { domain: 'mine', key: 'inner' });
        return context.notModified();
      }),
    );
    expect(given).toBe('public');
    expect(await a.heard('uncacheable')).toMatchObject({ domain: 'page', reason: 'inner-private' });
    expect(a.all('accepted', { via: 'not-modified' })).toEqual([]);
  });

  promise(13, 'is not put under a key of others', BOTH, async (fleet) => {
    const a = await start(fleet);
    const put = (from: Domain, to: Domain, user = 'ada') =>
      as(user, () =>
        a.guard.getOrLoad({ domain: from, key: `${to} of ${from}` }, async () => {
          if (from === 'page') await read(a.guard, { domain: 'mine', key: 'inner' });
          return a.guard.put({ domain: to, key: from }, `of ${me()}`);
        }),
      );
    const refusal = { stored: false, reason: 'uncacheable' };
    expect(await put('mine', 'page')).toMatchObject(refusal);
    expect(await put('page', 'other')).toMatchObject(refusal);
    expect(await put('sealed', 'plain')).toMatchObject(refusal);
    expect(a.all('uncacheable').map(({ domain, reason }) => [domain, reason])).toEqual(
      expect.arrayContaining([
        ['page', 'inner-private'],
        ['other', 'inner-private'],
        ['plain', 'inner-encrypted'],
      ]),
    );
    // What is his, or everybody's, is put.
    expect(await put('mine', 'grave')).toMatchObject({ stored: true });
    expect(await put('critical', 'page')).toMatchObject({ stored: true });
  });
});

describe('what nobody vouches for', () => {
  promise(14, 'is not kept in another value: one that is loaded alone', BOTH, async (fleet) => {
    const a = await start(fleet);
    const inner = () =>
      a.guard.getOrLoad({ domain: 'other', key: 'inner' }, async (context) => (context.doNotCache(), 'inner'));
    await inner();
    const load = counted(inner);
    const page = () => a.guard.getOrLoad({ domain: 'page', key: 'page' }, load);
    await page();
    await page();
    expect(load.calls).toBe(2);
    expect(await a.heard('uncacheable', { domain: 'page' })).toMatchObject({ reason: 'inner-uncacheable' });
  });

  promise(14, 'goes to one caller: a value at which a function of the policy threw', BOTH, async (fleet) => {
    const broken = () => {
      throw new TypeError('the policy');
    };
    const a = await fleet.start({ domains: { page: { ...keeping, isAbsent: broken } } });
    const source = fleet.source<string>();
    const page = () => a.guard.getOrLoad({ domain: 'page', key: 'page' }, source.load);
    const reads = [page(), page()];
    (await source.call(1)).resolve('first');
    (await source.call(2)).resolve('second');
    expect(await Promise.all(reads)).toEqual(['first', 'second']);
    expect(a.all('uncacheable', { reason: 'policy-threw' })).toHaveLength(1);
  });
});

describe('what an absence was made from', () => {
  const tagged = { domain: 'other', key: 'inner', tags: ['t'], stalePolicy: 'never' } as const;
  const page = { domain: 'page', key: 'page', stalePolicy: 'never' } as const;
  const throwing = (inner: Promise<unknown>) =>
    inner.then((value) => Promise.reject(new NotFoundException(`not ${String(value)}`)));

  const made: Readonly<Record<string, (guard: CacheGuard, n: number) => Promise<unknown>>> = {
    'an absence over a value': (guard, n) => throwing(guard.getOrLoad(tagged, async () => n)),
    'an absence over a refreshed one': (guard, n) => throwing(guard.refresh(tagged, async () => n)),
    'a value over a new absence': (guard, n) =>
      guard.getOrLoad(tagged, failing(new NotFoundException(`none ${n}`))).catch((error: Error) => error.message),
    'a value over a refreshed absence': (guard, n) =>
      guard.refresh(tagged, failing(new NotFoundException(`none ${n}`))).catch((error: Error) => error.message),
    'a value over a peek': async (guard, n) => {
      await guard.put(tagged, n);
      return (await guard.peek(tagged))?.value;
    },
    'a value over an explained one': async (guard, n) => {
      await guard.put(tagged, n);
      return (await guard.explain(tagged, { value: true })).value;
    },
    'a value over a write that reads': (guard, n) =>
      guard.writeThrough({ domain: 'other', key: 'written' }, () => guard.getOrLoad(tagged, async () => n)),
  };
  for (const [what, make] of Object.entries(made)) {
    promise(3, `bounds it: ${what} goes with the tag`, BOTH, async (fleet) => {
      const [a, b] = [await start(fleet), await start(fleet)];
      const load = counted((_context, call) => make(a.guard, call));
      const first = await told(a.guard.getOrLoad(page, load));
      expect(await told(a.guard.getOrLoad(page, load))).toBe(first);
      expect(load.calls).toBe(1);
      await b.guard.invalidateTags({ domain: 'other', tags: ['t'] });
      await b.guard.invalidate(tagged);
      expect(await told(a.guard.getOrLoad(page, load))).toBe(first.replace('1', '2'));
    });
  }
});

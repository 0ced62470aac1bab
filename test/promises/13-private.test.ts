import { AsyncLocalStorage } from 'node:async_hooks';
import * as fc from 'fast-check';
import type { DomainPolicies, DomainPolicyConfig } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { DOMAINS, type Fleet, type Member, settle, until } from './support/fleet.js';
import { BOTH, MEMORY, promise } from './support/promise.js';
import { counted } from './support/source.js';

const users = new AsyncLocalStorage<unknown>();
const as = <T>(user: unknown, run: () => T): T => users.run(user, run);
const principal = (): unknown => users.getStore();

const personal: DomainPolicyConfig = { ...DOMAINS.offers, scope: 'private' };
let tenant: string | undefined = 'a';
const domains: DomainPolicies = {
  accounts: { ...DOMAINS.balances, scope: 'private' },
  feed: personal,
  both: { ...DOMAINS.balances, scope: 'private', partition: () => tenant },
  shared: DOMAINS.balances,
  // Public as a domain; the read narrows it.
  mixed: DOMAINS.offers,
};

const start = (fleet: Fleet, over: Partial<Parameters<Fleet['start']>[0]> = {}): Promise<Member> =>
  fleet.start({ domains, principal, ...over });

const refused = (field: string) => expect.objectContaining({ code: 'CG_UNUSABLE_KEY', field });

/** What goes wrong between people would be seen here: each value says whom it was loaded for. */
interface Read {
  readonly user: string;
  readonly domain: string;
  readonly key: string;
  readonly name: string | undefined;
  readonly member: number;
  readonly does: 'read' | 'refresh' | 'invalidate' | 'put' | 'wait';
}

const USERS = ['u1', 'u2', 's.u1', 'u1:s.u2', ':', 'h.u1', 'ada@example.org'];

const reading: fc.Arbitrary<Read> = fc.record({
  user: fc.constantFrom(...USERS),
  domain: fc.constantFrom('accounts', 'feed', 'both', 'mixed'),
  key: fc.constantFrom('a', 'u1', 'u2:a', ':', 's.a'),
  name: fc.constantFrom(undefined, 'u1', 's.u1'),
  member: fc.nat({ max: 1 }),
  does: fc.oneof(
    { weight: 6, arbitrary: fc.constant('read' as const) },
    fc.constantFrom('refresh', 'invalidate', 'put', 'wait'),
  ),
});

async function perform({ guard }: Member, { user, domain, key, name, does }: Read): Promise<unknown> {
  const target = { domain, key, name, scope: 'private' as const };
  const load = async () => {
    // Others come while it runs.
    await settle(2);
    return { of: users.getStore(), domain, key, name };
  };
  if (does === 'wait') return settle(3);
  if (does === 'invalidate') return void (await guard.invalidate(target));
  if (does === 'put') return void (await guard.put(target, { of: user, domain, key, name }));
  const given = does === 'refresh' ? await guard.refresh(target, load) : await guard.getOrLoad(target, load);
  expect(given).toEqual({ of: user, domain, key, name });
  const kept = await guard.peek<unknown>(target);
  if (kept) expect(kept.value).toEqual({ of: user, domain, key, name });
  return given;
}

describe('what is private', () => {
  promise(13, 'is given to its principal only, however people interleave (property)', BOTH, async (fleet) => {
    const members = [await start(fleet), await start(fleet)];
    await fc.assert(
      fc.asyncProperty(fc.array(reading, { minLength: 20, maxLength: 120 }), async (reads) => {
        await Promise.all(reads.map((one) => as(one.user, () => perform(members[one.member]!, one))));
      }),
      { numRuns: fleet.kind === 'memory' ? 40 : 10 },
    );
    // It was the cache that was tested.
    expect(members.flatMap((member) => member.all('hit')).length).toBeGreaterThan(50);
  });

  promise(13, 'is kept apart from the public value of the same key, and of a partition', BOTH, async (fleet) => {
    const a = await start(fleet);
    const own = counted<string>((_context, call) => `${String(users.getStore())} ${call}`);
    const read = (user: string, domain: string, scope?: 'private') =>
      as(user, () => a.guard.getOrLoad({ domain, key: 'gold', scope }, own));
    expect(await read('u1', 'mixed')).toBe('u1 1');
    expect(await read('u2', 'mixed')).toBe('u1 1');
    expect(await read('u1', 'mixed', 'private')).toBe('u1 2');
    expect(await read('u2', 'mixed', 'private')).toBe('u2 3');
    tenant = 'a';
    expect(await read('b', 'both')).toBe('b 4');
    tenant = 'b';
    expect(await read('a', 'both')).toBe('a 5');
    expect(await read('b', 'both')).toBe('b 6');
  });

  promise(
    13,
    'and has no owner that can be told is not cached, counted, and shared with nobody',
    BOTH,
    async (fleet) => {
      const a = await start(fleet);
      const own = counted<number>((_context, call) => call);
      const read = (user: unknown) => as(user, () => a.guard.getOrLoad({ domain: 'accounts', key: 'gold' }, own));
      const reads = [1, 2, 3].map(() => read(undefined));
      expect((await Promise.all(reads)).toSorted((x, y) => x - y)).toEqual([1, 2, 3]);
      expect(a.all('no-principal', { domain: 'accounts', error: undefined })).toHaveLength(3);
      expect(await read('u1')).toBe(4);
      expect(await read('u1')).toBe(4);
      expect(await read(undefined)).toBe(5);
      // Nor are there keys to write to.
      await expect(a.guard.invalidate({ domain: 'accounts', key: 'gold' })).rejects.toEqual(refused('principal'));
      await expect(a.guard.put({ domain: 'accounts', key: 'gold' }, 1)).rejects.toEqual(refused('principal'));
    },
  );

  promise(13, 'and whose function throws is not cached; what it threw does not show', MEMORY, async (fleet) => {
    const throwing = () => {
      throw new TypeError('no ada@example.org here');
    };
    const a = await start(fleet, { principal: throwing });
    const own = counted<number>((_context, call) => call);
    const read = () => a.guard.getOrLoad({ domain: 'accounts', key: 'gold' }, own);
    expect([await read(), await read()]).toEqual([1, 2]);
    expect(a.all('no-principal', { error: 'TypeError' })).toHaveLength(2);
    expect(JSON.stringify(a.events)).not.toContain('ada@');
  });

  promise(13, 'and whose principal is no text is refused, without telling what it is', MEMORY, async (fleet) => {
    const a = await start(fleet);
    for (const wrong of ['', 5, 5n, null, true, { id: 'ada' }, ['ada'], Promise.resolve('ada'), Symbol('ada')]) {
      const read = as(wrong, () => a.guard.getOrLoad({ domain: 'accounts', key: 'gold' }, async () => 1));
      const error = await read.catch((thrown: unknown) => thrown as Error);
      expect(error).toEqual(refused('principal'));
      expect((error as Error).message).not.toContain('ada');
    }
  });

  promise(13, 'is invalidated for its owner alone, by himself or in his name, or for all', BOTH, async (fleet) => {
    const a = await start(fleet);
    const b = await start(fleet);
    const target = (over: object = {}) => ({ domain: 'accounts', key: 'gold', tags: ['t'], ...over });
    const kept = async () => {
      const found: string[] = [];
      for (const user of ['u1', 'u2']) if (await as(user, () => b.guard.peek(target()))) found.push(user);
      return found;
    };
    const fill = async () => {
      for (const user of ['u1', 'u2']) await as(user, () => a.guard.getOrLoad(target(), async () => user));
      expect(await kept()).toEqual(['u1', 'u2']);
    };
    await fill();
    await as('u1', () => a.guard.invalidate({ domain: 'accounts', key: 'gold' }));
    expect(await kept()).toEqual(['u2']);
    await fill();
    await a.guard.invalidate({ domain: 'accounts', key: 'gold', principal: 'u2' });
    expect(await kept()).toEqual(['u1']);
    await fill();
    // Somebody of the back office.
    await as('clerk', () => a.guard.invalidate({ domain: 'accounts', key: 'gold', principal: 'u1' }));
    expect(await kept()).toEqual(['u2']);
    for (const scope of ['public', 'own'])
      await expect(a.guard.invalidate({ domain: 'accounts', key: 'gold', scope } as never)).rejects.toMatchObject({
        code: 'CG_INVALID_POLICY',
        field: 'scope',
      });
    await fill();
    await a.guard.invalidateTags({ domain: 'accounts', tags: ['t'] });
    expect(await kept()).toEqual([]);
    await fill();
    await a.guard.invalidateDomain('accounts');
    expect(await kept()).toEqual([]);
  });

  promise(13, 'is read and written in nobody else’s name', BOTH, async (fleet) => {
    const a = await start(fleet);
    const his = { domain: 'accounts', key: 'gold', principal: 'u2' };
    await as('u2', () => a.guard.getOrLoad({ domain: 'accounts', key: 'gold' }, async () => 'of u2'));
    const own = counted(() => 'of u1');
    for (const run of [
      () => a.guard.getOrLoad(his, own),
      () => a.guard.refresh(his, own),
      () => a.guard.writeThrough(his, own as never),
    ])
      await expect(as('u1', run)).rejects.toEqual(refused('principal'));
    await expect(as('u1', () => a.guard.peek(his))).rejects.toEqual(refused('principal'));
    await expect(as('u1', () => a.guard.put(his, 'of u1'))).rejects.toEqual(refused('principal'));
    expect(own.calls).toBe(0);
    // A worker is nobody, and names whom it works for.
    expect(await a.guard.getOrLoad(his, own)).toBe('of u2');
  });
});

describe('a principal that is named, and not known', () => {
  promise(13, 'makes a read of nobody, also where the value would be public or the caller’s', BOTH, async (fleet) => {
    const a = await start(fleet);
    for (const domain of ['offers', 'accounts']) {
      const plain = { domain, key: 'gold' };
      const unknown = { ...plain, principal: undefined };
      const own = counted<number>((_context, call) => call);
      await as('u1', async () => {
        await a.guard.getOrLoad(plain, async () => 0);
        expect(await a.guard.getOrLoad(unknown, own)).toBe(1);
        expect(await a.guard.getOrLoad(unknown, own)).toBe(2);
        expect(a.all('no-principal', { domain })).toHaveLength(2);
        expect(await a.guard.peek(unknown)).toBeUndefined();
        await expect(a.guard.put(unknown, 1)).rejects.toEqual(refused('principal'));
        await expect(a.guard.invalidate(unknown)).rejects.toEqual(refused('principal'));
        expect(await a.guard.peek(plain)).toMatchObject({ value: 0 });
      });
    }
  });
});

describe('composition', () => {
  promise(13, 'a private value makes the public one uncacheable that is made from it', BOTH, async (fleet) => {
    const a = await start(fleet);
    const inner = () => a.guard.getOrLoad({ domain: 'accounts', key: 'i' }, async () => String(users.getStore()));
    const outer = (user: string, domain: string) =>
      as(user, () => a.guard.getOrLoad({ domain, key: `o ${domain}` }, async () => `of ${await inner()}`));
    for (const user of ['u1', 'u2', 'u1']) expect(await outer(user, 'shared')).toBe(`of ${user}`);
    expect(a.all('uncacheable', { domain: 'shared', reason: 'inner-private' }).length).toBeGreaterThan(0);
    // One that is private to the same principal is kept.
    const calls = a.all('accepted', { domain: 'feed' }).length;
    for (const user of ['u1', 'u2', 'u1', 'u2']) expect(await outer(user, 'feed')).toBe(`of ${user}`);
    expect(a.all('accepted', { domain: 'feed' })).toHaveLength(calls + 2);
    expect(a.all('uncacheable', { domain: 'feed' })).toEqual([]);
  });

  promise(13, 'so does one of somebody else, and one whose owner is not known', BOTH, async (fleet) => {
    const a = await start(fleet);
    const of = (user: string | undefined) => () =>
      as(user, () => a.guard.getOrLoad({ domain: 'accounts', key: 'i' }, async () => String(user)));
    for (const [i, inner] of [of('u2'), of(undefined)].entries()) {
      const key = `o${i}`;
      const read = () => as('u1', () => a.guard.getOrLoad({ domain: 'feed', key }, inner));
      await read();
      await read();
      expect(await as('u1', () => a.guard.peek({ domain: 'feed', key }))).toBeUndefined();
    }
    expect(a.all('uncacheable', { domain: 'feed', reason: 'inner-private' }).length).toBeGreaterThan(1);
  });
});

describe('bounds', () => {
  const few = {
    few: { ...DOMAINS.balances, maxKeysInFlightPerPrincipal: 2 },
    old: { ...DOMAINS.offers, maxKeysInFlightPerPrincipal: 1 },
  };

  promise(13, 'one principal cannot take all keys in flight', BOTH, async (fleet) => {
    const a = await start(fleet, { domains: { ...domains, ...few } });
    const source = fleet.source<number>();
    const read = (user: string | undefined, key: string) =>
      as(user, () => a.guard.getOrLoad({ domain: 'few', key }, source.load));
    const first = [read('u1', 'a'), read('u1', 'b')];
    await source.call(2);
    // Joining is not starting.
    first.push(read('u1', 'a'));
    const over = await read('u1', 'c').catch((error: unknown) => error);
    expect(over).toMatchObject({ code: 'CG_OVERLOADED', field: 'maxKeysInFlightPerPrincipal' });
    expect((over as Error).message).not.toContain('u1');
    expect(a.all('overload', { bound: 'keys-in-flight-per-principal' })).toHaveLength(1);
    const others = [read('u2', 'c'), read(undefined, 'd'), read(undefined, 'e'), read(undefined, 'f')];
    await source.call(6);
    for (const call of source.calls) call.resolve(1);
    expect(await Promise.all([...first, ...others])).toEqual([1, 1, 1, 1, 1, 1, 1]);
    // What has landed counts no more.
    const next = read('u1', 'c2');
    (await source.call(7)).resolve(2);
    expect(await next).toBe(2);
  });

  promise(13, 'a permitted old value is served beyond the bound', MEMORY, async (fleet) => {
    const a = await start(fleet, { domains: { ...domains, ...few } });
    const read = (key: string, load: () => Promise<number>) =>
      as('u1', () => a.guard.getOrLoad({ domain: 'old', key }, load));
    await read('a', async () => 1);
    await fleet.pass(90_000);
    const source = fleet.source<number>();
    const open = as('u1', () => a.guard.getOrLoad({ domain: 'old', key: 'b' }, source.load));
    await source.call(1);
    expect(await read('a', async () => 2)).toBe(1);
    (await source.call(1)).resolve(3);
    expect(await open).toBe(3);
    await until(() => a.all('overload').length > 0);
  });
});

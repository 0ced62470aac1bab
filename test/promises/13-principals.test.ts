import { AsyncLocalStorage } from 'node:async_hooks';
import type { DomainPolicies } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { makeBreaker } from '../../lib/adapters/breaker.js';
import { DOMAINS, settle, type Fleet, type Member } from './support/fleet.js';
import { BOTH, MEMORY, promise } from './support/promise.js';
import { counted } from './support/source.js';

const users = new AsyncLocalStorage<unknown>();
const as = <T>(user: unknown, run: () => T): T => users.run(user, run);
const THROWS = Symbol('throws');

function principal(): unknown {
  const user = users.getStore();
  if (user === THROWS) throw new TypeError('who');
  return user;
}

const breaker = { failures: 1, pause: '10m' } as const;
const domains = {
  accounts: { ...DOMAINS.balances, scope: 'private', breaker },
  public: { ...DOMAINS.balances, breaker },
  tenants: { ...DOMAINS.balances, partition: () => String(users.getStore()), breaker },
  hidden: { ...DOMAINS.balances, hashKeys: true, breaker },
  made: { ...DOMAINS.balances, breaker },
  inner: { ...DOMAINS.balances, scope: 'private' },
  two: { ...DOMAINS.balances, maxKeysInFlightPerPrincipal: 2 },
  single: { ...DOMAINS.balances, maxKeysInFlightPerPrincipal: 1 },
  narrow: { ...DOMAINS.balances, scope: 'private', bulkhead: { concurrency: 2, queue: 1 }, breaker },
} as const satisfies DomainPolicies;

const start = (fleet: Fleet): Promise<Member> =>
  fleet.start({ domains, principal, makeBreaker, keySecret: 'a secret of sixteen bytes' });
const refused = expect.objectContaining({ code: 'CG_UNUSABLE_KEY', field: 'principal' });

describe('a private value', () => {
  promise(13, 'in the name of another is refused to whom is not nobody, but cannot be told', BOTH, async (fleet) => {
    const a = await start(fleet);
    const his = { domain: 'accounts', key: 'gold', principal: 'bob' };
    await as('bob', () => a.guard.getOrLoad({ domain: 'accounts', key: 'gold' }, async () => 'of bob'));
    const own = counted(() => 'of another');
    const nobodies = [
      '',
      0,
      5,
      null,
      false,
      Number.NaN,
      {},
      Promise.resolve('bob'),
      Symbol('bob'),
      ' ',
      'undefined',
      THROWS,
    ];
    for (const caller of nobodies)
      for (const run of [
        () => a.guard.getOrLoad(his, own),
        () => a.guard.refresh(his, own),
        () => a.guard.writeThrough(his, own as never),
        () => a.guard.peek(his),
        () => a.guard.put(his, 'of another'),
        () => a.guard.explain(his, { value: true }),
      ])
        await expect(as(caller, run)).rejects.toEqual(refused);
    expect(own.calls).toBe(0);
    // What tells nothing, and a worker, who is nobody, may do as before.
    await as(THROWS, () => a.guard.explain(his));
    expect(await as(undefined, () => a.guard.getOrLoad(his, own))).toBe('of bob');
    await as(THROWS, () => a.guard.invalidate(his));
    expect(await as(undefined, () => a.guard.peek(his))).toBeUndefined();
  });

  promise(13, 'and whose principal is the text of a missing name is refused', MEMORY, async (fleet) => {
    const a = await start(fleet);
    const own = counted(() => 'shared by all who have no name');
    const target = { domain: 'accounts', key: 'gold' };
    for (const missing of ['undefined', 'null', 'NaN', '[object Object]', ' ', '\t\n']) {
      await expect(as(missing, () => a.guard.getOrLoad(target, own))).rejects.toEqual(refused);
      await expect(a.guard.getOrLoad({ ...target, principal: missing }, own)).rejects.toEqual(refused);
      await expect(as(missing, () => a.guard.invalidate(target))).rejects.toEqual(refused);
    }
    expect(own.calls).toBe(0);
    // A name that only looks like one.
    expect(await as('Null', () => a.guard.getOrLoad(target, async () => 'of Null'))).toBe('of Null');
  });
});

describe('what a load has thrown', () => {
  promise(13, 'an open breaker tells nobody what another’s load has thrown', BOTH, async (fleet) => {
    const a = await start(fleet);
    const failing = async (): Promise<string> => {
      if (users.getStore() === 'ada') throw new RangeError('the balance of ada');
      return 'of bob';
    };
    const read = (domain: string, user: string, load = failing) =>
      as(user, () => a.guard.getOrLoad({ domain, key: 'gold' }, load)).catch((error: unknown) => error as Error);
    const made = async () => {
      await a.guard.getOrLoad({ domain: 'inner', key: 'gold' }, async () => 'inner');
      return failing();
    };
    for (const [domain, load] of [
      ['accounts', failing],
      ['tenants', failing],
      ['hidden', failing],
      ['made', made],
    ] as const) {
      expect(await read(domain, 'ada', load)).toEqual(new RangeError('the balance of ada'));
      const refusal = (await read(domain, 'bob', load)) as Error;
      expect(refusal).toMatchObject({ code: 'CG_SOURCE_BROKEN', field: 'breaker' });
      expect(refusal.cause).toBeUndefined();
      expect(refusal.message).toContain('RangeError');
      expect(refusal.message).not.toContain('ada');
    }
    // Where all are told the same, they are.
    await read('public', 'ada');
    expect(((await read('public', 'bob')) as Error).cause).toEqual(new RangeError('the balance of ada'));
  });
});

describe('bounds', () => {
  promise(13, 'what a principal loads alone, past the cache, counts as his', BOTH, async (fleet) => {
    const a = await start(fleet);
    const target = { domain: 'two', key: 'gold' };
    await a.guard.getOrLoad(target, async (context) => (context.doNotCache(), 0));
    const source = fleet.source<number>();
    const read = (user: string | undefined) => as(user, () => a.guard.getOrLoad(target, source.load));
    const first = [read('ada'), read('ada')];
    await source.call(2);
    await expect(read('ada')).rejects.toMatchObject({ code: 'CG_OVERLOADED', field: 'maxKeysInFlightPerPrincipal' });
    const others = [read('bob'), read(undefined), read(undefined), read(undefined)];
    await source.call(6);
    for (const call of source.calls) call.resolve(1);
    expect(await Promise.all([...first, ...others])).toEqual([1, 1, 1, 1, 1, 1]);
    // What has ended counts no more.
    const next = read('ada');
    (await source.call(7)).resolve(2);
    expect(await next).toBe(2);
  });

  promise(13, 'who waited for a load of his own in vain has the place of that', BOTH, async (fleet) => {
    const a = await start(fleet);
    for (const does of ['getOrLoad', 'refresh'] as const) {
      const own = counted<number>((context, call) => (context.doNotCache(), call));
      const ask = () => as('ada', () => a.guard[does]({ domain: 'single', key: does }, own));
      expect(await Promise.all([ask(), ask()])).toEqual([1, 2]);
    }
  });

  promise(13, 'what nobody loads is bounded as what others do: places, rate, breaker', BOTH, async (fleet) => {
    const a = await start(fleet);
    const source = fleet.source<number>();
    const read = (load = source.load) => a.guard.getOrLoad({ domain: 'narrow', key: 'gold' }, load);
    const reads = [read(), read(), read()];
    await source.call(2);
    await expect(read()).rejects.toMatchObject({ code: 'CG_OVERLOADED', field: 'bulkhead.queue' });
    expect(source.calls).toHaveLength(2);
    source.calls[0]!.resolve(1);
    (await source.call(3)).resolve(3);
    source.calls[1]!.resolve(2);
    expect(await Promise.all(reads)).toEqual([1, 2, 3]);
    // Not by what it reads itself: that takes no place of its own.
    const nested = (depth: number): Promise<number> =>
      depth === 0
        ? as('ada', () => read(async () => 7))
        : a.guard.getOrLoad({ domain: 'narrow', key: `${depth}` }, () => nested(depth - 1));
    expect(await Promise.all([nested(3), nested(3)])).toEqual([7, 7]);
    const failure = new RangeError('of nobody');
    await expect(read(() => Promise.reject(failure))).rejects.toBe(failure);
    await expect(read()).rejects.toMatchObject({ code: 'CG_SOURCE_BROKEN' });
  });

  promise(15, 'what nobody loads may land while the application shuts down', BOTH, async (fleet) => {
    const a = await start(fleet);
    const source = fleet.source<number>();
    const read = a.guard.getOrLoad({ domain: 'narrow', key: 'gold' }, source.load);
    const { resolve } = await source.call(1);
    const closed = a.guard.close();
    await settle();
    resolve(1);
    expect(await read).toBe(1);
    await closed;
  });

  promise(5, 'who is nobody waits no longer than his budget, and may give up', MEMORY, async (fleet) => {
    const a = await start(fleet);
    const source = fleet.source<number>();
    const leaving = new AbortController();
    const read = (signal?: AbortSignal) =>
      a.guard.getOrLoad({ domain: 'narrow', key: 'gold', signal }, source.load).catch((error: unknown) => error);
    const [waits, leaves] = [read(), read(leaving.signal)];
    await source.call(2);
    const reason = new Error('left');
    leaving.abort(reason);
    expect(await leaves).toBe(reason);
    expect(source.calls[1]!.context.signal.reason).toBe(reason);
    await fleet.pass(60_000);
    expect(await waits).toMatchObject({ code: expect.stringMatching(/^CG_(WAIT|LOAD)_TIMEOUT$/) });
  });
});

import { AsyncLocalStorage } from 'node:async_hooks';
import type { DomainPolicies } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { makeBreaker } from '../../lib/adapters/breaker.js';
import { DOMAINS, type Fleet, type Member } from './support/fleet.js';
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

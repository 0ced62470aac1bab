import { describe, expect } from 'vitest';
import type { Fleet, Member } from './support/fleet.js';
import { DOMAINS, until } from './support/fleet.js';
import { ALL, BOTH, expectFresh, expectNotFresh, promise } from './support/promise.js';
import { counted } from './support/source.js';

const BALANCE = { domain: 'balances', key: 'gold', tags: ['customer:1'] };
const OFFER = { domain: 'offers', key: 'gold' };

/** A load of `a` under way, crossed by `cross`, and what became of it. */
async function crossed(fleet: Fleet, a: Member, cross: () => Promise<unknown>): Promise<void> {
  const source = fleet.source<string>();
  const read = a.guard.getOrLoad(BALANCE, source.load);
  const load = await source.call(1);
  await cross();
  load.resolve('old');
  expect(await read).toBe('old');
}

describe('no stale set: a foreground load', () => {
  const invalidations = {
    'of its key': (b: Member) => b.guard.invalidate(BALANCE),
    'of its key, marking stale': (b: Member) => b.guard.invalidate({ ...BALANCE, mode: 'expire' }),
    'of its tag': (b: Member) => b.guard.invalidateTags({ domain: 'balances', tags: ['customer:1'] }),
    'of its domain': (b: Member) => b.guard.invalidateDomain('balances'),
  };
  for (const [what, invalidate] of Object.entries(invalidations)) {
    promise(2, `a load that an invalidation ${what} crossed is not kept`, ALL, async (fleet) => {
      const [a, b] = await fleet.pair();
      await crossed(fleet, a, () => invalidate(b));
      await expectNotFresh([a, b], BALANCE, 'old');
      expect(
        a.all('fenced', { reason: what === 'of its tag' || what === 'of its domain' ? 'generation' : 'token' }),
      ).toHaveLength(1);
      expect(a.all('accepted')).toEqual([]);
      expect(await b.guard.getOrLoad(BALANCE, async () => 'new')).toBe('new');
      await expectFresh([a, b], BALANCE, 'new');
    });

    promise(2, `nor is it when its process hears nothing of the invalidation ${what}`, BOTH, async (fleet) => {
      const [a, b] = await fleet.pair();
      a.store.deaf = true;
      await crossed(fleet, a, () => invalidate(b));
      await expectNotFresh([a, b], BALANCE, 'old');
    });
  }

  promise(2, 'a load that a put crossed does not replace what was put', ALL, async (fleet) => {
    const [a, b] = await fleet.pair();
    await crossed(fleet, a, () => b.guard.put(BALANCE, 'put'));
    await expectFresh([a, b], BALANCE, 'put');
    expect(a.all('fenced', { reason: 'token' })).toHaveLength(1);
  });

  promise(2, 'a conditional load that an invalidation crossed does not prolong the old value', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    await a.guard.getOrLoad(BALANCE, async () => 'old');
    await a.guard.invalidate({ ...BALANCE, mode: 'expire' });
    const source = fleet.source<string>();
    const read = a.guard.getOrLoad(BALANCE, source.load);
    const { context, resolve } = await source.call(1);
    expect(context.previous?.value).toBe('old');
    await b.guard.invalidate({ ...BALANCE, mode: 'expire' });
    resolve(context.notModified());
    expect(await read).toBe('old');
    await expectNotFresh([a, b], BALANCE, 'old');
  });

  promise(
    2,
    "two loads of one process have a token each: the older one's fence outlives the younger's start",
    BOTH,
    async (fleet) => {
      const [a, b] = await fleet.pair();
      const source = fleet.source<string>();
      const first = a.guard.getOrLoad(BALANCE, source.load);
      const older = await source.call(1);
      await b.guard.invalidate(BALANCE);
      const second = a.guard.refresh(BALANCE, source.load);
      const younger = await source.call(2);
      older.resolve('old');
      expect(await first).toBe('old');
      await expectNotFresh([a, b], BALANCE, 'old');
      younger.resolve('new');
      expect(await second).toBe('new');
      await expectFresh([a, b], BALANCE, 'new');
    },
  );

  promise(
    2,
    'without exclusion, a load that began earlier does not replace one that began later',
    BOTH,
    async (fleet) => {
      const domains = { free: { ...DOMAINS.balances, lease: { keys: 'none' } } } as const;
      const [a, b] = await fleet.pair({ domains });
      const target = { domain: 'free', key: 'gold' };
      const source = fleet.source<string>();
      const first = a.guard.getOrLoad(target, source.load);
      const older = await source.call(1);
      await fleet.pass(5);
      const second = b.guard.getOrLoad(target, source.load);
      (await source.call(2)).resolve('newer');
      expect(await second).toBe('newer');
      older.resolve('older');
      expect(await first).toBe('older');
      await expectFresh([a, b], target, 'newer');
      expect(a.all('fenced', { reason: 'superseded' })).toHaveLength(1);
    },
  );

  promise(2, 'without exclusion, an invalidation voids every load under way', BOTH, async (fleet) => {
    const domains = { free: { ...DOMAINS.balances, lease: { keys: 'none' } } } as const;
    const [a, b] = await fleet.pair({ domains });
    const target = { domain: 'free', key: 'gold' };
    const source = fleet.source<string>();
    const reads = [a.guard.getOrLoad(target, source.load), b.guard.getOrLoad(target, source.load)];
    const loads = [await source.call(1), await source.call(2)];
    await a.guard.invalidate(target);
    for (const load of loads) load.resolve('old');
    expect(await Promise.all(reads)).toEqual(['old', 'old']);
    await expectNotFresh([a, b], target, 'old');
  });
});

describe('no stale set: a load behind, a late load, a lost lease', () => {
  promise(2, 'a refresh behind that an invalidation crossed is not kept', ALL, async (fleet) => {
    const [a, b] = await fleet.pair();
    await a.guard.getOrLoad(OFFER, async () => 'first');
    await a.guard.invalidate(OFFER);
    const source = fleet.source<string>();
    expect(await a.guard.getOrLoad(OFFER, source.load)).toBe('first');
    const load = await source.call(1);
    await b.guard.invalidate(OFFER);
    load.resolve('old');
    await a.heard('fenced', { reason: 'token' });
    await expectNotFresh([a, b], OFFER, 'old');
    expect((await b.guard.peek(OFFER))?.state).toBe('stale');
  });

  promise(2, 'a forced refresh that an invalidation crossed is not kept', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const source = fleet.source<string>();
    const refresh = a.guard.refresh(BALANCE, source.load);
    const load = await source.call(1);
    await b.guard.invalidate(BALANCE);
    load.resolve('old');
    expect(await refresh).toBe('old');
    await expectNotFresh([a, b], BALANCE, 'old');
  });

  promise(2, 'a load that outlived its time-out is never kept', BOTH, async (fleet) => {
    const domains = { slow: { ...DOMAINS.balances, loadTimeout: 50 } };
    const [a, b] = await fleet.pair({ domains });
    const target = { domain: 'slow', key: 'gold' };
    const source = fleet.source<string>();
    const read = a.guard.getOrLoad(target, source.load).catch((error: unknown) => error);
    const load = await source.call(1);
    await fleet.pass(60);
    expect(await read).toMatchObject({ code: 'CG_LOAD_TIMEOUT' });
    await b.guard.invalidate(target);
    load.resolve('old');
    await expectNotFresh([a, b], target, 'old');
    expect(await b.guard.getOrLoad(target, async () => 'new')).toBe('new');
    await expectFresh([a, b], target, 'new');
    expect(a.store.calls.commit).toBe(0);
  });

  const lease = { ...DOMAINS.balances, lease: { duration: 100 } };
  const LEASED = { domain: 'leased', key: 'gold' };

  promise(2, 'a paused process whose lease was taken over does not overwrite the newer value', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair({ domains: { leased: lease } });
    const source = fleet.source<string>();
    const first = a.guard.getOrLoad(LEASED, source.load);
    const load = await source.call(1);
    a.store.fail('renew', Infinity);
    a.store.deaf = true;
    const second = b.guard.getOrLoad(LEASED, async () => 'new');
    await b.heard('lease', { outcome: 'refused' });
    await fleet.pass(250);
    expect(await second).toBe('new');
    load.resolve('old');
    expect(await first).toBe('old');
    await expectFresh([a, b], LEASED, 'new');
    expect(a.all('fenced', { reason: 'token' })).toHaveLength(1);
  });

  promise(2, 'nor is its value kept while the one who took over still loads', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair({ domains: { leased: lease } });
    const source = fleet.source<string>();
    const first = a.guard.getOrLoad(LEASED, source.load);
    const older = await source.call(1);
    a.store.fail('renew', Infinity);
    const second = b.guard.getOrLoad(LEASED, source.load);
    await b.heard('lease', { outcome: 'refused' });
    await fleet.pass(250);
    const younger = await source.call(2);
    older.resolve('old');
    expect(await first).toBe('old');
    await expectNotFresh([a, b], LEASED, 'old');
    younger.resolve('new');
    expect(await second).toBe('new');
    await expectFresh([a, b], LEASED, 'new');
  });

  promise(2, 'a value made from another is not kept when a tag of the other moved meanwhile', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const outer = fleet.source<string>();
    const inner = { domain: 'balances', key: 'inner', tags: ['inner'] };
    const read = a.guard.getOrLoad(BALANCE, async (context) => {
      const part = await a.guard.getOrLoad(inner, async () => 'part');
      return `${part} ${await outer.load(context as never)}`;
    });
    const load = await outer.call(1);
    await b.guard.invalidateTags({ domain: 'balances', tags: ['inner'] });
    load.resolve('whole');
    expect(await read).toBe('part whole');
    await expectNotFresh([a, b], BALANCE, 'part whole');
    const again = counted(() => 'new');
    expect(await b.guard.getOrLoad(BALANCE, again)).toBe('new');
    await until(() => again.calls === 1);
  });
});

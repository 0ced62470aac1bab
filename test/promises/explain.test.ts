import type { DomainPolicies } from 'nestjs-cache-guard';
import { describe, expect, test } from 'vitest';
import { DOMAINS, Fleet, type StoreKind, until } from './support/fleet.js';
import { ALL, BOTH, MEMORY } from './support/promise.js';
import { counted } from './support/source.js';

const domains: DomainPolicies = {
  accounts: { ...DOMAINS.balances, scope: 'private' },
  hidden: { ...DOMAINS.offers, hashKeys: true },
  near: { ...DOMAINS.offers, softTtl: '5m', l1: { maxEntries: 10 } },
  quotes: { ...DOMAINS.offers, freshBy: { source: 'ledger', fallbackTtl: '5s' } },
};
const means = { domains, principal: () => 'ada', keySecret: 'a secret of the test' };
const OFFER = { domain: 'offers', key: 'gold' };
const BALANCE = { domain: 'balances', key: 'gold' };

function explained(title: string, stores: readonly StoreKind[], run: (fleet: Fleet) => Promise<void>): void {
  for (const kind of stores) {
    test(`explain: ${title} [${kind}]`, async () => {
      const fleet = new Fleet(kind);
      try {
        await run(fleet);
      } finally {
        await fleet.close();
      }
    });
  }
}

describe('what is in force', () => {
  explained('the policy, narrowed as the target says, with its defaults', BOTH, async (fleet) => {
    const { guard } = await fleet.start(means);
    expect((await guard.explain(BALANCE)).policy).toEqual({
      scope: 'public',
      keep: 'entry',
      softTtlMs: 60_000,
      hardTtlMs: 600_000,
      whileRevalidateMs: 0,
      ifErrorMs: 0,
      staleAllowed: false,
      encrypt: false,
      hashKeys: false,
      fallback: false,
    });
    const narrowed = await guard.explain({ ...OFFER, scope: 'private' });
    expect(narrowed.policy).toMatchObject({ scope: 'private', staleAllowed: true });
    expect(narrowed.policy.whileRevalidateMs).toBeGreaterThan(0);
  });

  explained('the fallback, while the source is not known to be alive', BOTH, async (fleet) => {
    const { guard } = await fleet.start(means);
    const { policy } = await guard.explain({ domain: 'quotes', key: 'a' });
    expect(policy).toMatchObject({ softTtlMs: 5_000, fallback: true });
  });
});

describe('the lease', () => {
  explained('is held by this process, by another one, or by nobody', ALL, async (fleet) => {
    const [a, b] = await fleet.pair();
    const source = fleet.source<string>();
    expect((await a.guard.explain(BALANCE)).lease).toBeUndefined();
    const read = a.guard.getOrLoad(BALANCE, source.load);
    const load = await source.call(1);
    const [own, other] = [await a.guard.explain(BALANCE), await b.guard.explain(BALANCE)];
    expect([own.lease?.holder, other.lease?.holder]).toEqual(['this-process', 'another']);
    const { leaseMs } = a.guard.policies().find(({ domain }) => domain === 'balances')!;
    for (const { lease } of [own, other]) {
      expect(lease!.remainingMs).toBeGreaterThan(0);
      expect(lease!.remainingMs).toBeLessThanOrEqual(leaseMs + 1);
    }
    // To look at it takes nothing from anybody.
    load.resolve('new');
    expect(await read).toBe('new');
    expect(a.all('fenced')).toEqual([]);
    await until(async () => (await b.guard.explain(BALANCE)).lease === undefined);
  });

  explained('that ran out is held by nobody', MEMORY, async (fleet) => {
    const [a, b] = await fleet.pair();
    const source = fleet.source<string>();
    const read = a.guard.getOrLoad(BALANCE, source.load);
    const load = await source.call(1);
    a.store.fail('renew', Infinity);
    const { remainingMs } = (await b.guard.explain(BALANCE)).lease!;
    await fleet.clock.run(remainingMs);
    expect((await b.guard.explain(BALANCE)).lease).toBeUndefined();
    load.resolve('late');
    await read;
  });
});

describe('the last answers', () => {
  explained('say why they were what they were', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const said = async (member = a) => (await member.guard.explain(OFFER)).recent.map(({ event }) => event);
    expect(await said()).toEqual([]);
    await a.guard.getOrLoad(OFFER, async () => 'old');
    expect(await said()).toMatchObject([
      { type: 'miss', cause: 'absent' },
      { type: 'lease', outcome: 'won' },
      { type: 'load', outcome: 'value' },
      { type: 'accepted' },
    ]);
    await a.guard.getOrLoad(OFFER, async () => 'unused');
    expect(await said()).toHaveLength(4);
    await b.guard.invalidate(OFFER);
    const failing = counted<string>(() => Promise.reject(new Error('no offer')));
    await until(async () => {
      await a.guard.getOrLoad(OFFER, failing);
      return a.all('load', { outcome: 'failed' }).length > 0;
    });
    expect(await said()).toContainEqual(expect.objectContaining({ type: 'hit', state: 'stale' }));
    expect((await said()).length).toBeLessThanOrEqual(8);
    expect(await said(b)).toEqual([]);
    for (const { agoMs } of (await a.guard.explain(OFFER)).recent) expect(agoMs).toBeGreaterThanOrEqual(0);
  });

  explained('are remembered of so many keys, and so many of each', MEMORY, async (fleet) => {
    const { guard } = await fleet.start();
    for (let n = 0; n < 5; n++) await guard.refresh(OFFER, async () => n);
    expect((await guard.explain(OFFER)).recent).toHaveLength(8);
    for (let n = 0; n < 1_000; n++) await guard.getOrLoad({ ...OFFER, key: n }, async () => n);
    expect((await guard.explain(OFFER)).recent).toEqual([]);
    expect((await guard.explain({ ...OFFER, key: 999 })).recent.length).toBeGreaterThan(0);
  });

  explained('show no key that is hidden', BOTH, async (fleet) => {
    const { guard } = await fleet.start(means);
    const target = { domain: 'hidden', key: 'ada-1815' };
    await guard.getOrLoad(target, async () => 'kept');
    const found = await guard.explain(target);
    expect(found.recent.length).toBeGreaterThan(0);
    expect(JSON.stringify(found)).not.toContain('ada-1815');
  });
});

describe('the value', () => {
  explained('is given to who asks for it, and to nobody else', BOTH, async (fleet) => {
    const { guard } = await fleet.start();
    expect(await guard.explain(OFFER, { value: true })).not.toHaveProperty('value');
    await guard.put(OFFER, { note: 'a marker' });
    const found = await guard.explain(OFFER);
    expect(found).not.toHaveProperty('value');
    expect(JSON.stringify(found)).not.toContain('a marker');
    expect((await guard.explain(OFFER, { value: true })).value).toEqual({ note: 'a marker' });
    await guard.invalidate({ ...OFFER, mode: 'remove' });
    expect(await guard.explain(OFFER, { value: true })).not.toHaveProperty('value');
  });

  explained('of somebody else is refused; the rest is told', BOTH, async (fleet) => {
    let user: string | undefined = 'ada';
    const { guard } = await fleet.start({ ...means, principal: () => user });
    const target = { domain: 'accounts', key: 'a' };
    await guard.getOrLoad(target, async () => 'of ada');
    user = 'bob';
    const hers = { ...target, principal: 'ada' };
    expect(await guard.explain(hers)).toMatchObject({ decision: 'serve-fresh' });
    await expect(guard.explain(hers, { value: true })).rejects.toMatchObject({ code: 'CG_UNUSABLE_KEY' });
    user = undefined;
    await expect(guard.explain(target, { value: true })).rejects.toMatchObject({ code: 'CG_UNUSABLE_KEY' });
    user = 'ada';
    expect((await guard.explain(target, { value: true })).value).toBe('of ada');
  });
});

describe('while the store is away', () => {
  explained('tells what this process knows', BOTH, async (fleet) => {
    const { guard, store } = await fleet.start({ ...means, remote: true });
    const target = { domain: 'near', key: 'gold' };
    await until(async () => {
      await guard.getOrLoad(target, async () => 'kept');
      return (await guard.explain(target)).store === 'answered';
    });
    store.down();
    const near = await guard.explain(target, { value: true });
    expect(near).toMatchObject({ store: 'away', decision: 'serve-stale', lease: undefined, value: 'kept' });
    expect(near.recent.length).toBeGreaterThan(0);
    const far = await guard.explain(BALANCE);
    expect(far).toMatchObject({ store: 'away', decision: 'load', cause: 'store-unavailable', entry: undefined });
    expect(far.policy.softTtlMs).toBe(60_000);
  });

  explained('does not take an answer for one that an invalidation has not reached yet', BOTH, async (fleet) => {
    const { guard, store } = await fleet.start();
    await guard.getOrLoad(BALANCE, async () => 'old');
    store.fail('invalidate', Infinity);
    expect(await guard.invalidate(BALANCE)).toEqual({ outcome: 'pending' });
    expect(await guard.explain(BALANCE, { value: true })).toMatchObject({ store: 'away', entry: undefined });
  });
});

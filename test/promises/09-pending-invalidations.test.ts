import { describe, expect } from 'vitest';
import type { CacheGuard, DomainPolicies, InvalidationResult, PutResult } from 'nestjs-cache-guard';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { areBack, COMMAND_MS, knowAway, see } from './support/away.js';
import { settle, until, type Fleet, type Member } from './support/fleet.js';
import { expectNotFresh, promise, REDIS } from './support/promise.js';

const kept = { freshness: 'experience', softTtl: '1m', hardTtl: '10m', jitter: 0 } as const;
const domains = {
  offers: { ...kept, stalePolicy: 'while-revalidate' },
  rates: { ...kept, stalePolicy: 'if-error' },
  balances: { ...kept, freshness: 'critical' },
} satisfies DomainPolicies;

const tags = ['metal'];
const TARGETS = Object.keys(domains).map((domain) => ({ domain, key: 'gold', tags }));
const [OFFER, RATE, BALANCE] = TARGETS as [Target, Target, Target];
type Target = (typeof TARGETS)[number];

interface Scene {
  /** Reaches Redis through the proxy. */
  readonly a: Member;
  readonly b: Member;
  readonly proxy: TcpProxy;
}

/** Two processes whose memories hold the old values of all targets. */
async function scene(fleet: Fleet): Promise<Scene> {
  const proxy = await fleet.proxy();
  const a = await fleet.start({ proxy, domains, commandTimeoutMs: COMMAND_MS });
  const b = await fleet.start({ domains });
  for (const member of [a, b]) {
    await member.heard('l1-trust', { trusted: true });
    for (const target of TARGETS) {
      for (let i = 0; i < 2; i++) await member.guard.getOrLoad(target, async () => 'old');
    }
  }
  return { a, b, proxy };
}

async function away(fleet: Fleet): Promise<Scene> {
  const made = await scene(fleet);
  made.proxy.down();
  await knowAway(made.a);
  return made;
}

type Way = (guard: CacheGuard, target: Target) => Promise<InvalidationResult | PutResult>;

const WAYS: Readonly<Record<string, Way>> = {
  'a key': (guard, target) => guard.invalidate(target),
  'several keys': (guard, { domain, key }) => guard.invalidate({ domain, keys: ['silver', key, 'tin'] }),
  'a key, removed': (guard, target) => guard.invalidate({ ...target, mode: 'remove' }),
  'a key, purged': (guard, target) => guard.invalidate({ ...target, mode: 'purge' }),
  'a tag': (guard, target) => guard.invalidateTags(target),
  'a tag, purged': (guard, target) => guard.invalidateTags({ ...target, mode: 'purge' }),
  'a domain': (guard, { domain }) => guard.invalidateDomain(domain),
  'a domain, purged': (guard, { domain }) => guard.invalidateDomain(domain, { mode: 'purge' }),
  'a put': (guard, target) => guard.put(target, 'put'),
  'a write-through': async (guard, target) => {
    expect(await guard.writeThrough(target, async () => 'written')).toBe('written');
    return { outcome: 'pending' };
  },
};

describe('what is invalidated while the store is away', () => {
  for (const [what, invalidate] of Object.entries(WAYS)) {
    promise(9, `${what}: is pending, counts here at once, and everywhere after the return`, REDIS, async (fleet) => {
      const { a, b, proxy } = await away(fleet);
      for (const target of TARGETS) {
        expect(await invalidate(a.guard, target)).toMatchObject({ outcome: 'pending' });
        expect(a.all('invalidation', { outcome: 'pending', domain: target.domain })).toHaveLength(1);
        expect(await see(a, target)).toMatchObject({ value: 'new' });
      }
      expect(a.all('invalidation', { outcome: 'applied' })).toEqual([]);
      proxy.up();
      await areBack(a);
      expect(a.all('invalidation', { outcome: 'carried-out' }).length).toBeGreaterThanOrEqual(3);
      for (const target of TARGETS) await expectNotFresh([a, b], target, 'old');
      for (const member of [a, b]) {
        expect(await see(member, BALANCE)).toMatchObject({ value: 'new' });
        for (const target of TARGETS) {
          await until(async () => (await see(member, target)).value === 'new', 'the new value');
        }
      }
    });
  }

  promise(9, 'a load that began before is not joined, with a lease or without', REDIS, async (fleet) => {
    const { a, proxy } = await scene(fleet);
    for (const withLease of [true, false]) {
      const cold = TARGETS.map((target) => ({ ...target, key: `cold, with a lease: ${withLease}` }));
      const source = fleet.source<string>();
      const first = cold.map((target) => a.guard.getOrLoad(target, source.load));
      await source.call(3);
      if (withLease) {
        expect(a.all('lease', { outcome: 'won' })).toHaveLength(3 + 3);
        proxy.down();
        await knowAway(a);
      }
      for (const target of cold) expect(await a.guard.invalidate(target)).toEqual({ outcome: 'pending' });
      const later = cold.map((target) => a.guard.getOrLoad(target, source.load));
      // Nobody waits for a load that holds a lease and is known to be in vain.
      if (withLease) await source.call(6);
      await settle();
      for (const call of source.calls.slice(0, 3)) call.resolve('begun before');
      expect(await Promise.all(first)).toEqual(Array(3).fill('begun before'));
      await source.call(6);
      for (const call of source.calls.slice(3)) call.resolve('begun after');
      expect(await Promise.all(later)).toEqual(Array(3).fill('begun after'));
    }
  });

  promise(9, 'a load that began before a command that failed without an outage is not joined', REDIS, async (fleet) => {
    const { a } = await scene(fleet);
    const source = fleet.source<string>();
    for (const target of TARGETS.map(({ domain }) => ({ domain, key: 'cold', tags }))) {
      for (const how of ['invalidate', 'invalidateTags'] as const) {
        const from = source.calls.length;
        await a.guard.invalidate({ ...target, mode: 'purge' });
        const first = a.guard.getOrLoad(target, source.load);
        await source.call(from + 1);
        const fault = a.store.fail(how === 'invalidate' ? 'invalidate' : 'advance', Infinity);
        expect(await a.guard[how](target)).toEqual({ outcome: 'pending' });
        const later = a.guard.getOrLoad(target, source.load);
        await source.call(from + 2);
        source.calls[from]!.resolve('begun before');
        expect(await first).toBe('begun before');
        source.calls[from + 1]!.resolve('begun after');
        expect(await later).toBe('begun after');
        fault.release();
        await a.heard('invalidation', { outcome: 'carried-out' }, a.all('invalidation', { outcome: 'pending' }).length);
      }
    }
  });

  promise(
    9,
    'a load that began before and ends after the return does not become the cached value',
    REDIS,
    async (fleet) => {
      const { a, b, proxy } = await scene(fleet);
      const source = fleet.source<string>();
      const cold = { ...OFFER, key: 'cold' };
      const tagged = { ...RATE, key: 'cold' };
      const loads = [cold, tagged].map((target) => a.guard.getOrLoad(target, source.load));
      await source.call(2);
      proxy.down();
      await knowAway(a);
      await a.guard.invalidate(cold);
      await a.guard.invalidateTags(tagged);
      proxy.up();
      await areBack(a);
      for (const call of source.calls) call.resolve('begun before');
      expect(await Promise.all(loads)).toEqual(['begun before', 'begun before']);
      for (const target of [cold, tagged]) await expectNotFresh([a, b], target, 'begun before');
      expect(a.all('fenced')).toHaveLength(2);
    },
  );

  promise(9, 'is carried out before anything is believed that Redis says about it', REDIS, async (fleet) => {
    const { a, proxy } = await scene(fleet);
    const inner = { domain: 'rates', key: 'inner', tags: ['inner'] };
    const outer = { domain: 'offers', key: 'outer' };
    const compose = async (): Promise<string> => `of ${await a.guard.getOrLoad(inner, async () => 'old')}`;
    const other = { domain: 'offers', key: 'other' };
    for (let i = 0; i < 2; i++) expect(await see(a, outer, compose)).toMatchObject({ value: 'of old' });
    await a.guard.getOrLoad(other, async () => 'old');
    proxy.down();
    await knowAway(a);
    await a.guard.invalidate(BALANCE);
    await a.guard.invalidateTags(OFFER);
    await a.guard.invalidateTags(inner);
    const held = [a.store.delay('invalidate', Infinity), a.store.delay('advance', Infinity)];
    proxy.up();
    await Promise.all(held.map(({ struck }) => struck));
    for (const target of [BALANCE, OFFER]) expect(await see(a, target)).toMatchObject({ value: 'new' });
    expect(await see(a, outer)).toMatchObject({ value: 'new' });
    expect(await a.guard.peek(BALANCE)).toBeUndefined();
    expect(await a.guard.peek(outer)).toBeUndefined();
    expect(await a.guard.peek(other)).toMatchObject({ value: 'old', state: 'stale' });
    for (const fault of held) fault.release();
    await areBack(a);
    for (const target of [BALANCE, OFFER, outer]) await expectNotFresh([a], target, 'old');
  });

  promise(
    9,
    'an answer that was sent before it was carried out, and comes after, is not believed',
    REDIS,
    async (fleet) => {
      const { a } = await scene(fleet);
      a.store.fail('invalidate');
      expect(await a.guard.invalidate(BALANCE)).toEqual({ outcome: 'pending' });
      const carrying = a.store.delay('invalidate');
      await carrying.struck;
      const late = a.store.delayReply('read');
      const read = see(a, BALANCE);
      await fleet.raw.ping();
      carrying.release();
      await a.heard('invalidation', { outcome: 'carried-out' });
      late.release();
      expect(await read).toMatchObject({ value: 'new' });
    },
  );

  promise(9, 'the same key asked for 100 times is carried out once, in the strictest mode', REDIS, async (fleet) => {
    const { a, proxy } = await away(fleet);
    const modes = ['expire', 'remove', 'expire', 'purge', 'expire'] as const;
    for (let i = 0; i < 100; i++) await a.guard.invalidate({ ...OFFER, mode: modes[i % 5]! });
    const before = a.store.calls.invalidate;
    proxy.up();
    await areBack(a);
    expect(a.store.calls.invalidate - before).toBeLessThanOrEqual(2);
    expect(a.all('invalidation', { outcome: 'carried-out', mode: 'purge', count: 1 })).toHaveLength(1);
    expect(a.all('invalidation', { outcome: 'carried-out' })).toHaveLength(1);
    expect(await fleet.raw.keys(`${fleet.namespace}:e:{offers:*`)).toEqual([]);
  });

  promise(9, 'asked for again while the first is carried out, is not taken for done', REDIS, async (fleet) => {
    const { a, b } = await scene(fleet);
    a.store.fail('invalidate');
    expect(await a.guard.invalidate(BALANCE)).toEqual({ outcome: 'pending' });
    const held = a.store.delayReply('invalidate');
    await held.struck;
    expect(await see(b, BALANCE, async () => 'between')).toMatchObject({ value: 'between' });
    a.store.fail('invalidate');
    expect(await a.guard.invalidate(BALANCE)).toEqual({ outcome: 'pending' });
    held.release();
    await a.heard('invalidation', { outcome: 'carried-out' }, 2);
    await expectNotFresh([a, b], BALANCE, 'between');
  });

  for (const how of ['fail', 'loseReply'] as const) {
    promise(
      9,
      `a single command that failed without an outage is carried out within a second (${how})`,
      REDIS,
      async (fleet) => {
        const { a, b } = await scene(fleet);
        a.store[how]('invalidate');
        a.store[how]('advance');
        const from = performance.now();
        expect(await a.guard.invalidate(BALANCE)).toEqual({ outcome: 'pending' });
        expect(await a.guard.invalidateTags(OFFER)).toEqual({ outcome: 'pending' });
        await a.heard('invalidation', { outcome: 'carried-out', scope: 'key' });
        await a.heard('invalidation', { outcome: 'carried-out', scope: 'tag' });
        expect(performance.now() - from).toBeLessThan(1_000);
        for (const target of [BALANCE, OFFER]) await expectNotFresh([a, b], target, 'old');
        expect(a.all('store-state', { state: 'away' })).toEqual([]);
      },
    );
  }

  promise(9, 'memory is used again once it has been carried out', REDIS, async (fleet) => {
    const { a, proxy } = await away(fleet);
    await a.guard.invalidate(OFFER);
    proxy.up();
    await areBack(a);
    const before = a.all('hit', { tier: 'l1', state: 'fresh' }).length;
    await until(async () => {
      expect(await see(a, OFFER)).not.toMatchObject({ value: 'old', state: 'fresh' });
      return a.all('hit', { tier: 'l1', state: 'fresh' }).length > before;
    }, 'a hit in memory');
  });
});

describe('shutdown with pending invalidations', () => {
  promise(9, 'says what is lost when the store is still away', REDIS, async (fleet) => {
    const { a } = await away(fleet);
    await a.guard.invalidate({ domain: 'offers', keys: ['gold', 'silver'] });
    await a.guard.invalidateDomain('rates');
    await a.guard.close();
    const lost = a.all('invalidation', { outcome: 'failed' }).toSorted((x, y) => (x.domain < y.domain ? -1 : 1));
    expect(lost).toMatchObject([
      { domain: 'offers', scope: 'key', count: 2 },
      { domain: 'rates', scope: 'domain', count: 1 },
    ]);
    await expect(a.guard.invalidate(OFFER)).rejects.toMatchObject({ code: 'CG_STORE_UNAVAILABLE' });
  });

  promise(9, 'carries out for the last time what a single failure left', REDIS, async (fleet) => {
    const { a, b } = await scene(fleet);
    a.store.fail('beat', Infinity);
    a.store.fail('invalidate');
    expect(await a.guard.invalidate(BALANCE)).toEqual({ outcome: 'pending' });
    await a.guard.close();
    expect(a.all('invalidation', { outcome: 'carried-out' })).toHaveLength(1);
    expect(a.all('invalidation', { outcome: 'failed' })).toEqual([]);
    await expectNotFresh([b], BALANCE, 'old');
  });

  promise(9, 'tries though no beat has told of the return yet', REDIS, async (fleet) => {
    const { a, b, proxy } = await scene(fleet);
    proxy.hang();
    await knowAway(a);
    expect(await a.guard.invalidate(BALANCE)).toEqual({ outcome: 'pending' });
    proxy.resume();
    await a.guard.close();
    expect(a.all('invalidation', { outcome: 'failed' })).toEqual([]);
    await expectNotFresh([b], BALANCE, 'old');
  });
});

import { NotFoundException } from '@nestjs/common';
import { describe, expect } from 'vitest';
import type { DomainPolicies, LoadContext } from 'nestjs-cache-guard';
import { areBack, knowAway, see } from './support/away.js';
import { settle, until, type Fleet, type Member } from './support/fleet.js';
import { promise, MEMORY, REDIS } from './support/promise.js';
import { counted } from './support/source.js';
import type { TcpProxy } from '../support/tcp-proxy.js';

const kept = { freshness: 'experience', softTtl: '1m', hardTtl: '10m', jitter: 0 } as const;
const domains = {
  offers: { ...kept, stalePolicy: 'while-revalidate', backoff: { base: '300ms' } },
  rates: { ...kept, stalePolicy: 'if-error', backoff: { base: '300ms' } },
  balances: { ...kept, freshness: 'critical' },
} satisfies DomainPolicies;

const OFFER = { domain: 'offers', key: 'gold' };
const RATE = { domain: 'rates', key: 'gold' };
const BALANCE = { domain: 'balances', key: 'gold' };
const noSource = (): Promise<never> => Promise.reject(new Error('no source'));

/** What there is of each before the store goes away. */
async function away(fleet: Fleet, more: DomainPolicies = {}): Promise<{ a: Member; proxy: TcpProxy }> {
  const proxy = await fleet.proxy();
  const a = await fleet.start({ proxy, domains: { ...domains, ...more }, commandTimeoutMs: 1_000 });
  await a.heard('l1-trust', { trusted: true });
  for (const domain of Object.keys({ ...domains, ...more })) {
    for (let i = 0; i < 2; i++) await a.guard.getOrLoad({ domain, key: 'gold' }, async () => 'old');
  }
  proxy.down();
  await knowAway(a);
  await until(() => a.all('l1-trust', { trusted: false }).length > 0);
  return { a, proxy };
}

describe('loads while the store is away', () => {
  promise(9, 'readers of a key share one load in their process', REDIS, async (fleet) => {
    const { a } = await away(fleet);
    for (const target of [BALANCE, { ...OFFER, key: 'cold' }]) {
      const source = fleet.source<string>();
      const crowd = Array.from({ length: 50 }, () => a.guard.getOrLoad(target, source.load));
      await settle();
      expect(source.calls).toHaveLength(1);
      source.calls[0]!.resolve('new');
      expect(new Set(await Promise.all(crowd))).toEqual(new Set(['new']));
      expect(source.calls).toHaveLength(1);
    }
  });

  promise(
    9,
    'a reader who comes while a load runs is not given what it began before, under never',
    REDIS,
    async (fleet) => {
      const { a } = await away(fleet);
      const source = fleet.source<string>();
      const first = a.guard.getOrLoad(BALANCE, source.load);
      await source.call(1);
      const later = [1, 2, 3].map(() => a.guard.getOrLoad(BALANCE, source.load));
      await settle();
      source.calls[0]!.resolve('first');
      expect(await first).toBe('first');
      (await source.call(2)).resolve('second');
      expect(await Promise.all(later)).toEqual(['second', 'second', 'second']);
      expect(source.calls).toHaveLength(2);
    },
  );

  promise(
    9,
    'who waits for the load of another process goes to the source when the store goes away',
    REDIS,
    async (fleet) => {
      const patient = { ...domains.balances, lease: { duration: '10s' } } as const;
      const proxy = await fleet.proxy();
      const [a, b] = await fleet.pair({ proxy, domains: { ...domains, patient }, commandTimeoutMs: 1_000 });
      const [far, own] = [fleet.source<string>(), fleet.source<string>()];
      const theirs = a.guard.getOrLoad({ domain: 'patient', key: 'gold' }, far.load);
      await far.call(1);
      const read = b.guard.getOrLoad({ domain: 'patient', key: 'gold' }, own.load);
      await b.heard('lease', { outcome: 'refused' });
      proxy.down();
      await knowAway(b);
      const from = performance.now();
      (await own.call(1)).resolve('mine');
      expect(await read).toBe('mine');
      expect(performance.now() - from).toBeLessThan(1_000);
      far.calls[0]!.resolve('theirs');
      expect(await theirs).toBe('theirs');
    },
  );

  promise(9, 'no more of them run at once than the bulkhead has places', REDIS, async (fleet) => {
    const narrow = { ...domains.balances, bulkhead: { concurrency: 4, queue: 100 } };
    const { a } = await away(fleet, { narrow });
    let running = 0;
    let most = 0;
    const load = async (): Promise<string> => {
      most = Math.max(most, ++running);
      await settle(3);
      running--;
      return 'value';
    };
    const reads = Array.from({ length: 60 }, (_, i) => a.guard.getOrLoad({ domain: 'narrow', key: `${i}` }, load));
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['value']));
    expect(most).toBe(4);
  });

  promise(
    9,
    'who finds the queue full is refused at once, or given the old value where that is permitted',
    REDIS,
    async (fleet) => {
      const bulkhead = { concurrency: 1, queue: 2 };
      const full = { ...domains.balances, bulkhead };
      const rates = { ...domains.rates, bulkhead };
      const { a } = await away(fleet, { full, rates });
      for (const domain of ['full', 'rates']) {
        const source = fleet.source<string>();
        const waiting = ['x', 'y', 'z'].map((key) => a.guard.getOrLoad({ domain, key }, source.load));
        await source.call(1);
        const cold = a.guard.getOrLoad({ domain, key: 'cold' }, source.load);
        await expect(cold).rejects.toMatchObject({ code: 'CG_OVERLOADED', domain });
        expect(a.all('overload', { domain, bound: 'bulkhead' })).toHaveLength(1);
        if (domain === 'rates')
          expect(await see(a, { domain, key: 'gold' })).toMatchObject({ value: 'old', state: 'stale' });
        for (let call = 1; call <= 3; call++) (await source.call(call)).resolve('value');
        expect(await Promise.all(waiting)).toEqual(['value', 'value', 'value']);
      }
    },
  );

  promise(9, 'who waits as long as his budget allows is told so', REDIS, async (fleet) => {
    const patient = { ...domains.balances, waitBudget: '200ms' } as const;
    const { a } = await away(fleet, { patient });
    const source = fleet.source<string>();
    const from = performance.now();
    const read = a.guard.getOrLoad({ domain: 'patient', key: 'gold' }, source.load);
    await expect(read).rejects.toMatchObject({ code: 'CG_WAIT_TIMEOUT', domain: 'patient' });
    expect(performance.now() - from).toBeGreaterThanOrEqual(195);
    expect(performance.now() - from).toBeLessThan(500);
    expect(a.all('wait-timeout')).toHaveLength(1);
  });

  promise(9, 'a waiting person goes before the refreshes behind', REDIS, async (fleet) => {
    const one = { ...kept, softTtl: '50ms', stalePolicy: 'while-revalidate', bulkhead: { concurrency: 1 } } as const;
    const { a } = await away(fleet, { one });
    await fleet.pass(60);
    const source = fleet.source<string>();
    const order: string[] = [];
    const load = (name: string) => (context: LoadContext<string>) => (order.push(name), source.load(context));
    const first = a.guard.getOrLoad({ domain: 'one', key: 'first' }, load('first'));
    await source.call(1);
    expect(await a.guard.getOrLoad({ domain: 'one', key: 'gold' }, load('refresh'))).toBe('old');
    const cold = a.guard.getOrLoad({ domain: 'one', key: 'cold' }, load('person'));
    await settle();
    for (let call = 1; call <= 3; call++) (await source.call(call)).resolve('value');
    await Promise.all([first, cold]);
    expect(order).toEqual(['first', 'person', 'refresh']);
  });

  promise(
    9,
    'a failing source: the old value where it is permitted, and no more attempts than its pauses allow',
    REDIS,
    async (fleet) => {
      const soft = { ...domains.offers, softTtl: '50ms' } as const;
      const { a } = await away(fleet, { soft });
      await fleet.pass(60);
      await expect(a.guard.getOrLoad(BALANCE, noSource)).rejects.toThrow('no source');
      for (const target of [RATE, { domain: 'soft', key: 'gold' }]) {
        const failing = counted<unknown>(noSource);
        for (let i = 0; i < 20; i++) {
          expect(await see(a, target, failing)).toMatchObject({
            value: 'old',
            state: 'stale',
          });
        }
        await until(() => failing.calls > 0);
        expect(failing.calls).toBe(1);
        await fleet.pass(320);
        for (let i = 0; i < 20; i++) await see(a, target, failing);
        expect(failing.calls).toBe(2);
      }
    },
  );

  promise(9, 'an uncacheable result is for its caller only, and is not kept in memory', REDIS, async (fleet) => {
    const { a } = await away(fleet);
    const target = { ...OFFER, key: 'cold' };
    const own = counted((context: LoadContext<string>, call) => (context.doNotCache(), `for ${call}`));
    const got = await Promise.all([1, 2, 3].map(() => a.guard.getOrLoad(target, own)));
    expect(got.toSorted()).toEqual(['for 1', 'for 2', 'for 3']);
    await expect(a.guard.getOrLoad(target, noSource)).rejects.toThrow('no source');
  });

  promise(9, 'what was made from a critical value is not kept in memory either', REDIS, async (fleet) => {
    const { a } = await away(fleet);
    const target = { ...OFFER, key: 'composed' };
    const outer = async (): Promise<string> => `of ${await a.guard.getOrLoad(BALANCE, async () => 'inner')}`;
    expect(await a.guard.getOrLoad(target, outer)).toBe('of inner');
    await expect(a.guard.getOrLoad(target, noSource)).rejects.toThrow('no source');
  });

  promise(
    9,
    'an answer that was thrown is delivered, and the old value is not served in its place later',
    REDIS,
    async (fleet) => {
      const { a } = await away(fleet);
      const gone = new NotFoundException('no such rate');
      await expect(a.guard.getOrLoad(RATE, () => Promise.reject(gone))).rejects.toBe(gone);
      await expect(a.guard.getOrLoad(RATE, noSource)).rejects.toThrow('no source');
    },
  );

  promise(9, 'an answer that was thrown while the store was away also outlives its return', REDIS, async (fleet) => {
    const { a, proxy } = await away(fleet);
    const gone = new NotFoundException('no such rate');
    await expect(a.guard.getOrLoad(RATE, () => Promise.reject(gone))).rejects.toBe(gone);
    proxy.up();
    await areBack(a);
    expect(await see(a, RATE)).toMatchObject({ value: 'new' });
  });

  promise(9, 'a crowd of unknown keys meanwhile does not cost the domain what it has', MEMORY, async (fleet) => {
    const a = await fleet.start();
    await a.guard.put(RATE, 'old');
    a.store.down();
    const gone = () => Promise.reject(new NotFoundException('no such rate'));
    for (let first = 0; first < 11_000; first += 500) {
      const crowd = Array.from({ length: 500 }, (_, i) => a.guard.getOrLoad({ ...RATE, key: first + i }, gone));
      expect((await Promise.allSettled(crowd)).every(({ status }) => status === 'rejected')).toBe(true);
    }
    a.store.heal();
    await fleet.pass(1_000);
    expect(a.all('invalidation', { outcome: 'coarsened' })).toEqual([]);
    expect(a.all('invalidation', { outcome: 'carried-out' }).length).toBeGreaterThan(0);
    expect(await a.guard.peek(RATE)).toMatchObject({ value: 'old', state: 'fresh' });
  });

  promise(9, 'what was loaded meanwhile is kept in memory, as stale, up to its hard TTL', REDIS, async (fleet) => {
    const short = { ...domains.rates, softTtl: '300ms', hardTtl: '600ms' } as const;
    const { a } = await away(fleet, { short });
    for (const [target, old] of [
      [RATE, 'mine'],
      [{ domain: 'short', key: 'gold' }, 'mine'],
    ] as const) {
      await a.guard.getOrLoad(target, async () => 'mine');
      expect(await see(a, target, noSource)).toMatchObject({ value: old, state: 'stale' });
    }
    await fleet.pass(610);
    await expect(a.guard.getOrLoad({ domain: 'short', key: 'gold' }, noSource)).rejects.toThrow('no source');
  });

  promise(9, 'a load that reads another guarded value needs no second place', REDIS, async (fleet) => {
    const one = { ...domains.balances, bulkhead: { concurrency: 1, queue: 0 } };
    const { a } = await away(fleet, { one });
    const inner = (): Promise<string> => a.guard.getOrLoad({ domain: 'one', key: 'inner' }, async () => 'inner');
    expect(await a.guard.getOrLoad({ domain: 'one', key: 'outer' }, async () => `of ${await inner()}`)).toBe(
      'of inner',
    );
  });

  promise(9, 'refresh loads, peek gives nothing, explain says that the store is away', REDIS, async (fleet) => {
    const { a } = await away(fleet);
    expect(await a.guard.refresh(OFFER, async () => 'new')).toBe('new');
    expect(await a.guard.peek(OFFER)).toBeUndefined();
    expect(await a.guard.explain(OFFER)).toMatchObject({ store: 'away', decision: 'serve-stale' });
  });
});

import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import type { DomainPolicies } from 'nestjs-cache-guard';
import type { RedisServer } from '../support/redis-server.js';
import { areBack, COMMAND_MS, knowAway, ownProxy, ownRedis, see } from './support/away.js';
import { until, type Fleet, type Member } from './support/fleet.js';
import { promise, REDIS } from './support/promise.js';

const kept = { freshness: 'experience', softTtl: '1m', hardTtl: '10m', jitter: 0 } as const;
const CONCURRENCY = 4;
const domains = {
  offers: { ...kept, stalePolicy: 'while-revalidate', bulkhead: { concurrency: CONCURRENCY } },
  rates: { ...kept, stalePolicy: 'if-error' },
  balances: { ...kept, freshness: 'critical', bulkhead: { concurrency: CONCURRENCY } },
} satisfies DomainPolicies;

const OFFER = { domain: 'offers', key: 'gold' };
const RATE = { domain: 'rates', key: 'gold' };
const BALANCE = { domain: 'balances', key: 'gold' };
const TARGETS = [OFFER, RATE, BALANCE];
const options = { commandTimeoutMs: COMMAND_MS, domains };

interface Scene {
  readonly redis: RedisServer;
  readonly a: Member;
  readonly b: Member;
}

/** Two processes, in whose memories and store the old values are fresh. */
async function scene(fleet: Fleet): Promise<Scene> {
  const redis = await ownRedis(fleet);
  const [a, b] = await fleet.pair({ url: redis.url, ...options });
  for (const member of [a, b]) {
    await member.heard('l1-trust', { trusted: true });
    for (const target of TARGETS) {
      for (let i = 0; i < 2; i++) await member.guard.getOrLoad(target, async () => 'old');
    }
  }
  expect(b.all('hit', { tier: 'l1', state: 'fresh' })).not.toEqual([]);
  // Both have been counted as alive.
  for (const { store } of [a, b]) await until(() => store.calls.beat >= 3);
  return { redis, a, b };
}

/** The store has hung and is back; process a has not carried out yet what it was asked for meanwhile. */
async function held(fleet: Fleet, { redis, a, b }: Scene, long = false): Promise<() => Promise<void>> {
  await redis.pause();
  await knowAway(a, b);
  for (const target of TARGETS) expect(await a.guard.invalidate(target)).toEqual({ outcome: 'pending' });
  if (long) await fleet.pass(2_500);
  const fault = a.store.delay('invalidate', Infinity);
  redis.resume();
  await fault.struck;
  await b.heard('store-state', { state: 'settling' });
  return async () => {
    fault.release();
    await areBack(a, b);
  };
}

describe('the store is back, and another process has not carried out yet what it kept', () => {
  promise(9, 'a server that takes no writes is not back, whoever has something pending', REDIS, async (fleet) => {
    const { redis, a, b } = await scene(fleet);
    await redis.command('REPLICAOF', '127.0.0.1', '1');
    await knowAway(a, b);
    for (const { guard } of [a, b]) expect(await guard.invalidate(OFFER)).toEqual({ outcome: 'pending' });
    const beats = b.store.calls.beat;
    await until(() => b.store.calls.beat > beats + 5, 'beats');
    for (const member of [a, b]) {
      expect(member.all('store-state').at(-1)?.state).toBe('away');
      expect(await see(member, RATE)).not.toMatchObject({ state: 'fresh' });
    }
    await redis.command('REPLICAOF', 'NO', 'ONE');
    await areBack(a, b);
  });

  for (const long of [false, true]) {
    promise(
      9,
      `after a ${long ? 'long' : 'short'} pause of Redis, nothing from before is fresh until it has`,
      REDIS,
      async (fleet) => {
        const made = await scene(fleet);
        const { a, b } = made;
        const release = await held(fleet, made, long);
        await until(() => a.store.calls.beat > 0 && b.all('l1-trust').at(-1)?.trusted === true, 'trust');
        expect(await see(b, OFFER)).toMatchObject({ value: 'old', state: 'stale' });
        expect(await see(b, RATE)).toMatchObject({ value: 'new' });
        expect(await see(b, BALANCE)).toMatchObject({ value: 'new' });
        expect(b.all('store-state').at(-1)?.state).toBe('settling');
        await release();
        expect(await see(b, OFFER)).not.toMatchObject({ value: 'old', state: 'fresh' });
        await until(async () => (await see(b, OFFER)).value === 'new', 'the new value');
      },
    );
  }

  promise(9, 'a process that started meanwhile does not take it for fresh either', REDIS, async (fleet) => {
    const made = await scene(fleet);
    const { redis, a } = made;
    await redis.pause();
    await knowAway(a);
    for (const target of TARGETS) await a.guard.invalidate(target);
    const c = await fleet.start({ url: redis.url, ...options });
    const fault = a.store.delay('invalidate', Infinity);
    redis.resume();
    await fault.struck;
    await c.heard('store-state', { state: 'settling' });
    for (let i = 0; i < 20; i++, await pause(10)) {
      expect(await see(c, OFFER, async () => 'old')).not.toMatchObject({ state: 'fresh' });
    }
    fault.release();
    await areBack(a, c);
  });

  promise(9, 'what was loaded after the return is fresh at once', REDIS, async (fleet) => {
    const made = await scene(fleet);
    const release = await held(fleet, made);
    const cold = TARGETS.map((target) => ({ ...target, key: 'cold' }));
    for (const target of cold) {
      await until(async () => (await see(made.b, target)).state === 'fresh', 'a fresh value');
      expect(made.b.all('load').filter(({ key }) => key === `${target.domain}:::s.cold`).length).toBeLessThan(3);
    }
    expect(made.b.all('store-state').at(-1)?.state).toBe('settling');
    await release();
  });

  promise(9, 'no load storm: what may be stale is served without a refresh', REDIS, async (fleet) => {
    const made = await scene(fleet);
    const { b } = made;
    const keys = Array.from({ length: 200 }, (_, i) => ({ domain: 'offers', key: `k${i}` }));
    await Promise.all(keys.map((target) => b.guard.getOrLoad(target, async () => 'old')));
    const release = await held(fleet, made);
    const before = b.all('load').length;
    const states = (await Promise.all(keys.map((target) => see(b, target)))).map(({ state }) => state);
    expect(new Set(states)).toEqual(new Set(['stale']));
    expect(b.all('load').length).toBe(before);
    await release();
    for (const target of keys) expect(await see(b, target)).toMatchObject({ value: 'old', state: 'fresh' });
  });

  promise(9, 'a process that died meanwhile is waited for no longer than three seconds', REDIS, async (fleet) => {
    const { redis, a, b } = await scene(fleet);
    await redis.pause();
    await knowAway(a, b);
    a.store.fail('beat', Infinity);
    redis.resume();
    await b.heard('store-state', { state: 'settling' });
    const from = performance.now();
    await b.heard('store-state', { state: 'up' });
    expect(performance.now() - from).toBeGreaterThan(1_500);
    expect(performance.now() - from).toBeLessThan(3_500);
  });

  promise(9, 'a lone process is not kept waiting', REDIS, async (fleet) => {
    const redis = await ownRedis(fleet);
    const a = await fleet.start({ url: redis.url, ...options });
    await redis.pause();
    await knowAway(a);
    redis.resume();
    await a.heard('store-state', { state: 'settling' });
    const from = performance.now();
    await areBack(a);
    expect(performance.now() - from).toBeLessThan(1_000);
  });
});

/** The store is back without its data; process a has not carried out yet what it was asked for meanwhile. */
async function emptied({ redis, a, b }: Scene): Promise<() => Promise<void>> {
  await redis.kill();
  await knowAway(a, b);
  expect(await a.guard.invalidate(BALANCE)).toEqual({ outcome: 'pending' });
  const fault = a.store.delay('invalidate', Infinity);
  await redis.restart({ from: 'empty' });
  await fault.struck;
  await b.heard('store-state', { state: 'settling' });
  return async () => {
    fault.release();
    await areBack(a, b);
  };
}

const failing = (): Promise<never> => Promise.reject(new Error('no source either'));

/** A source that counts: how many loads there were, the most at once, and when each began. */
function origin(ms: number) {
  const seen = { most: 0, running: 0, starts: [] as number[], byKey: new Map<string, number>() };
  const load = (key: string) => async (): Promise<string> => {
    seen.starts.push(performance.now());
    seen.byKey.set(key, (seen.byKey.get(key) ?? 0) + 1);
    seen.most = Math.max(seen.most, ++seen.running);
    await pause(ms);
    seen.running--;
    return 'new';
  };
  return { seen, load };
}

describe('the store is back without what it had', () => {
  const KEYS = 500;

  async function filled(fleet: Fleet): Promise<{ redis: RedisServer; a: Member }> {
    const redis = await ownRedis(fleet);
    const a = await fleet.start({ url: redis.url, ...options });
    for (const domain of ['offers', 'balances']) {
      const all = Array.from({ length: KEYS }, (_, i) =>
        a.guard.getOrLoad({ domain, key: `k${i}` }, async () => 'old'),
      );
      await Promise.all(all);
    }
    await redis.snapshot();
    await redis.kill();
    await knowAway(a);
    return { redis, a };
  }

  promise(
    9,
    'an older snapshot: what may be stale is refreshed little by little, hot keys first',
    REDIS,
    async (fleet) => {
      const { redis, a } = await filled(fleet);
      await redis.restart({ from: 'snapshot' });
      await areBack(a);
      const { seen, load } = origin(20);
      const from = performance.now();
      for (let turn = 0; performance.now() - from < 1_500; turn++, await pause(10)) {
        for (let i = 0; i < 50; i++) {
          const key = `k${(turn * 50 + i) % KEYS}`;
          const { ms } = await see(a, { domain: 'offers', key }, load(key));
          expect(ms).toBeLessThan(300);
        }
      }
      const seconds = (performance.now() - from) / 1_000;
      expect(a.all('hit', { domain: 'offers', state: 'stale' }).length).toBeGreaterThan(KEYS / 2);
      expect(seen.most).toBeLessThanOrEqual(CONCURRENCY);
      expect(seen.starts.length).toBeGreaterThan(seconds * CONCURRENCY);
      expect(seen.starts.length).toBeLessThanOrEqual(Math.ceil(seconds * 4 * CONCURRENCY) + 1);
      const [first, ...rest] = seen.starts;
      expect(rest.filter((at) => at - first! < 200).length).toBeLessThanOrEqual(4);
    },
  );

  promise(9, 'empty: memory stands in for a source that fails, until the fleet has settled', REDIS, async (fleet) => {
    const made = await scene(fleet);
    const { b } = made;
    const other = { ...RATE, key: 'other' };
    for (let i = 0; i < 2; i++) await see(b, other, async () => 'old');
    const release = await emptied(made);
    expect(await see(b, OFFER, failing)).toMatchObject({ value: 'old', state: 'stale' });
    expect(await see(b, RATE, failing)).toMatchObject({ value: 'old', state: 'stale' });
    await expect(see(b, BALANCE, failing)).rejects.toThrow('no source either');
    await until(async () => (await see(b, RATE)).value === 'new', 'the new value');
    await release();
    // Somebody may have removed it, and nobody could tell this process.
    await expect(see(b, other, failing)).rejects.toThrow('no source either');
  });

  promise(9, 'not empty, but without one key: nothing stands in, it may have been removed', REDIS, async (fleet) => {
    const made = await scene(fleet);
    const { redis, b } = made;
    const release = await held(fleet, made);
    const evict = "redis.call('DEL', unpack(redis.call('KEYS', ARGV[1])))";
    await redis.command('EVAL', evict, 0, `${fleet.namespace}:*rates*`);
    await expect(see(b, RATE, failing)).rejects.toThrow('no source either');
    expect(b.all('store-state').at(-1)?.state).toBe('settling');
    await release();
  });

  promise(9, 'empty: what was removed since does not stand in, heard of or not', REDIS, async (fleet) => {
    const redis = await ownRedis(fleet);
    const proxy = await ownProxy(fleet, redis);
    const a = await fleet.start({ url: redis.url, ...options });
    const b = await fleet.start({ url: proxy.url, ...options });
    await b.heard('l1-trust', { trusted: true });
    const tagged = { ...RATE, tags: ['metal'] };
    for (let i = 0; i < 2; i++) await see(b, tagged, async () => 'old');
    for (const { store } of [a, b]) await until(() => store.calls.beat >= 3);
    const release = await emptied({ redis, a, b });
    proxy.loseMessages(() => true);
    const c = await fleet.start({ url: redis.url, ...options });
    await c.guard.invalidateTags({ domain: 'rates', tags: tagged.tags, mode: 'remove' });
    await expect(see(b, tagged, failing)).rejects.toThrow('no source either');
    await release();
  });

  for (const from of ['snapshot', 'empty'] as const) {
    const what = from === 'empty' ? 'empty' : 'an older snapshot';
    promise(
      9,
      `${what}: what must not be stale is loaded once for each key, within the bulkhead`,
      REDIS,
      async (fleet) => {
        const { redis, a } = await filled(fleet);
        await redis.restart({ from });
        await areBack(a);
        const { seen, load } = origin(2);
        const read = (key: string) => a.guard.getOrLoad({ domain: 'balances', key }, load(key));
        const keys = Array.from({ length: KEYS }, (_, i) => `k${i}`);
        expect(new Set(await Promise.all(keys.flatMap((key) => [read(key), read(key)])))).toEqual(new Set(['new']));
        await Promise.all(keys.map(read));
        expect(seen.most).toBeLessThanOrEqual(CONCURRENCY);
        expect(new Set(seen.byKey.values())).toEqual(new Set([1]));
        expect(seen.byKey.size).toBe(KEYS);
      },
    );
  }
});

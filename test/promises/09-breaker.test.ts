import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import type { DomainPolicies } from 'nestjs-cache-guard';
import type { RedisServer } from '../support/redis-server.js';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { COMMAND_MS, knowAway, ownProxy, ownRedis, see, type Seen } from './support/away.js';
import { until, type Fleet, type Member } from './support/fleet.js';
import { promise, REDIS } from './support/promise.js';

const kept = { freshness: 'experience', softTtl: '1m', hardTtl: '10m', jitter: 0 } as const;
const domains = {
  offers: { ...kept, stalePolicy: 'while-revalidate' },
  balances: { ...kept, freshness: 'critical' },
  patient: { ...kept, stalePolicy: 'while-revalidate', softTimeout: '100ms', l1: { maxAge: 1 } },
  wavering: { ...kept, stalePolicy: 'if-error', softTimeout: '100ms', l1: { maxAge: 1 } },
  hasty: { ...kept, stalePolicy: 'while-revalidate', waitBudget: '150ms', l1: { maxAge: 1 } },
  wary: { ...kept, stalePolicy: 'if-error', waitBudget: '150ms', l1: { maxAge: 1 } },
} satisfies DomainPolicies;

const OFFER = { domain: 'offers', key: 'gold' };
const BALANCE = { domain: 'balances', key: 'gold' };

interface Scene {
  readonly redis: RedisServer;
  readonly proxy: TcpProxy;
  readonly a: Member;
}

async function scene(fleet: Fleet): Promise<Scene> {
  const redis = await ownRedis(fleet);
  const proxy = await ownProxy(fleet, redis);
  const a = await fleet.start({ proxy, domains, commandTimeoutMs: COMMAND_MS });
  await a.heard('l1-trust', { trusted: true });
  for (const target of [OFFER, BALANCE]) {
    for (let i = 0; i < 2; i++) await a.guard.getOrLoad(target, async () => 'old');
  }
  return { redis, proxy, a };
}

const median = (reads: readonly Seen[]): number =>
  reads.map(({ ms }) => ms).toSorted((x, y) => x - y)[reads.length >> 1]!;

describe('a server that does not answer is left alone', () => {
  promise(
    9,
    'once Redis is known to hang, reads send it nothing and cost nothing; beats alone try it',
    REDIS,
    async (fleet) => {
      const { redis, proxy, a } = await scene(fleet);
      await redis.pause();
      const first = await see(a, BALANCE);
      expect(first.ms).toBeLessThan(2 * COMMAND_MS);
      await knowAway(a);
      await until(() => a.all('l1-trust').at(-1)?.trusted === false);
      proxy.resetCounts();
      const from = performance.now();
      const reads: Seen[] = [];
      for (let i = 0; i < 200; i++, await pause(2)) {
        reads.push(await see(a, i % 2 ? OFFER : BALANCE));
        await a.guard.invalidate({ domain: 'balances', key: `k${i}` });
      }
      const seconds = (performance.now() - from) / 1_000;
      expect(median(reads)).toBeLessThan(2);
      const { MGET = 0, EVALSHA = 0, EVAL = 0 } = proxy.counts.commands;
      expect({ MGET, EVAL }).toEqual({ MGET: 0, EVAL: 0 });
      expect(EVALSHA).toBeLessThanOrEqual(11 * seconds + 2);
    },
  );

  const impatient = {
    'who may have an old value waits for a hung store no longer than his soft time-out': ['patient', 'wavering'],
    'a budget that ends before the soft time-out still gives what memory may': ['hasty', 'wary'],
  };
  for (const [what, names] of Object.entries(impatient)) {
    promise(9, what, REDIS, async (fleet) => {
      const { redis, a } = await scene(fleet);
      const targets = names.map((domain) => ({ domain, key: 'gold' }));
      for (const target of targets) for (let i = 0; i < 2; i++) await see(a, target, async () => 'old');
      await redis.pause();
      await fleet.pass(2);
      for (const { value, state, ms } of await Promise.all(targets.map((target) => see(a, target)))) {
        expect({ value, state }).toEqual({ value: 'old', state: 'stale' });
        expect(ms).toBeLessThan(COMMAND_MS - 50);
      }
    });
  }

  for (const seconds of [1, 5]) {
    promise(9, `after ${seconds} s it is found again by itself within two seconds`, REDIS, async (fleet) => {
      const { redis, a } = await scene(fleet);
      await redis.pause();
      await knowAway(a);
      await fleet.pass(seconds * 1_000);
      const from = performance.now();
      redis.resume();
      await a.heard('store-state', { state: 'settling' });
      expect(performance.now() - from).toBeLessThan(2_000);
      expect(await see(a, BALANCE)).toMatchObject({ value: 'new', state: 'loaded' });
      // What was loaded within the rounding of the return itself may count as from before it.
      await until(async () => (await see(a, BALANCE)).state === 'fresh', 'a cached value');
    });
  }

  promise(9, 'a restarted server is found again within two seconds, however long it was down', REDIS, async (fleet) => {
    const { redis, a } = await scene(fleet);
    await redis.kill();
    await knowAway(a);
    await fleet.pass(4_000);
    await redis.restart();
    const from = performance.now();
    await a.heard('store-state', { state: 'settling' });
    expect(performance.now() - from).toBeLessThan(2_000);
  });

  promise(9, 'connections that died without a word are replaced, both of them', REDIS, async (fleet) => {
    const { redis, proxy, a } = await scene(fleet);
    const b = await fleet.start({ url: redis.url, domains });
    proxy.halfOpen();
    proxy.up();
    const from = performance.now();
    await knowAway(a);
    await a.heard('store-state', { state: 'up' });
    await until(() => a.all('l1-trust').at(-1)?.trusted === true, 'trust in memory');
    await until(() => proxy.counts.dead === 0, 'no dead connection');
    expect(performance.now() - from).toBeLessThan(9_000);
    for (let i = 0; i < 3; i++) await see(a, OFFER);
    expect(a.all('hit', { tier: 'l1' }).at(-1)).toMatchObject({ state: 'fresh' });
    await b.guard.invalidate({ ...OFFER, mode: 'remove' });
    await until(async () => (await see(a, OFFER)).value === 'new', 'the invalidation in memory');
  });
});

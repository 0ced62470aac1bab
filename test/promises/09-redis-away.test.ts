import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import type { DomainPolicies } from 'nestjs-cache-guard';
import type { RedisServer } from '../support/redis-server.js';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { areBack, COMMAND_MS, ownProxy, ownRedis, see, type Seen } from './support/away.js';
import { until, type Fleet, type Member } from './support/fleet.js';
import { promise, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

const SOFT_TIMEOUT_MS = 100;
const BUDGET_MS = 1_500;
/** What a busy machine adds to a wait. */
const SLACK_MS = 250;
/** Between two reads of one reader. */
const PACE_MS = 5;

const kept = {
  freshness: 'experience',
  softTtl: '1m',
  hardTtl: '10m',
  jitter: 0,
  softTimeout: SOFT_TIMEOUT_MS,
  waitBudget: BUDGET_MS,
} as const;

const domains = {
  offers: { ...kept, stalePolicy: 'while-revalidate' },
  rates: { ...kept, stalePolicy: 'if-error' },
  balances: { ...kept, freshness: 'critical' },
} satisfies DomainPolicies;

const OFFER = { domain: 'offers', key: 'gold' };
const RATE = { domain: 'rates', key: 'gold' };
const BALANCE = { domain: 'balances', key: 'gold' };

interface Scene {
  readonly server: RedisServer;
  readonly proxy: TcpProxy;
  readonly fleet: Fleet;
}

interface Trouble {
  /** Whether the process must notice. */
  readonly away: boolean;
  /** Whether what was cached is lost: memory stands in for it only until the fleet has settled. */
  readonly empties?: boolean;
  takeAway(scene: Scene): Promise<unknown> | void;
  bringBack(scene: Scene): Promise<unknown> | void;
}

const nothing = (): void => {};

/** A server that needs a second and more to load its few keys. */
const LOADING = ['--key-load-delay', '3000', '--loading-process-events-interval-bytes', '1024'];

const TROUBLES: Readonly<Record<string, Trouble>> = {
  'it was killed': {
    away: true,
    takeAway: ({ server }) => server.kill(),
    bringBack: ({ server }) => server.restart(),
  },
  'it hangs': {
    away: true,
    takeAway: ({ server }) => server.pause(),
    bringBack: ({ server }) => server.resume(),
  },
  'it is slower than a command may take': {
    away: true,
    takeAway: ({ proxy }) => proxy.delay(3 * COMMAND_MS),
    bringBack: ({ proxy }) => proxy.delay(0),
  },
  'its connections are half open': {
    away: true,
    takeAway: ({ proxy }) => proxy.halfOpen(),
    bringBack: ({ proxy }) => proxy.up(),
  },
  'its connections are refused': {
    away: true,
    takeAway: ({ proxy }) => proxy.down(),
    bringBack: ({ proxy }) => proxy.up(),
  },
  'its connections are cut': { away: true, takeAway: ({ proxy }) => proxy.cut(), bringBack: nothing },
  'it is loading its data': {
    away: true,
    takeAway: async ({ server, fleet }) => {
      for (let i = 0; i < 800; i++) await server.command('SET', `filler ${i}`, i);
      await server.snapshot();
      await server.kill();
      const restarted = server.restart({ args: LOADING, from: 'snapshot' });
      restarted.catch(nothing);
      fleet.finally(() => restarted.catch(nothing));
      const state = (): Promise<string> => server.command('PING').catch(String);
      await until(async () => (await state()).includes('LOADING'), 'LOADING');
    },
    bringBack: ({ server }) => until(async () => (await server.command('PING').catch(String)) === 'PONG'),
  },
  'it takes no writes (READONLY)': {
    away: true,
    takeAway: ({ server }) => server.command('REPLICAOF', '127.0.0.1', 1),
    bringBack: ({ server }) => server.command('REPLICAOF', 'NO', 'ONE'),
  },
  'a script of somebody else keeps it busy (BUSY)': {
    away: true,
    takeAway: async ({ server }) => {
      await server.command('CONFIG', 'SET', 'busy-reply-threshold', 50);
      server.command('EVAL', 'while true do end', 0).catch(nothing);
      await until(async () => (await server.command('PING').catch(String)).includes('BUSY'), 'BUSY');
    },
    bringBack: ({ server }) =>
      until(async () => {
        await server.command('SCRIPT', 'KILL').catch(nothing);
        return (await server.command('PING').catch(String)) === 'PONG';
      }),
  },
  'its memory is full (OOM)': {
    away: false,
    takeAway: ({ server }) => server.command('CONFIG', 'SET', 'maxmemory', 1),
    bringBack: ({ server }) => server.command('CONFIG', 'SET', 'maxmemory', 0),
  },
  'it has forgotten its scripts (NOSCRIPT)': {
    away: false,
    takeAway: ({ server }) => server.command('SCRIPT', 'FLUSH'),
    bringBack: nothing,
  },
  'it was restarted empty': {
    away: true,
    empties: true,
    takeAway: async ({ server }) => (await server.kill(), await server.restart({ from: 'empty' })),
    bringBack: nothing,
  },
  'it was restarted from an older snapshot': {
    away: true,
    takeAway: async ({ server }) => (await server.kill(), await server.restart({ from: 'snapshot' })),
    bringBack: nothing,
  },
  'the replies to its commands are lost after they were executed': {
    away: true,
    takeAway: ({ proxy }) => void proxy.loseReplyOf('EVALSHA', 6),
    bringBack: nothing,
  },
};

async function scene(fleet: Fleet): Promise<Scene & { a: Member }> {
  const server = await ownRedis(fleet);
  const proxy = await ownProxy(fleet, server);
  const a = await fleet.start({ proxy, domains, commandTimeoutMs: COMMAND_MS });
  await a.heard('l1-trust', { trusted: true });
  for (const target of [OFFER, RATE, BALANCE]) {
    for (let i = 0; i < 2; i++) await a.guard.getOrLoad(target, async () => 'old');
  }
  await server.snapshot();
  return { fleet, server, proxy, a };
}

/** Reads for so long, one after the other, in turns of the event loop of their own. */
async function keepReading(ms: number, read: () => Promise<Seen>): Promise<Seen[]> {
  const seen: Seen[] = [];
  const from = performance.now();
  for (; performance.now() - from < ms; await pause(PACE_MS)) seen.push(await read());
  return seen;
}

const noSource = (): Promise<never> => Promise.reject(new Error('no source either'));

const longest = (reads: readonly Seen[]): number => Math.max(0, ...reads.map(({ ms }) => ms));

describe('reads go on while Redis is there no more, or not as it should be', () => {
  for (const [what, trouble] of Object.entries(TROUBLES)) {
    promise(9, `${what}: reads are answered in time, and cached again after it`, REDIS, async (fleet) => {
      const { a, ...rest } = await scene(fleet);
      const cold = { domain: 'offers', key: 'cold' };
      const onceSettled = (error: unknown): Seen => {
        const states = a.all('store-state').map(({ state }) => state);
        if (!trouble.empties || !states.includes('away') || states.at(-1) !== 'up') throw error;
        return { value: undefined, state: 'uncached', ms: 0 };
      };
      await trouble.takeAway({ ...rest });
      const [offers, rates, failing, colds, balances] = await Promise.all([
        keepReading(1_200, () => see(a, OFFER)),
        keepReading(1_200, () => see(a, RATE)),
        keepReading(1_200, () => see(a, RATE, noSource).catch(onceSettled)),
        keepReading(1_200, () => see(a, cold)),
        keepReading(1_200, () => see(a, BALANCE)),
      ]);
      for (const reads of [offers, rates, failing]) expect(longest(reads)).toBeLessThan(SOFT_TIMEOUT_MS + SLACK_MS);
      for (const reads of [colds, balances]) expect(longest(reads)).toBeLessThan(BUDGET_MS + SLACK_MS);
      if (trouble.away) await a.heard('store-state', { state: 'away' });
      else expect(a.all('store-state', { state: 'away' })).toEqual([]);
      await trouble.bringBack({ ...rest });
      await areBack(a);
      const own = counted<unknown>(() => 'kept');
      await until(async () => {
        await a.guard.invalidate(BALANCE);
        const first = await a.guard.getOrLoad(BALANCE, own);
        return (await see(a, BALANCE, own)).state === 'fresh' && first === 'kept';
      }, 'a value that is cached again');
      for (const target of [OFFER, RATE, cold]) {
        await until(async () => (await see(a, target)).state === 'fresh', 'a fresh value');
      }
    });
  }
});

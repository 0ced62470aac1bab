import { Redis } from 'ioredis';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { uniqueNamespace } from '../support/namespace.js';
import { startFleet, type Fleet } from './support/fleet.js';
import { startOrigin, type Load, type Origin } from './support/origin.js';
import type { AppOptions } from './support/protocol.js';
import { sharedNow } from './support/time.js';

const PROCESSES = 8;
const KEYS = 5_000;
const CAP = 50;
const CONCURRENCY = 2;
const QUEUE = 20;
const WAIT_MS = 20_000;
const policy = {
  freshness: 'operational',
  softTtl: '5m',
  hardTtl: '5m',
  stalePolicy: 'never',
  maxLoadsPerSecond: CAP,
  bulkhead: { concurrency: CONCURRENCY, queue: QUEUE },
  waitBudget: WAIT_MS,
  loadTimeout: WAIT_MS,
} as const satisfies AppOptions['policy'];

let origin: Origin;
let fleet: Fleet;
let redis: RedisServer;
let namespace: string;
let watcher: Redis | undefined;

beforeAll(async () => {
  [origin, fleet, redis] = await Promise.all([startOrigin(), startFleet(PROCESSES), startRedis()]);
  origin.latencyMs = 20;
});

afterAll(async () => {
  expect(await fleet.stop(), 'processes that did not end by themselves').toEqual([]);
  watcher?.disconnect();
  await Promise.all([origin.close(), redis.stop()]);
});

/** How many processes have beaten since, by the server's time. */
async function beatenSince(client: Redis, us: number): Promise<number> {
  return client.zcount(`${namespace}:live`, us, '+inf');
}

async function serverTime(client: Redis): Promise<number> {
  const [seconds, micros] = await client.time();
  return Number(seconds) * 1e6 + Number(micros);
}

/** Boots everybody, and resolves when each has beaten since all of them had: then each knows its share of the rate. */
async function boot(url: string): Promise<void> {
  namespace = uniqueNamespace('flood');
  await fleet.boot({ origin: origin.url, policy, redis: { url }, namespace });
  watcher?.disconnect();
  watcher = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 });
  watcher.on('error', () => {});
  await watcher.connect();
  for (const since of [async () => 0, () => serverTime(watcher!)]) {
    const us = await since();
    while ((await beatenSince(watcher, us)) < PROCESSES) await pause(20);
  }
}

/** The smallest fleet that any process may have counted until `over`: who stands still for three seconds is taken for dead. */
async function fewestAlive(client: Redis, over: { yet: boolean }): Promise<number> {
  let fewest = PROCESSES;
  while (!over.yet && client.status === 'ready') {
    const alive = await serverTime(client)
      .then((us) => beatenSince(client, us - 3e6))
      .catch(() => fewest);
    fewest = Math.min(fewest, alive);
    await pause(50);
  }
  return fewest;
}

/** The most of these loads that ran at once. */
function mostAtOnce(loads: readonly Load[]): number {
  const steps = loads.flatMap(({ beganMs, endedMs }) => [
    { ms: beganMs, step: 1 },
    { ms: endedMs, step: -1 },
  ]);
  let running = 0;
  let most = 0;
  for (const { step } of steps.toSorted((a, b) => a.ms - b.ms || a.step - b.step)) {
    most = Math.max(most, (running += step));
  }
  return most;
}

function rateOf(loads: readonly Load[]): number {
  return Math.round((1_000 * loads.length) / (loads.at(-1)!.beganMs - loads[0]!.beganMs));
}

/** The most of these loads that came within any second. */
function mostPerSecond(loads: readonly Load[]): number {
  const times = loads.map(({ beganMs }) => beganMs).toSorted((a, b) => a - b);
  let most = 0;
  for (let from = 0, to = 0; to < times.length; to++) {
    while (times[to]! - times[from]! >= 1_000) from++;
    most = Math.max(most, to - from + 1);
  }
  return most;
}

interface Flood {
  readonly loads: readonly Load[];
  readonly values: number;
}

interface Keys {
  readonly prefix: string;
  readonly first: number;
}

/** Every process asks for all of its keys in one turn. */
async function flood(
  title: string,
  keysOf: (index: number) => Keys,
  meanwhile?: (over: { yet: boolean }) => Promise<void>,
): Promise<Flood> {
  const before = origin.all.length;
  const lateness = monitorEventLoopDelay({ resolution: 5 });
  lateness.enable();
  const over = { yet: false };
  const alive = fewestAlive(watcher!, over);
  const beganMs = sharedNow();
  const asked = fleet.all((member, index) => {
    const { prefix, first } = keysOf(index);
    return member.flood(prefix, first, KEYS);
  });
  void asked.finally(() => (over.yet = true)).catch(() => {});
  await meanwhile?.(over);
  const results = await asked;
  const tookMs = Math.round(sharedNow() - beganMs);
  lateness.disable();
  const fewest = await alive;
  const lateMs = Math.round(lateness.max / 1e6);

  const loads = origin.all.slice(before);
  const values = results.reduce((sum, result) => sum + result.values, 0);
  const codes: Record<string, number> = {};
  for (const result of results)
    for (const [code, count] of Object.entries(result.codes)) codes[code] = (codes[code] ?? 0) + count;
  const perSecond = mostPerSecond(loads);
  const perProcess = fleet.members.map(({ name }) => mostAtOnce(loads.filter((load) => load.process === name)));
  const longestMs = Math.round(Math.max(...results.map((result) => result.longestMs)));
  const figures = { loads: loads.length, perSecond, mean: rateOf(loads), atOnce: mostAtOnce(loads), perProcess };
  console.log(title, JSON.stringify({ ...figures, values, codes, longestMs, tookMs, fewest, lateMs }));

  const refused = Object.values(codes).reduce((sum, count) => sum + count, 0);
  expect(values + refused, 'everybody is answered').toBe(PROCESSES * KEYS);
  expect(Object.keys(codes).filter((code) => !['CG_OVERLOADED', 'CG_WAIT_TIMEOUT'].includes(code))).toEqual([]);
  expect(longestMs, 'the longest wait').toBeLessThan(WAIT_MS + 5_000);
  expect(Math.max(...perProcess), 'loads at once of one process').toBeLessThanOrEqual(CONCURRENCY);
  // Shares are spread evenly within each process, not between them: one more of each. As many as there are slots may be between their turn
  // and the origin when a process stands still; what comes while the origin itself is late seems to come at once.
  const slack = PROCESSES * (1 + CONCURRENCY) + (CAP * lateMs) / 1_000;
  // Who stood still for seconds may take more than his share until his next beat, a quarter of a second: all of them waking at once, half the
  // cap more within the second.
  const counted = fewest < PROCESSES ? 2 * CAP : CAP;
  expect(perSecond, 'loads within any second').toBeLessThanOrEqual(counted + slack);
  return { loads, values };
}

describe(`promise 9: ${PROCESSES} processes × ${KEYS} cold keys at once, ${CAP} loads per second`, () => {
  it('keys of their own: the source sees its cap, whoever finds no room is told', async () => {
    await boot(inject('redisUrl'));
    const { loads, values } = await flood('keys of their own:', (index) => ({ prefix: `own.${index}`, first: 0 }));
    expect(loads.length).toBeGreaterThan((PROCESSES * QUEUE) / 2);
    expect(values).toBeGreaterThan(loads.length * 0.8);
  });

  it('keys that others want as well: no turn is spent on what another process loads', async () => {
    await boot(inject('redisUrl'));
    const { loads, values } = await flood('shared keys:', (index) => ({ prefix: 'shared', first: index * 10 }));
    expect(values).toBeGreaterThan(loads.length * 1.2);
  });

  it('Redis dies in the middle: within the bulkheads and the shares as last known', async () => {
    await boot(redis.url);
    const before = origin.all.length;
    const killed = async (over: { yet: boolean }): Promise<void> => {
      while (!over.yet && origin.all.length < before + 30) await pause(5);
      await redis.kill();
    };
    const { loads } = await flood('Redis dies:', (index) => ({ prefix: `away.${index}`, first: 0 }), killed);
    expect(loads.length).toBeGreaterThan((PROCESSES * QUEUE) / 2);
    expect(await fleet.count({ type: 'store-state', state: 'away' })).toBeGreaterThanOrEqual(PROCESSES);
  });
});

import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { startOrigin, type Origin } from './support/origin.js';
import {
  BUDGET_MS,
  CONCURRENCY,
  figures,
  freshButOld,
  IDS,
  OutageFleet,
  ownButOld,
  percentile,
  readsOf,
  SOFT_TIMEOUT_MS,
  waitOf,
} from './support/outage.js';
import type { OutageReport, OutageWrite } from './support/outage-protocol.js';
import { sharedNow } from './support/time.js';

/** What a busy machine adds to a wait. */
const SLACK_MS = 300;

interface Outage {
  readonly writes: readonly OutageWrite[];
  readonly returnedMs: number;
  readonly upMs: number;
}

let origin: Origin;
let redis: RedisServer;
let fleet: OutageFleet;

beforeAll(async () => {
  origin = await startOrigin();
  origin.latencyMs = 20;
});

afterAll(() => origin.close());

afterEach(async () => {
  expect(await fleet.stop(), 'processes that did not end by themselves').toEqual([]);
  await redis.stop();
});

async function start(): Promise<void> {
  redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
  fleet = await OutageFleet.start(origin.url, { url: redis.url });
  // Every process has read every key twice.
  await pause(3_000);
}

/** Reads go on all the time; one process invalidates while Redis is away, and the source fails for a while. */
async function outage(
  from: number,
  begin: () => Promise<void>,
  end: () => Promise<void> | void,
  ms: number,
): Promise<Outage> {
  const beganMs = sharedNow();
  await begin();
  await fleet.state('away', beganMs);
  const [first, second] = [IDS.slice(from, from + 5), IDS.slice(from + 5, from + 10)];
  const writes = (await Promise.all([fleet.write(0, first), fleet.write(1, second)])).flat();
  expect(writes.every(({ pending }) => pending)).toBe(true);
  await pause(ms / 2);
  origin.failing = true;
  await pause(300);
  origin.failing = false;
  await pause(ms / 2);
  const returnedMs = sharedNow();
  await end();
  await fleet.state('up', returnedMs);
  const upMs = sharedNow();
  await pause(1_500);
  return { writes, returnedMs, upMs };
}

function judge(title: string, reports: readonly OutageReport[], all: readonly Outage[]): void {
  const away = all.map(({ returnedMs, upMs }) => `${Math.round(upMs - returnedMs)}`).join(', ');
  console.log(`${figures(title, reports)}\n  from the return to full use: ${away} ms`);
  const [offers, balances] = [readsOf(reports, 'offers'), readsOf(reports, 'balances')];
  const invalidated = new Set(all.flatMap(({ writes }) => writes.map(({ id }) => id)));
  const permitted = offers.filter(({ id }) => !invalidated.has(id));
  expect(permitted.filter(({ failure }) => failure !== undefined)).toEqual([]);
  expect(Math.max(...permitted.map(waitOf))).toBeLessThan(BUDGET_MS);
  expect(percentile(permitted.map(waitOf), 0.99)).toBeLessThan(SOFT_TIMEOUT_MS + SLACK_MS);
  expect(Math.max(...[...offers, ...balances].map(waitOf))).toBeLessThan(BUDGET_MS + SLACK_MS);
  // Without a permitted old value, a reader may be told that his time is over, or that the source fails.
  const failed = [...offers, ...balances].flatMap(({ failure }) => failure ?? []);
  expect(failed.filter((failure) => failure !== 'the origin failed' && failure !== 'CG_WAIT_TIMEOUT')).toEqual([]);
  expect(failed.filter((failure) => failure === 'CG_WAIT_TIMEOUT').length).toBeLessThan(balances.length / 100);
  for (const { mostAtOnce } of reports) {
    for (const most of Object.values(mostAtOnce)) expect(most).toBeLessThanOrEqual(CONCURRENCY);
  }
  for (const { writes, returnedMs, upMs } of all) {
    expect(freshButOld([...offers, ...balances], writes, returnedMs)).toEqual([]);
    expect(ownButOld([...offers, ...balances], writes, returnedMs)).toEqual([]);
    const strict = balances.filter(({ startedMs, failure }) => startedMs > upMs && failure === undefined);
    expect(strict.length).toBeGreaterThan(100);
    for (const { id, version } of writes) {
      expect(strict.filter((read) => read.id === id && read.version! < version)).toEqual([]);
    }
  }
  for (const { pending, carriedOut } of reports) expect(carriedOut).toBe(pending);
}

describe('promise 9: four processes read 400 times a second while Redis goes away and comes back', () => {
  it('killed, and back with its data, then from an older snapshot', async () => {
    await start();
    await redis.snapshot();
    const kill = (): Promise<void> => redis.kill();
    const first = await outage(0, kill, () => redis.restart(), 1_500);
    const second = await outage(10, kill, () => redis.restart({ from: 'snapshot' }), 1_500);
    judge('killed twice', await fleet.reports(), [first, second]);
  });

  it('hanging for five seconds', async () => {
    await start();
    const hang = await outage(
      20,
      () => redis.pause(),
      () => redis.resume(),
      4_200,
    );
    judge('hanging for 5 s', await fleet.reports(), [hang]);
  });
});

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { staleReads, tally } from './support/facts.js';
import { Fleet, joined, readsOf, startFleet } from './support/fleet.js';
import { startOrigin, type Origin } from './support/origin.js';
import type { AppOptions, WriteMethod } from './support/protocol.js';

const policy: AppOptions['policy'] = {
  freshness: 'operational',
  softTtl: '5m',
  hardTtl: '5m',
  stalePolicy: 'never',
  lease: { duration: '20s' },
  loadTimeout: '20s',
};

let origin: Origin;
let fleet: Fleet;

beforeAll(async () => {
  [origin, fleet] = await Promise.all([startOrigin(), startFleet(8)]);
});

afterAll(async () => {
  expect(await fleet.stop(), 'processes that did not end by themselves').toEqual([]);
  await origin.close();
});

describe.each([
  { store: 'one Redis', label: 'one', redis: () => ({ url: inject('redisUrl') }) },
  { store: 'three masters', label: 'three', redis: () => ({ cluster: inject('clusterNodes') }) },
])('promise 13 on $store: two namespaces', ({ label, redis }) => {
  it('share neither values, nor leases, nor invalidations', async () => {
    const theirOrigin = await startOrigin();
    const [ours, theirs] = [new Fleet(fleet.members.slice(0, 4)), new Fleet(fleet.members.slice(4))];
    await Promise.all([
      ours.boot({ origin: origin.url, policy, redis: redis() }),
      theirs.boot({ origin: theirOrigin.url, policy, redis: redis() }),
    ]);
    const id = `same.${label}`;
    for (let version = 1; version < 10; version++) theirOrigin.bump(id);

    // Ours is being loaded: they neither wait for it nor get it.
    origin.hold(id);
    const crowd = await ours.launch(id, 10);
    const load = await origin.next(id);
    expect(tally((await theirs.read(id, 10)).map(({ version }) => version))).toEqual({ 10: 40 });
    await load.release();
    expect(tally(readsOf([await crowd.answers()]).map(({ version }) => version))).toEqual({ 1: 40 });
    origin.open(id);

    for (const [index, method] of (['write', 'writeBook', 'writeAll'] as WriteMethod[]).entries()) {
      await ours.at(index).write(method, id);
      expect(tally((await ours.read(id)).map(({ version }) => version))).toEqual({ [2 + index]: 4 });
      expect(tally((await theirs.read(id)).map(({ state, version }) => `${state} ${version}`))).toEqual({
        'fresh 10': 4,
      });
    }
    expect(origin.loads(id).length).toBe(4);
    expect(theirOrigin.loads(id).length).toBe(1);
    await theirOrigin.close();
  });
});

describe('promises 1 to 3: FLUSHALL', () => {
  /** Who waits for a lease that is flushed away is told by nobody, and looks again when it would have ended. */
  const flushable: AppOptions['policy'] = { ...policy, lease: { duration: '400ms' } };
  let redis: RedisServer;

  beforeAll(async () => {
    redis = await startRedis();
  });

  afterAll(() => redis.stop());

  it('makes one load per key in the fleet where none was in flight', async () => {
    await fleet.boot({ origin: origin.url, policy, redis: { url: redis.url } });
    origin.latencyMs = 5;
    const ids = Array.from({ length: 10 }, (_, number) => `flush.${number}`);
    for (let flushes = 0; flushes < 4; flushes++) {
      const crowds = await Promise.all(ids.map((id) => fleet.launch(id, 10)));
      for (const [index, id] of ids.entries()) {
        const reads = readsOf([await crowds[index]!.answers()]);
        expect(tally(reads.map(({ version }) => version))).toEqual({ [origin.truth(id)]: 80 });
        expect(origin.loads(id).length, `loads of ${id} after ${flushes} flushes`).toBe(1 + flushes);
        origin.bump(id);
      }
      await redis.command('FLUSHALL');
    }
  });

  it('in mid-load: the load is refused if it is older than a write, and no process makes more than one', async () => {
    await fleet.boot({ origin: origin.url, policy: flushable, redis: { url: redis.url } });
    origin.latencyMs = 2;
    const methods: (WriteMethod | undefined)[] = ['write', 'writeBook', 'writeAll', undefined];
    for (let round = 0; round < 8; round++) {
      const id = `mid.${round}`;
      const holder = fleet.at(round);
      origin.hold(id);
      const crowds = [await holder.launch(id, 10)];
      const load = await origin.next(id);
      origin.open(id);
      const method = methods[round % 4];
      if (method) {
        await fleet.at(round + 1).write(method, id);
      } else {
        // What is in flight is right, though its lease is gone; everybody waits for it.
        crowds.push(await fleet.launch(id, 5));
        const others = fleet.except(holder);
        await others.all((member) => member.seen({ type: 'lease', outcome: 'refused', id }));
      }
      await redis.command('FLUSHALL');
      const after = await fleet.launch(id, 5);
      await load.release();

      expect(readsOf([await joined(crowds).answers()]).length).toBe(method ? 10 : 50);
      expect(tally(readsOf([await after.answers()]).map(({ version }) => version))).toEqual({ [origin.truth(id)]: 40 });
      expect(tally((await fleet.read(id)).map(({ version }) => version))).toEqual({ [origin.truth(id)]: 8 });
      const perProcess = tally(origin.loads(id).map(({ process }) => process));
      perProcess[holder.name] = perProcess[holder.name]! - 1;
      expect(Math.max(...Object.values(perProcess)), `loads of ${id} after the flush`).toBeLessThanOrEqual(1);
    }
  });

  it('under load, writes and all: nobody gets a wrong value', async () => {
    await fleet.boot({ origin: origin.url, policy: flushable, redis: { url: redis.url } });
    origin.latencyMs = 10;
    const ids = ['a', 'b', 'c', 'd'].map((name) => `load.${name}`);
    const [first, second, ...readers] = fleet.members;
    const writing = [
      first!.writeLoop({ ids, method: 'write', pauseMs: 7 }),
      second!.writeLoop({ ids, method: 'writeBook', pauseMs: 11 }),
    ];
    const reading = readers.map((member) => member.readLoop({ ids, readers: 8, pauseMs: 1 }));
    for (let flushes = 0; flushes < 15; flushes++) {
      await redis.command('FLUSHALL');
      // Every key is loaded anew, then it goes again.
      await Promise.all(ids.map((id) => origin.next(id)));
    }
    await fleet.all((member) => member.stopLoops());
    const writes = (await Promise.all(writing)).flat();
    const reads = readsOf(await Promise.all(reading));
    expect(reads.length).toBeGreaterThan(100);
    expect(staleReads(reads, writes)).toEqual([]);
    expect(await fleet.count({ type: 'invalidation', outcome: 'failed' })).toBe(0);
    for (const id of ids) {
      expect(tally((await fleet.read(id)).map(({ version }) => version))).toEqual({ [origin.truth(id)]: 8 });
    }
  });
});

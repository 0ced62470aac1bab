import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { tally } from './support/facts.js';
import { startFleet, type Fleet } from './support/fleet.js';
import { startOrigin, type Origin } from './support/origin.js';
import type { AppOptions } from './support/protocol.js';

const PROCESSES = 8;
const READERS = 100;
const CROWD = PROCESSES * READERS;
const policy: AppOptions['policy'] = {
  freshness: 'operational',
  softTtl: '1m',
  hardTtl: '1m',
  stalePolicy: 'never',
};

const stores = [
  { store: 'one Redis', label: 'one', redis: () => ({ url: inject('redisUrl') }) },
  { store: 'three masters', label: 'three', redis: () => ({ cluster: inject('clusterNodes') }) },
];

let origin: Origin;
let fleet: Fleet;

beforeAll(async () => {
  [origin, fleet] = await Promise.all([startOrigin(), startFleet(PROCESSES)]);
});

afterAll(async () => {
  expect(await fleet.stop(), 'processes that did not end by themselves').toEqual([]);
  await origin.close();
});

/** The whole fleet wants one cold key; its load is answered when everybody has come. */
async function heldCrowd(id: string): Promise<Record<string, number>> {
  origin.hold(id);
  const crowd = await fleet.launch(id, READERS);
  const load = await origin.next(id);
  await fleet.except(fleet.named(load.process)).all((member) => member.seen({ type: 'lease', outcome: 'refused', id }));
  await load.release();
  const { reads, failures } = await crowd.answers();
  expect(failures).toEqual([]);
  return tally(reads.map((read) => read.load));
}

/** The whole fleet wants one cold key while its load comes and goes as fast as it may. */
async function freeCrowd(id: string): Promise<Record<string, number>> {
  const { reads, failures } = await (await fleet.launch(id, READERS)).answers();
  expect(failures).toEqual([]);
  return tally(reads.map((read) => read.load));
}

function expectOneLoad(id: string, given: Record<string, number>): void {
  const loads = origin.loads(id);
  expect(loads.length, `loads of ${id}`).toBe(1);
  expect(given).toEqual({ [loads[0]!.number]: CROWD });
}

describe.each(stores)('promise 1 on $store: 8 processes × 100 readers on a cold key', ({ label, redis }) => {
  beforeAll(() => fleet.boot({ origin: origin.url, policy, redis: redis() }));

  it('make one load, however long it takes, and all 800 get its value', async () => {
    for (let round = 0; round < 4; round++) {
      const id = `held.${label}.${round}`;
      expectOneLoad(id, await heldCrowd(id));
    }
  });

  it('make one load, however the crowd and the load come together', async () => {
    for (let round = 0; round < 6; round++) {
      origin.latencyMs = [0, 3, 25][round % 3]!;
      const id = `free.${label}.${round}`;
      expectOneLoad(id, await freeCrowd(id));
    }
  });

  it('make one load for each of 20 keys at once', async () => {
    origin.latencyMs = 5;
    const ids = Array.from({ length: 20 }, (_, number) => `many.${label}.${number}`);
    const crowds = await Promise.all(ids.map((id) => fleet.launch(id, 10)));
    const answers = await Promise.all(crowds.map((crowd) => crowd.answers()));
    for (const [index, id] of ids.entries()) {
      const loads = origin.loads(id);
      expect(loads.length, `loads of ${id}`).toBe(1);
      expect(tally(answers[index]!.reads.map((read) => read.load))).toEqual({ [loads[0]!.number]: PROCESSES * 10 });
    }
  });
});

describe.each(stores)(
  'promise 1 on $store: a hot key past its soft TTL, 8 processes × 50 readers',
  ({ label, redis }) => {
    const softTtlMs = 400;

    beforeAll(() => {
      const stale = { softTtl: softTtlMs, hardTtl: '10m', stalePolicy: 'while-revalidate', jitter: 0 } as const;
      return fleet.boot({ origin: origin.url, policy: { freshness: 'experience', ...stale }, redis: redis() });
    });

    it('nobody waits for the refresh, and there is one for each expiry', async () => {
      const ids = Array.from({ length: 4 }, (_, number) => `hot.${label}.${number}`);
      await Promise.all(ids.map((id) => fleet.at(0).read(id)));
      await Promise.all(ids.map((id) => origin.next(id)));
      origin.hold(...ids);
      for (let expiry = 1; expiry <= 3; expiry++) {
        // Each process knows the time of the store a little differently.
        await Promise.all(ids.map((id) => fleet.all((member) => member.expired(id))));
        for (const id of ids) {
          origin.bump(id);
          // Two crowds are answered while the refresh that they caused is held.
          for (let crowd = 0; crowd < 2; crowd++) {
            const { reads, failures } = await (await fleet.launch(id, 50)).answers();
            expect(failures).toEqual([]);
            expect(tally(reads.map(({ state, version }) => `${state} ${version}`))).toEqual({
              [`stale ${expiry}`]: 400,
            });
          }
          const refresh = await origin.next(id);
          const holder = fleet.named(refresh.process);
          await fleet.except(holder).all((member) => member.seen({ type: 'lease', outcome: 'refused', id }));
          expect(origin.loads(id).length, `loads of ${id} after ${expiry} expiries`).toBe(1 + expiry);
          const accepted = await holder.count({ type: 'accepted', id });
          await refresh.release();
          await holder.seen({ type: 'accepted', id }, accepted + 1);
        }
      }
    });

    it('nor while everybody reads on and on', async () => {
      const id = `hot.${label}.on`;
      origin.latencyMs = 40;
      await fleet.at(0).read(id);
      const reading = fleet.all((member) => member.readLoop({ ids: [id], readers: 50, pauseMs: 25 }));
      const refreshes = await origin.nexts(id, 6);
      await fleet.all((member) => member.stopLoops());
      const answers = await reading;
      expect(answers.flatMap(({ failures }) => failures)).toEqual([]);
      const states = tally(answers.flatMap(({ reads }) => reads.map(({ state }) => state)));
      expect(Object.keys(states).filter((state) => state !== 'fresh' && state !== 'stale')).toEqual([]);
      expect(origin.mostConcurrent(id)).toBe(1);
      // A second refresh of one expiry would come right after the first.
      for (const [index, { beganMs }] of refreshes.entries()) {
        if (index > 0) expect(beganMs - refreshes[index - 1]!.beganMs).toBeGreaterThan(softTtlMs / 2);
      }
    });
  },
);

it('control: without the guard the same crowd makes 800 loads', async () => {
  await fleet.boot({ origin: origin.url, policy, redis: { url: inject('redisUrl') }, guarded: false });
  origin.latencyMs = 5;
  await freeCrowd('control');
  expect(origin.loads('control').length).toBe(CROWD);
  expect(() => expectOneLoad('control', {})).toThrow();
});

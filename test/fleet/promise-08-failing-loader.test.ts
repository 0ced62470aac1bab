import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { tally } from './support/facts.js';
import { startFleet, type Fleet } from './support/fleet.js';
import { startOrigin, type Origin } from './support/origin.js';
import type { AppOptions } from './support/protocol.js';

const PROCESSES = 8;
const READERS = 50;

let origin: Origin;
let fleet: Fleet;

beforeAll(async () => {
  [origin, fleet] = await Promise.all([startOrigin(), startFleet(PROCESSES)]);
});

afterAll(async () => {
  expect(await fleet.stop(), 'processes that did not end by themselves').toEqual([]);
  await origin.close();
});

function boot(policy: AppOptions['policy'], redis: AppOptions['redis']): Promise<void> {
  return fleet.boot({ origin: origin.url, policy, ...(redis && { redis }) });
}

/** Somebody loads it, then it is stale in all processes. */
async function makeStale(id: string): Promise<void> {
  await fleet.at(0).read(id);
  await origin.next(id);
  await fleet.at(1).invalidate(id, 'expire');
}

describe.each([
  { store: 'one Redis', label: 'one', redis: () => ({ url: inject('redisUrl') }) },
  { store: 'three masters', label: 'three', redis: () => ({ cluster: inject('clusterNodes') }) },
])('promise 8 on $store: the origin fails, 8 processes × 50 readers', ({ label, redis }) => {
  it('of a cold key: each gets the error of its process, waiters are released together, one load per process', async () => {
    // A lease that is much longer than the test: who is released is released by the failure.
    const strict = { softTtl: '1m', hardTtl: '1m', stalePolicy: 'never', lease: { duration: '30s' } } as const;
    await boot({ freshness: 'operational', ...strict, loadTimeout: '30s' }, redis());
    for (let round = 0; round < 5; round++) {
      const id = `cold.${label}.${round}`;
      origin.hold(id);
      const crowd = await fleet.launch(id, READERS);
      const first = await origin.next(id);
      const others = fleet.except(fleet.named(first.process));
      await others.all((member) => member.seen({ type: 'lease', outcome: 'refused', id }));
      await first.release('fail');

      // All others load at once, not one after the other: none of these loads ends before the last has come.
      const second = await origin.nexts(id, PROCESSES - 1);
      expect(new Set(second.map((load) => load.process)).size).toBe(PROCESSES - 1);
      await Promise.all(second.map((load) => load.release('fail')));

      const { reads, failures } = await crowd.answers();
      expect(reads).toEqual([]);
      const messages = [first, ...second].map(
        ({ number, process }) => `${process}: the origin failed (load ${number})`,
      );
      expect(tally(failures.map((failed) => `${failed.process}: ${failed.message}`))).toEqual(
        Object.fromEntries(messages.map((message) => [message, READERS])),
      );
      expect(new Set(failures.map(({ instance }) => instance)), 'error objects per process').toEqual(new Set([0]));
      expect(origin.loads(id).length).toBe(PROCESSES);

      // Nothing of it is kept.
      origin.open(id);
      const made = origin.loads(id).length;
      expect((await fleet.read(id, 5)).map(({ load }) => load)).toEqual(
        Array(40).fill(origin.loads(id).at(-1)!.number),
      );
      expect(origin.loads(id).length).toBe(made + 1);
    }
  });

  it('where the old value is permitted at once: nobody notices, and the load is not tried again for a while', async () => {
    const backoff = { base: '30s', max: '60s' } as const;
    await boot({ freshness: 'experience', stalePolicy: 'while-revalidate', backoff, l1: false }, redis());
    const id = `behind.${label}`;
    await makeStale(id);
    origin.hold(id);
    const first = await (await fleet.launch(id, READERS)).answers();
    await (await origin.next(id)).release('fail');
    // They read on until every process has been told to leave the origin alone.
    const reading = fleet.all((member) => member.readLoop({ ids: [id], readers: 5, pauseMs: 5 }));
    await fleet.all((member) => member.seen({ type: 'lease', outcome: 'backing-off', id }));
    await fleet.all((member) => member.stopLoops());
    const then = await (await fleet.launch(id, READERS)).answers();
    for (const { reads, failures } of [first, ...(await reading), then]) {
      expect(failures).toEqual([]);
      expect(tally(reads.map(({ state }) => state))).toEqual({ stale: reads.length });
    }
    expect(origin.loads(id).length).toBe(2);
  });

  it('where the old value stands in for a failure: everybody gets it, after one load', async () => {
    const backoff = { base: '30s', max: '60s' } as const;
    const patient = { softTimeout: '20s', loadTimeout: '30s', lease: { duration: '30s' } } as const;
    await boot({ freshness: 'experience', stalePolicy: 'if-error', backoff, ...patient, l1: false }, redis());
    const id = `instead.${label}`;
    await makeStale(id);
    origin.hold(id);
    const crowd = await fleet.launch(id, READERS);
    const load = await origin.next(id);
    await fleet
      .except(fleet.named(load.process))
      .all((member) => member.seen({ type: 'lease', outcome: 'refused', id }));
    await load.release('fail');
    for (const { reads, failures } of [await crowd.answers(), await (await fleet.launch(id, READERS)).answers()]) {
      expect(failures).toEqual([]);
      expect(tally(reads.map(({ state }) => state))).toEqual({ stale: PROCESSES * READERS });
    }
    expect(origin.loads(id).length).toBe(2);
  });
});

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { tally } from './support/facts.js';
import { Fleet, readsOf, startFleet, startMember, type Member } from './support/fleet.js';
import { startOrigin, type Origin } from './support/origin.js';
import { sharedNow } from './support/time.js';

const LEASE_MS = 800;
/** For the re-check's jitter, and for a machine that has other things to do. */
const PATIENCE_MS = 700;

let origin: Origin;
let fleet: Fleet;
let victims: Member[];

beforeAll(async () => {
  [origin, fleet, victims] = await Promise.all([
    startOrigin(),
    startFleet(3),
    Promise.all(['v1', 'v2', 'v3', 'v4'].map(startMember)),
  ]);
});

afterAll(async () => {
  await new Fleet(victims).kill();
  expect(await fleet.stop(), 'processes that did not end by themselves').toEqual([]);
  await origin.close();
});

describe('promise 7: a holder that is killed in mid-load', () => {
  it.each([
    { store: 'one Redis', redis: () => ({ url: inject('redisUrl') }) },
    { store: 'three masters', redis: () => ({ cluster: inject('clusterNodes') }) },
  ])('costs cold readers at most one lease, and one further load ($store)', async ({ store, redis }) => {
    const victim = victims.shift()!;
    await new Fleet([...fleet.members, victim]).boot({
      origin: origin.url,
      redis: redis(),
      policy: {
        freshness: 'operational',
        softTtl: '1m',
        hardTtl: '1m',
        stalePolicy: 'never',
        lease: { duration: LEASE_MS },
      },
    });
    const ids = Array.from({ length: 5 }, (_, number) => `cold.${store[0]}.${number}`);
    origin.hold(...ids);
    await Promise.all(ids.map((id) => victim.launch(id, 5)));
    const lost = await Promise.all(ids.map((id) => origin.next(id)));
    const crowds = await Promise.all(ids.map((id) => fleet.launch(id, 20)));
    await Promise.all(ids.map((id) => fleet.all((member) => member.seen({ type: 'lease', outcome: 'refused', id }))));

    const killedMs = sharedNow();
    await victim.worker.kill();
    for (const [index, id] of ids.entries()) {
      const load = await origin.next(id);
      expect(load.beganMs - killedMs, 'from the death to the next load').toBeLessThan(LEASE_MS + PATIENCE_MS);
      await load.release();
      const reads = readsOf([await crowds[index]!.answers()]);
      expect(tally(reads.map((read) => read.load))).toEqual({ [load.number]: 60 });
      expect(origin.loads(id).length).toBe(2);
      expect(lost[index]!.outcome).toBe('gone');
    }
  });

  it.each([
    { store: 'one Redis', redis: () => ({ url: inject('redisUrl') }) },
    { store: 'three masters', redis: () => ({ cluster: inject('clusterNodes') }) },
  ])('costs nothing to readers who may have the old value, and one further load ($store)', async ({ store, redis }) => {
    const victim = victims.shift()!;
    await new Fleet([...fleet.members, victim]).boot({
      origin: origin.url,
      redis: redis(),
      policy: { freshness: 'experience', stalePolicy: 'while-revalidate', lease: { duration: LEASE_MS } },
    });
    const id = `hot.${store[0]}`;
    await victim.read(id);
    origin.bump(id);
    await victim.invalidate(id, 'expire');

    origin.hold(id);
    await origin.next(id);
    expect((await victim.read(id)).map(({ state }) => state)).toEqual(['stale']);
    const refresh = await origin.next(id);
    expect(refresh.process).toBe(victim.name);
    await victim.worker.kill();

    // Nobody waits while the dead process has the lease, nor for the refresh that follows.
    const reading = fleet.all((member) => member.readLoop({ ids: [id], readers: 10, pauseMs: 20 }));
    const next = await origin.next(id);
    await fleet.read(id, 5);
    expect(next.outcome).toBe('running');
    await next.release();
    await fleet.named(next.process).seen({ type: 'accepted', id });
    await fleet.all((member) => member.stopLoops());
    const reads = readsOf(await reading);
    expect(tally(reads.map(({ state }) => state))).not.toHaveProperty('loaded');
    expect(tally((await fleet.read(id)).map(({ version, state }) => `${state} ${version}`))).toEqual({ 'fresh 2': 3 });
    expect(origin.loads(id).length).toBe(3);
    expect(origin.mostConcurrent(id)).toBe(1);
  });
});

import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { backwardHits, loadsWaitedFor, longestChain, staleReads, tally } from './support/facts.js';
import { joined, readsOf, startFleet, type Fleet, type Member } from './support/fleet.js';
import { startOrigin, type Origin } from './support/origin.js';
import type { AppOptions, ReadRecord, WriteMethod } from './support/protocol.js';

const policy: AppOptions['policy'] = {
  freshness: 'operational',
  softTtl: '1m',
  hardTtl: '1m',
  stalePolicy: 'never',
  lease: { duration: '20s' },
  loadTimeout: '20s',
  bulkhead: { concurrency: 64 },
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

function versions(reads: readonly ReadRecord[]): Record<string, number> {
  return tally(reads.map(({ version }) => version));
}

const stores = [
  { store: 'one Redis', label: 'one', rounds: 10, redis: () => ({ url: inject('redisUrl') }) },
  { store: 'three masters', label: 'three', rounds: 5, redis: () => ({ cluster: inject('clusterNodes') }) },
];

const crossings = stores.flatMap((store) => [
  { what: 'a write of its key', method: 'write' as WriteMethod, ...store, rounds: 2 * store.rounds },
  { what: 'a write of its tag', method: 'writeBook' as WriteMethod, ...store },
  { what: 'a write of its domain', method: 'writeAll' as WriteMethod, ...store },
]);

describe.each(crossings)('promises 2 and 3 on $store: loads crossed by $what', ({ method, rounds, label, redis }) => {
  beforeAll(() => fleet.boot({ origin: origin.url, policy, redis: redis() }));

  const idOf = (kind: string, round: number): string => `${kind}.${method}.${label}.${round}`;

  it(`never give the old value to anybody who came after (${rounds} loads)`, async () => {
    origin.latencyMs = 2;
    for (let round = 0; round < rounds; round++) {
      const id = idOf('x', round);
      const [holder, writer] = [fleet.at(round), fleet.at(round + 3)];
      origin.hold(id);
      const before = [await holder.launch(id, 5)];
      const crossed = await origin.next(id);
      // They came while the load ran: in the holder's own process they join it, elsewhere they wait for it.
      before.push(await fleet.launch(id, 5));
      await fleet.except(holder).all((member) => member.seen({ type: 'lease', outcome: 'refused', id }));
      origin.open(id);

      const written = await writer.write(method, id);
      const after = await fleet.launch(id, 5);
      // The old value arrives before the new one in half of the rounds, and after it in the others.
      if (round % 2 === 0) await crossed.release();
      const late = readsOf([await after.answers()]);
      await crossed.release();
      const early = readsOf([await joined(before).answers()]);

      expect(staleReads([...early, ...late], [written]), `stale reads of ${id}`).toEqual([]);
      expect(versions(late)).toEqual({ 2: 40 });
      expect(early.length).toBe(45);
      for (const read of [...early, ...late]) expect(loadsWaitedFor(read, origin.loads(id))).toBeLessThanOrEqual(2);
      // The crossed load, and at most one in each process for those who would not wait a second time for another one's.
      const made = origin.loads(id).length;
      expect(made).toBeLessThanOrEqual(1 + fleet.members.length);

      // Whatever came last, what is cached now is the truth, and it is cached.
      expect(await holder.count({ type: 'fenced', id })).toBeGreaterThan(0);
      expect(versions(await fleet.read(id))).toEqual({ 2: 8 });
      expect(origin.loads(id).length, `loads of ${id} after the crossing was over`).toBe(made);
    }
  });

  it('answer everybody with the second load that he waits for, though it is crossed too', async () => {
    for (let round = 0; round < 4; round++) {
      const id = idOf('xx', round);
      const [holder, other, writer] = [fleet.at(round), fleet.at(round + 1), fleet.at(round + 2)];
      origin.hold(id);
      const starter = await holder.launch(id, 1);
      const first = await origin.next(id);
      const waiting = joined([await holder.launch(id, 5), await other.launch(id, 5)]);
      await other.seen({ type: 'lease', outcome: 'refused', id });

      // The first load is void: who waits for it is told, and both processes load anew while it still runs.
      await writer.write(method, id);
      const second = await origin.nexts(id, 2);
      expect(second.map(({ process }) => process).toSorted()).toEqual([holder.name, other.name].toSorted());

      // So are the second ones; but everybody came before they began.
      await writer.write(method, id);
      await Promise.all(second.map((load) => load.release()));
      const reads = readsOf([await waiting.answers()]);
      expect(versions(reads)).toEqual({ 2: 10 });
      expect(first.outcome).toBe('running');
      expect(origin.loads(id).length).toBe(3);

      origin.open(id);
      await first.release();
      await starter.answers();
      expect(versions(await fleet.read(id))).toEqual({ 3: 8 });
    }
  });
});

describe('promise 3: a process that hears no messages', () => {
  let proxy: TcpProxy;

  afterEach(() => proxy.stop());

  it.each<WriteMethod>(['write', 'writeBook', 'writeAll'])('learns of %s when it commits', async (method) => {
    const redis = { url: inject('redisUrl') };
    proxy = await startProxy(Number(new URL(redis.url).port));
    await fleet.boot({ origin: origin.url, policy: { ...policy, lease: { duration: '500ms' } }, redis });
    const [deaf, writer] = fleet.members as [Member, Member];
    const deafness = proxy.holdRequest((request) => /\bsubscribe\b/i.test(request.toString('latin1')));
    await fleet.bootOne(deaf, { redis: { url: proxy.url } });
    expect(deafness.count).toBe(1);
    origin.latencyMs = 0;

    for (let round = 0; round < 5; round++) {
      const id = `deaf.${method}.${round}`;
      origin.hold(id);
      const early = await deaf.launch(id, 5);
      const crossed = await origin.next(id);
      origin.open(id);
      const written = await writer.write(method, id);
      const late = await deaf.launch(id, 5);
      await crossed.release();
      expect(versions(readsOf([await early.answers()]))).toEqual({ 1: 5 });
      expect(versions(readsOf([await late.answers()]))).toEqual({ 2: 5 });
      expect(await deaf.count({ type: 'fenced', id })).toBe(1);
      expect(versions(await fleet.read(id))).toEqual({ [written.version]: 8 });
      expect(origin.loads(id).length).toBe(2);
    }

    // Nor does anybody wake it when another process has loaded: it looks by itself when the lease ends.
    const id = `deaf.${method}.waits`;
    origin.hold(id);
    const holding = await writer.launch(id, 1);
    const load = await origin.next(id);
    const waiting = await deaf.launch(id, 5);
    await deaf.seen({ type: 'lease', outcome: 'refused', id });
    await load.release();
    expect(versions(readsOf([await joined([holding, waiting]).answers()]))).toEqual({ 1: 6 });
    expect(origin.loads(id).length).toBe(1);
  });
});

describe.each(stores)('promise 3 on $store: invalidations that come faster than loads', ({ label, rounds, redis }) => {
  beforeAll(() => fleet.boot({ origin: origin.url, policy, redis: redis() }));

  it.each<WriteMethod>(['write', 'writeBook', 'writeAll'])(
    'by %s: every reader is answered after at most two loads, and never with the old value',
    async (method) => {
      const id = `storm.${method}.${label}`;
      origin.latencyMs = 60;
      const [writer, ...rest] = fleet.members;
      const readers = rest.slice(0, 4);
      const writing = writer!.writeLoop({ ids: [id], method, pauseMs: 3 });
      const answers = await Promise.all(
        readers.map((member) => member.readLoop({ ids: [id], readers: 20, times: rounds })),
      );
      await writer!.stopLoops();
      const writes = await writing;
      const reads = readsOf(answers);
      const loads = origin.loads(id);

      expect(reads.length).toBe(4 * 20 * rounds);
      expect(staleReads(reads, writes)).toEqual([]);
      expect(reads.filter((read) => loadsWaitedFor(read, loads) > 2)).toEqual([]);
      // It was a storm: more writes than loads could run one after the other.
      expect(writes.length).toBeGreaterThan(2 * longestChain(loads));

      // And when it is over, the truth is cached.
      origin.latencyMs = 0;
      const { version } = writes.at(-1)!;
      expect(origin.truth(id)).toBe(version);
      expect(versions(await fleet.read(id, 5))).toEqual({ [version]: 40 });
      const made = origin.loads(id).length;
      expect(versions(await fleet.read(id, 5))).toEqual({ [version]: 40 });
      expect(origin.loads(id).length).toBe(made);
    },
  );

  it('promise 11: with versions, what is cached never goes back', async () => {
    const ids = ['a', 'b', 'c'].map((name) => `versions.${name}.${label}`);
    origin.latencyMs = 4;
    const [writer, ...readers] = fleet.members;
    const writing = writer!.writeLoop({ ids, method: 'write', pauseMs: 5 });
    const answers = await Promise.all(
      readers.map((member) => member.readLoop({ ids, readers: 5, times: 60, method: 'readVersioned' })),
    );
    await writer!.stopLoops();
    const reads = readsOf(answers);
    expect(staleReads(reads, await writing)).toEqual([]);
    expect(reads.filter(({ state }) => state === 'fresh').length).toBeGreaterThan(0);
    expect(backwardHits(reads)).toEqual([]);
  });

  it('promise 11: what a lagging replica gives is refused, also after a removal', async () => {
    const id = `lagging.${label}`;
    const [first, writer, second, third] = fleet.members as [Member, Member, Member, Member];
    for (let version = 1; version < 5; version++) origin.bump(id);
    origin.latencyMs = 0;
    expect(versions(await first.read(id, 1, 'readVersioned'))).toEqual({ 5: 1 });
    await writer.invalidate(id, 'remove', 'versioned');
    origin.lagging = true;
    // Their own loads give them what there is; it is not kept for anybody else.
    for (const [index, member] of [second, third].entries()) {
      expect(versions(await member.read(id, 1, 'readVersioned'))).toEqual({ 4: 1 });
      expect(await member.count({ type: 'fenced', reason: 'version', id })).toBe(1);
      expect(origin.loads(id).length).toBe(2 + index);
    }
    origin.lagging = false;
    expect(versions(await fleet.read(id, 5, 'readVersioned'))).toEqual({ 5: 40 });
    expect(origin.loads(id).length).toBe(4);
  });
});

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { sendCommand } from '../support/resp.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { tally } from './support/facts.js';
import { joined, readsOf, startFleet, type Fleet, type Member } from './support/fleet.js';
import { startOrigin, type Load, type Origin } from './support/origin.js';
import type { AppOptions, ReadRecord, WriteMethod } from './support/protocol.js';

const LEASE_MS = 400;
const policy: AppOptions['policy'] = {
  freshness: 'operational',
  softTtl: '1m',
  hardTtl: '1m',
  stalePolicy: 'never',
  lease: { duration: LEASE_MS },
};

let origin: Origin;
let fleet: Fleet;

beforeAll(async () => {
  [origin, fleet] = await Promise.all([startOrigin(), startFleet(4)]);
});

afterAll(async () => {
  expect(await fleet.stop(), 'processes that did not end by themselves').toEqual([]);
  await origin.close();
});

beforeEach(() => {
  origin.rebuildsAt = 'begin';
});

function versions(reads: readonly ReadRecord[]): Record<string, number> {
  return tally(reads.map(({ version }) => version));
}

const stores = [
  {
    store: 'one Redis',
    label: 'one',
    methods: ['write', 'writeBook', 'writeAll'] as WriteMethod[],
    redis: () => ({ url: inject('redisUrl') }),
  },
  {
    store: 'three masters',
    label: 'three',
    methods: ['writeBook'] as WriteMethod[],
    redis: () => ({ cluster: inject('clusterNodes') }),
  },
];

describe.each(stores)('promise 2 on $store: a holder that is paused past its lease', ({ label, redis }) => {
  beforeAll(() => fleet.boot({ origin: origin.url, policy, redis: redis() }));

  it('is refused when it wakes up and writes, and its own readers are answered', async () => {
    const [paused, writer] = fleet.members as [Member, Member];
    const others = fleet.except(paused);
    // The lease runs out and another process loads what is newer; an invalidation ends it; or nobody else wants the key.
    const fates = ['expired', 'void', 'void.alone'] as const;
    const keys = fates.flatMap((fate) => [1, 2, 3].map((number) => ({ fate, id: `${fate}.${label}.${number}` })));
    const ids = keys.map(({ id }) => id);
    origin.hold(...ids);
    const first = await Promise.all(ids.map((id) => paused.launch(id, 3)));
    const loads = await Promise.all(ids.map((id) => origin.next(id)));
    const second = await Promise.all(ids.map((id) => paused.launch(id, 3)));

    await paused.worker.pause();
    origin.open(...ids);
    for (const { id, fate } of keys) await (fate === 'expired' ? origin.bump(id) : writer.write('write', id));
    for (const { id, fate } of keys) {
      if (fate !== 'void.alone') expect(versions(await others.read(id, 5)), id).toEqual({ 2: 15 });
    }
    await Promise.all(loads.map((load) => load.release()));
    paused.worker.resume();

    for (const [index, id] of ids.entries()) {
      // The first ones came before the load was called: it may serve them. The others must not get what nobody stored.
      expect(readsOf([await first[index]!.answers()]).length).toBe(3);
      expect(await paused.count({ type: 'fenced', reason: 'token', id })).toBe(1);
      expect(versions(readsOf([await second[index]!.answers()])), id).toEqual({ 2: 3 });
      expect(versions(await fleet.read(id)), id).toEqual({ 2: 4 });
      expect(origin.loads(id).length, `loads of ${id}`).toBe(2);
    }
  });

  it('in mid-write-through: what it wakes up with does not replace what was written meanwhile', async () => {
    const [paused, writer] = fleet.members as [Member, Member];
    const others = fleet.except(paused);
    const ids = Array.from({ length: 4 }, (_, number) => `through.${label}.${number}`);
    const rebuilding = ids.map((id) => paused.rebuild(id));
    const rebuilds = await Promise.all(ids.map((id) => origin.next(id, 'rebuild')));

    await paused.worker.pause();
    for (const id of ids) await writer.write('write', id);
    for (const id of ids) expect(versions(await others.read(id)), id).toEqual({ 3: 3 });
    await Promise.all(rebuilds.map((rebuild) => rebuild.release()));
    paused.worker.resume();

    expect((await Promise.all(rebuilding)).map(({ version }) => version)).toEqual([2, 2, 2, 2]);
    for (const id of ids) expect(versions(await fleet.read(id)), id).toEqual({ 3: 4 });
  });
});

/** What happens to one key, in one order: a load and a write-through begin and end, and a write comes in between. */
type Step = 'load begins' | 'load ends' | 'rebuild begins' | 'rebuild ends' | 'write';

function orders(): Step[][] {
  const orderings = (left: Step[]): Step[][] =>
    left.length === 0
      ? [[]]
      : left.flatMap((step) => orderings(left.filter((other) => other !== step)).map((rest) => [step, ...rest]));
  const inOrder = (steps: Step[], what: string) =>
    steps.indexOf(`${what} begins` as Step) < steps.indexOf(`${what} ends` as Step);
  return orderings(['load begins', 'load ends', 'rebuild begins', 'rebuild ends', 'write']).filter(
    (steps) => inOrder(steps, 'load') && inOrder(steps, 'rebuild'),
  );
}

describe.each(stores)(
  'promise 2 on $store: a write-through that overlaps a load and an invalidation',
  ({ label, methods, redis }) => {
    const writes = methods.flatMap((method) => [
      { method, rebuildsAt: 'begin' as const },
      { method, rebuildsAt: 'end' as const },
    ]);

    beforeAll(() =>
      fleet.boot({ origin: origin.url, policy: { ...policy, lease: { duration: '20s' } }, redis: redis() }),
    );

    it.each(writes)(
      'by $method: in each of the 30 orders what is cached at last is the newest (written at its $rebuildsAt)',
      async ({ method, rebuildsAt }) => {
        const [loader, refresher, writer] = fleet.members;
        origin.rebuildsAt = rebuildsAt;
        origin.latencyMs = 0;
        const all = orders();
        expect(all.length).toBe(30);

        for (const [number, steps] of all.entries()) {
          const id = `30.${method}.${rebuildsAt}.${label}.${number}`;
          origin.hold(id);
          let load: Load | undefined;
          let rebuild: Load | undefined;
          let rebuilding: Promise<unknown> | undefined;
          let answers: Promise<unknown> | undefined;
          const run: Record<Step, () => Promise<unknown>> = {
            'load begins': async () => {
              const crowd = await loader!.launch(id, 3);
              answers = crowd.answers();
              // What was written through is cached already: then nothing is loaded.
              await Promise.race([origin.next(id).then((arrived) => (load = arrived)), answers]);
            },
            'load ends': async () => {
              await load?.release();
              expect(await answers).toMatchObject({ failures: [] });
            },
            'rebuild begins': async () => {
              rebuilding = refresher!.rebuild(id);
              rebuild = await origin.next(id, 'rebuild');
            },
            'rebuild ends': async () => {
              await rebuild!.release();
              await rebuilding;
            },
            write: () => writer!.write(method, id),
          };
          for (const step of steps) await run[step]();

          origin.open(id);
          expect(versions(await fleet.read(id, 2)), `after ${steps.join(', ')}`).toEqual({ [origin.truth(id)]: 8 });
          expect(versions(await fleet.read(id, 2)), `cached after ${steps.join(', ')}`).toEqual({
            [origin.truth(id)]: 8,
          });
        }
      },
    );
  },
);

describe('promise 2: a write-through that is evicted while an older load runs', () => {
  it('is not replaced by what the load gives', async () => {
    const namespace = uniqueNamespace('evicted');
    const url = inject('redisUrl');
    await fleet.boot({ origin: origin.url, policy, redis: { url }, namespace });
    const [loader, refresher] = fleet.members as [Member, Member];
    for (let round = 0; round < 3; round++) {
      const id = `evicted.${round}`;
      origin.hold(id);
      const crowd = await loader.launch(id, 3);
      const load = await origin.next(id);
      const rebuilding = refresher.rebuild(id);
      await (await origin.next(id, 'rebuild')).release();
      await rebuilding;
      expect(await sendCommand(Number(new URL(url).port), ['DEL', `${namespace}:e:{quotes:::s.${id}}`])).toBe('1');
      await load.release();
      expect((await crowd.answers()).failures).toEqual([]);
      expect(await loader.count({ type: 'fenced', reason: 'token', id })).toBe(1);
      origin.open(id);
      expect(versions(await fleet.read(id))).toEqual({ 2: 4 });
    }
  });
});

describe('promise 2: a reply that is lost', () => {
  let proxy: TcpProxy;

  afterEach(async () => {
    await proxy.stop();
  });

  /** One process reaches Redis through the proxy, the others directly. */
  async function bootBehindProxy(): Promise<readonly [Member, Fleet]> {
    const redis = { url: inject('redisUrl') };
    proxy = await startProxy(Number(new URL(redis.url).port));
    await fleet.boot({ origin: origin.url, policy, redis });
    const [behind] = fleet.members as [Member];
    await fleet.bootOne(behind, { redis: { url: proxy.url } });
    return [behind, fleet.except(behind)];
  }

  it.each([
    { when: 'quiet', write: false },
    { when: 'before a write elsewhere', write: true },
  ])('after a commit ($when): no error, no wrong value, at most two further loads', async ({ write }) => {
    const [behind, others] = await bootBehindProxy();
    for (let round = 0; round < 5; round++) {
      const id = `lost.commit.${write}.${round}`;
      origin.hold(id);
      const fault = proxy.loseReplyOf('\r\nfill\r\n');
      const crowds = [await behind.launch(id, 10)];
      const load = await origin.next(id);
      // Some came before the load was called and some after it, for whom the fate of the commit matters.
      crowds.push(await behind.launch(id, 10), await others.launch(id, 10));
      await others.all((member) => member.seen({ type: 'lease', outcome: 'refused', id }));
      origin.open(id);
      await load.release();
      await fault.struck;
      if (write) {
        await others.at(0).write('write', id);
        expect(versions(await fleet.read(id, 5))).toEqual({ 2: 20 });
      }
      const reads = readsOf([await joined(crowds).answers()]);
      expect(reads.length).toBe(50);
      await behind.storeAnswers();
      expect(versions(await fleet.read(id))).toEqual({ [origin.truth(id)]: 4 });
      expect(fault.count).toBe(1);
      if (write) continue;
      expect(versions(reads)).toEqual({ 1: 50 });
      // One while the connection is away, and one because what was cached before is not trusted on its return.
      expect(origin.loads(id).length, `loads of ${id}`).toBeLessThanOrEqual(3);
    }
  });

  it('after a lease was granted: no error, no wrong value, one further load after at most one lease', async () => {
    const [behind, others] = await bootBehindProxy();
    for (let round = 0; round < 3; round++) {
      const id = `lost.lease.${round}`;
      origin.hold(id);
      const fault = proxy.loseReplyOf('\r\nexclusive\r\n');
      const crowd = await behind.launch(id, 10);
      const load = await origin.next(id);
      const waiting = await others.launch(id, 10);
      await others.all((member) => member.seen({ type: 'lease', outcome: 'refused', id }));
      origin.open(id);
      await load.release();
      expect(versions(readsOf([await joined([crowd, waiting]).answers()]))).toEqual({ 1: 40 });
      await behind.storeAnswers();
      expect(versions(await fleet.read(id))).toEqual({ 1: 4 });
      expect(fault.count).toBe(1);
      expect(origin.loads(id).length, `loads of ${id}`).toBe(2);
    }
  });

  it('after a write-through: its caller is answered, and everybody reads what was written', async () => {
    const [behind] = await bootBehindProxy();
    for (let round = 0; round < 5; round++) {
      const id = `lost.put.${round}`;
      await fleet.read(id);
      const fault = proxy.loseReplyOf('\r\nput\r\n');
      const rebuilding = behind.rebuild(id);
      await (await origin.next(id, 'rebuild')).release();
      expect((await rebuilding).version).toBe(2);
      expect(fault.count).toBe(1);
      await behind.storeAnswers();
      expect(versions(await fleet.read(id, 3))).toEqual({ 2: 12 });
    }
  });
});

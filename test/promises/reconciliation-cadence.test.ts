import * as fc from 'fast-check';
import type { Duration } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { readRule } from '../../lib/core/rules.js';
import { until, type Fleet, type Member, type MemberOptions } from './support/fleet.js';
import { BOTH, CLUSTER, MEMORY, promise, REDIS } from './support/promise.js';
import { KEPT, Shelf } from './support/shelf.js';

const MINUTE = 60_000;
const reconciled = promise.bind(undefined, 12);

function domainsOf(shelf: Shelf, every: Duration, loadTimeout: Duration = '10s'): MemberOptions {
  const reconcile = { every, versions: shelf.versions };
  return { domains: { [shelf.domain]: { ...KEPT, stalePolicy: 'never', loadTimeout, reconcile } } };
}

/** Ends, in which process it may be, of runs of the domain. */
const ended = (members: readonly Member[]) =>
  members.flatMap((member) => member.all('reconciliation').filter(({ state }) => state !== 'running'));

describe('the cadence of a fleet', () => {
  reconciled('is kept by whichever process, and once only', MEMORY, async (fleet) => {
    const shelf = new Shelf('shelf');
    const members = await fleet.startAll(3, domainsOf(shelf, '5m'));
    await shelf.keep(members[0]!, 'gold');
    const at: number[] = [];
    shelf.meanwhile = () => at.push(fleet.clock.monotonic());
    await fleet.pass(60 * MINUTE);
    const gaps = at.slice(1).map((ms, i) => ms - at[i]!);
    expect(at[0]).toBeLessThanOrEqual(MINUTE);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5 * MINUTE);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(4.5 * MINUTE);
    expect(ended(members)).toHaveLength(at.length);
    // Not in step: it is not always the same one that comes first.
    expect(new Set(gaps).size).toBeGreaterThan(5);
    expect(members.filter((member) => ended([member]).length > 0).length).toBeGreaterThan(1);
  });

  reconciled('counts from a run by hand too', MEMORY, async (fleet) => {
    const shelf = new Shelf('shelf');
    const a = await fleet.start(domainsOf(shelf, '5m'));
    await fleet.patiently(a.guard.reconcile('shelf'));
    await fleet.pass(4.4 * MINUTE);
    expect(ended([a])).toHaveLength(1);
    await fleet.pass(0.6 * MINUTE);
    expect(ended([a])).toHaveLength(2);
  });

  reconciled('is looked at again by who was let in late', MEMORY, async (fleet) => {
    const shelf = new Shelf('shelf');
    // In step with each other.
    const [a, b] = await fleet.pair({ ...domainsOf(shelf, '5m'), ids: { random: () => 0.5 } });
    await shelf.keep(a, 'gold');
    const late = b.store.delay('acquire');
    await fleet.pass(MINUTE);
    await late.struck;
    expect(shelf.asked).toHaveLength(1);
    late.release();
    await fleet.pass(MINUTE);
    expect(shelf.asked).toHaveLength(1);
  });

  reconciled('does not wait for a time that a server with another clock has told', MEMORY, async (fleet) => {
    const shelf = new Shelf('shelf');
    const a = await fleet.start(domainsOf(shelf, '5m'));
    const turn = { startedMs: a.store.now('') + 600 * MINUTE, ended: true };
    await a.store.board.post('reconciliation:turn:shelf', JSON.stringify(turn), 6_000 * MINUTE);
    await fleet.pass(MINUTE);
    expect(ended([a])).toHaveLength(1);
  });

  reconciled('goes on after a restart where it was, and not anew', MEMORY, async (fleet) => {
    const shelf = new Shelf('shelf');
    const first = await fleet.start(domainsOf(shelf, '5m'));
    await shelf.keep(first, 'gold');
    await fleet.pass(MINUTE);
    expect(shelf.asked).toHaveLength(1);
    await first.guard.close();
    await fleet.start(domainsOf(shelf, '5m'));
    await fleet.pass(3 * MINUTE);
    expect(shelf.asked).toHaveLength(1);
    await fleet.pass(2.1 * MINUTE);
    expect(shelf.asked).toHaveLength(2);
  });

  reconciled('is not held up by a source that fails', MEMORY, async (fleet) => {
    const shelf = new Shelf('shelf');
    const a = await fleet.start(domainsOf(shelf, '5m'));
    await shelf.keep(a, 'gold');
    shelf.meanwhile = () => Promise.reject(new Error('the source is down'));
    await fleet.pass(10 * MINUTE);
    const failures = ended([a]);
    expect(failures.map(({ state }) => state)).toEqual(failures.map(() => 'failed'));
    // And the source is not asked again and again.
    expect(failures.length).toBeGreaterThanOrEqual(2);
    expect(failures.length).toBeLessThanOrEqual(3);
    shelf.meanwhile = () => {};
    await fleet.pass(5 * MINUTE);
    expect(ended([a]).at(-1)).toMatchObject({ state: 'done', checked: 1 });
  });

  reconciled('is not kept by a process that has no part in what is scheduled', MEMORY, async (fleet) => {
    const shelf = new Shelf('shelf');
    const a = await fleet.start({ ...domainsOf(shelf, '5m'), scheduled: false });
    await shelf.keep(a, 'gold');
    await fleet.pass(20 * MINUTE);
    expect(shelf.asked).toEqual([]);
    expect(fleet.clock.pending).toBe(0);
  });

  reconciled('waits while a part of the store is away', MEMORY, async (fleet) => {
    const shelf = new Shelf('shelf');
    const a = await fleet.start({
      ...domainsOf(shelf, '5m'),
      remote: true,
      prepare: (store) => store.fail('beat', Infinity),
    });
    await fleet.pass(10 * MINUTE);
    expect(ended([a])).toEqual([]);
    a.store.heal();
    await fleet.pass(10_000);
    expect(ended([a])).toHaveLength(1);
  });

  reconciled('a run that the store has failed is not put off to the next time', MEMORY, async (fleet) => {
    const shelf = new Shelf('shelf');
    const a = await fleet.start(domainsOf(shelf, '1d'));
    await shelf.keep(a, 'gold');
    a.store.fail('read');
    await fleet.pass(2 * MINUTE);
    expect(ended([a])).toMatchObject([{ state: 'failed', error: { code: 'CG_STORE_UNAVAILABLE' } }, { state: 'done' }]);
    expect(shelf.asked).toHaveLength(1);
  });

  for (const how of ['shuts down', 'dies'] as const) {
    reconciled(`a run whose process ${how} is begun anew by another one`, MEMORY, async (fleet) => {
      const shelf = new Shelf('shelf');
      const a = await fleet.start(domainsOf(shelf, '1d', '1h'));
      await shelf.keep(a, 'gold');
      shelf.meanwhile = () => new Promise(() => {});
      await until(async () => (await fleet.pass(500), shelf.asked.length === 1), 'the question');
      shelf.meanwhile = () => {};
      // Renews no lease any more, and says nothing of an end.
      if (how === 'dies') a.store.down();
      else await a.guard.close();
      const b = await fleet.start(domainsOf(shelf, '1d'));
      await fleet.pass(2 * MINUTE);
      expect(shelf.asked).toHaveLength(2);
      expect(ended([b])).toMatchObject([{ state: 'done', checked: 1 }]);
    });
  }

  reconciled('a process that lost its turn stops', MEMORY, async (fleet) => {
    const shelf = new Shelf('shelf');
    const [a, b] = await fleet.pair({ ...domainsOf(shelf, '1d', '1h'), scheduled: false });
    await shelf.keep(a, 'gold');
    shelf.meanwhile = () => new Promise(() => {});
    const run = a.guard.reconcile('shelf');
    const failed = expect(run).rejects.toMatchObject({ code: 'CG_RECONCILIATION_FAILED', domain: 'shelf' });
    await until(async () => (await fleet.pass(500), shelf.asked.length === 1), 'the question');
    shelf.meanwhile = () => {};
    // Longer than a lease, and shorter than the source is waited for.
    const renewals = a.store.delay('renew', Infinity);
    const other = until(async () => {
      await fleet.pass(500);
      return b.guard.reconcile('shelf').then(
        () => true,
        () => false,
      );
    }, 'the turn of another');
    await fleet.patiently(other);
    renewals.release();
    await fleet.patiently(failed);
    expect(ended([a])).toMatchObject([{ state: 'stopped', repaired: 0 }]);
  });

  reconciled('waits while the store is away', MEMORY, async (fleet) => {
    const shelf = new Shelf('shelf');
    const a = await fleet.start({ ...domainsOf(shelf, '5m'), remote: true });
    await shelf.keep(a, 'gold');
    await fleet.pass(MINUTE);
    const before = shelf.asked.length;
    expect(before).toBe(1);
    a.store.down();
    await fleet.pass(20 * MINUTE);
    expect(shelf.asked).toHaveLength(before);
    await expect(a.guard.reconcile('shelf')).rejects.toMatchObject({ code: 'CG_STORE_UNAVAILABLE' });
    // As this process knows it.
    expect(await a.guard.lastReconciliation('shelf')).toMatchObject({ state: 'done', checked: 1 });
    a.store.heal();
    await fleet.pass(10_000);
    expect(shelf.asked).toHaveLength(before + 1);
  });

  reconciled('ends with the application, in the middle of a run', BOTH, async (fleet) => {
    const shelf = new Shelf('shelf');
    const a = await fleet.start({ ...domainsOf(shelf, '1d'), scheduled: false });
    await shelf.keep(a, 'gold');
    shelf.meanwhile = () => new Promise(() => {});
    const run = a.guard.reconcile('shelf');
    const refused = expect(run).rejects.toMatchObject({ code: 'CG_CLOSED', domain: 'shelf' });
    await until(async () => {
      if (fleet.kind === 'memory') await fleet.pass(500);
      return shelf.asked.length === 1;
    }, 'the question');
    await a.guard.close();
    await refused;
    expect(ended([a])).toMatchObject([{ state: 'stopped' }]);
    await expect(a.guard.reconcile('shelf')).rejects.toMatchObject({ code: 'CG_CLOSED' });
    if (fleet.kind === 'memory') expect(fleet.clock.pending).toBe(0);
  });
});

interface Happening {
  readonly key: number;
  readonly lost: boolean;
  readonly deleted: boolean;
}

/** People read, the source changes, and the events that are not lost are published. */
async function happen(shelf: Shelf, member: Member, keys: readonly string[], events: readonly Happening[]) {
  for (const [id, { key, lost, deleted }] of events.entries()) {
    const name = keys[key]!;
    await shelf.read(member, name);
    if (deleted) shelf.has.delete(name);
    else shelf.has.set(name, BigInt(id + 100));
    const event = { id: String(id), source: '/shelf', type: 'changed', data: { name } };
    if (!lost) await member.guard.events.publish(event);
  }
}

describe('with one event in a hundred lost', () => {
  const KEYS = Array.from({ length: 60 }, (_, i) => `key ${i}`);
  const oneIn = (many: number) => fc.integer({ min: 1, max: many }).map((one) => one === many);
  const changes = fc
    .array(fc.record({ key: fc.nat(KEYS.length - 1), lost: oneIn(100), deleted: oneIn(10) }), {
      minLength: 150,
      maxLength: 250,
    })
    // The last one of its key, so that no later event makes up for it.
    .map((list): Happening[] => [...list, { key: 0, lost: true, deleted: false }]);

  async function cameBack(
    fleet: Fleet,
    events: readonly Happening[],
    every: Duration,
    cadence: (members: Member[]) => Promise<void>,
  ) {
    const shelf = new Shelf('shelf');
    const members = await fleet.startAll(2, domainsOf(shelf, every));
    const [a, b] = members as [Member, Member];
    const key = ({ data }: { data: unknown }) => (data as { name: string }).name;
    const rule = readRule({ on: 'changed', domain: 'shelf', key }, 'the test');
    a.guard.events.configure({ rules: [rule], mergeWindowMs: 0 });
    // The last one was never created.
    for (const [i, name] of KEYS.slice(0, -1).entries()) shelf.has.set(name, BigInt(i));
    await shelf.keep(b, ...KEYS);
    await happen(shelf, a, KEYS, events);
    // People go on reading, and so bring back what was invalidated.
    for (const name of KEYS) await shelf.read(b, name);
    const drifted = await shelf.drift(b, KEYS);
    await cadence(members);
    expect(await shelf.drift(b, KEYS)).toEqual([]);
    expect(await shelf.drift(a, KEYS)).toEqual([]);
    for (const name of drifted) {
      const version = shelf.has.get(name);
      expect(await shelf.read(b, name)).toBe(version === undefined ? null : `${name} of ${version}`);
    }
    return drifted;
  }

  reconciled('drift is back to zero within one cadence, whatever was lost', MEMORY, async (first) => {
    await first.close();
    await fc.assert(
      fc.asyncProperty(changes, async (events) => {
        const { Fleet: Another } = await import('./support/fleet.js');
        const fleet = new Another('memory');
        try {
          const drifted = await cameBack(fleet, events, '5m', () => fleet.pass(5 * MINUTE));
          expect(drifted).not.toEqual([]);
        } finally {
          await fleet.close();
        }
      }),
      { numRuns: 8 },
    );
  });

  reconciled('drift is back to zero within one cadence, in real time', [...REDIS, ...CLUSTER], async (fleet) => {
    const [events] = fc.sample(changes, { numRuns: 1, seed: 7 });
    await cameBack(fleet, events!, '1s', async (members) => {
      const before = ended(members).length;
      // The first may have begun before the last event.
      await until(() => ended(members).length >= before + 2, 'a whole run');
    });
  });
});

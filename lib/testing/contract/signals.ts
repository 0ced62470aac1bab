import assert from 'node:assert/strict';
import { FLAG, type Entry } from '../../core/entry.js';
import type { Signal } from '../../core/store.js';
import { idOf, NOTHING, Scenario, type ContractCase, type Ear, type Granted } from './scenario.js';

/** Another process has been refused and waits; what this one does to the holder's lease decides what it hears. */
async function waiting(s: Scenario): Promise<{ holder: Granted; refusedAt: number; ear: Ear }> {
  const other = await s.another();
  const ear = s.listen(other);
  const holder = await s.granted();
  const refusal = await s.acquire({}, other);
  assert.ok(refusal.kind === 'held');
  return { holder, refusedAt: refusal.nowMs, ear };
}

const ENDINGS: readonly {
  readonly name: string;
  readonly loaded: boolean;
  readonly end: (s: Scenario, holder: Granted) => Promise<unknown>;
}[] = [
  { name: 'a fill', loaded: true, end: (s, holder) => s.commit(holder, s.entry(holder)) },
  { name: 'a clear', loaded: true, end: (s, holder) => s.commit(holder, NOTHING, { kind: 'clear' }) },
  { name: 'a release', loaded: false, end: (s, { key, token }) => s.store.release({ key, token, backoff: undefined }) },
  {
    name: 'a failure',
    loaded: true,
    end: (s, { key, token }) => s.store.release({ key, token, backoff: { baseMs: s.unit, maxMs: s.unit } }),
  },
  {
    name: 'a commit that is superseded',
    loaded: true,
    end: (s, holder) => s.commit(holder, s.entry(holder), { kind: 'extend', seenId: 'ffffffffffffffff' }),
  },
];

/** What is there (at `nowMs`), and what a fill over it signals. */
const REPLACED: readonly {
  readonly name: string;
  readonly over: (nowMs: number) => Partial<Entry>;
  readonly signals: readonly Signal['kind'][];
}[] = [
  { name: 'a fresh value', over: () => ({}), signals: ['replaced'] },
  { name: 'a fresh absence', over: () => ({ flags: FLAG.negative }), signals: ['replaced'] },
  { name: 'a stale value', over: (nowMs) => ({ beganMs: nowMs, softMs: nowMs }), signals: [] },
  { name: 'a value that is marked stale', over: () => ({ flags: FLAG.marked }), signals: [] },
  { name: 'a tombstone', over: () => ({ flags: FLAG.removed }), signals: [] },
  { name: 'a hit-for-miss mark', over: () => ({ flags: FLAG.hitForMiss }), signals: [] },
];

export const signalCases: readonly ContractCase[] = [
  ...ENDINGS.map(
    ({ name, loaded, end }) =>
      ({
        name: `signals: a process that was refused hears of the release, after ${name}`,
        async run(harness) {
          const s = await Scenario.on(harness);
          const { holder, refusedAt, ear } = await waiting(s);
          await end(s, holder);
          const heard = await ear.hears('released', s.key);
          assert.ok(heard.atMs > refusedAt);
          assert.equal(heard.loaded, loaded);
        },
      }) satisfies ContractCase,
  ),
  {
    name: 'signals: a process that was refused hears of the release, after a version that is refused',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.filled({ version: 7n });
      const { holder, ear } = await waiting(s);
      assert.equal(await s.outcome(holder, s.entry(holder, { version: 6n })), 'fenced-version');
      await ear.hears('released', s.key);
    },
  },
  {
    name: 'signals: two attempts of one process that wait for each other hear of it, too',
    async run(harness) {
      const s = await Scenario.on(harness);
      const ear = s.listen(s.store);
      const holder = await s.granted();
      await s.refused('held');
      await s.commit(holder, s.entry(holder));
      await ear.hears('released', s.key);
    },
  },
  {
    name: 'signals: a fill, a clear of nothing and a release that nobody waits for are no broadcast',
    async run(harness) {
      const s = await Scenario.on(harness);
      const ear = s.listen(await s.another());
      await s.commit(await s.granted(), NOTHING, { kind: 'clear' });
      await s.filled();
      const { key, token } = await s.granted();
      await s.store.release({ key, token, backoff: undefined });
      assert.deepEqual(await ear.kinds(s.key), []);
    },
  },
  ...(['expire', 'remove', 'purge'] as const).map(
    (mode) =>
      ({
        name: `signals: everybody hears of an invalidation (${mode}), with a time that orders it among the grants`,
        async run(harness) {
          const s = await Scenario.on(harness);
          const ears = [s.listen(await s.another()), s.listen(s.store)];
          await s.filled();
          const before = await s.granted();
          await s.store.invalidate(s.key, mode);
          const after = await s.granted();
          for (const ear of ears) {
            const { atMs } = await ear.hears('invalidated', s.key);
            assert.ok(atMs >= before.nowMs && atMs < after.nowMs, `${before.nowMs} <= ${atMs} < ${after.nowMs}`);
          }
        },
      }) satisfies ContractCase,
  ),
  {
    name: 'signals: an invalidation reaches those who wait for the lease, also where nothing was kept',
    async run(harness) {
      const s = await Scenario.on(harness);
      const { refusedAt, ear } = await waiting(s);
      await s.store.invalidate(s.key, 'remove');
      assert.ok((await ear.hears('invalidated', s.key)).atMs > refusedAt);
    },
  },
  {
    name: 'signals: everybody hears of a put, as of an invalidation',
    async run(harness) {
      const s = await Scenario.on(harness);
      const ear = s.listen(await s.another());
      const other = await s.granted();
      const writer = await s.shared();
      await s.commit(writer, s.entry(writer), { kind: 'put' });
      const next = await s.granted();
      const { atMs } = await ear.hears('invalidated', s.key);
      assert.ok(atMs >= other.nowMs && atMs < next.nowMs);
    },
  },
  {
    name: 'signals: a put that is refused says nothing',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.filled({ version: 7n });
      const ear = s.listen(await s.another());
      const writer = await s.shared();
      await s.commit(writer, s.entry(writer, { version: 6n }), { kind: 'put' });
      assert.deepEqual(await ear.kinds(s.key), []);
    },
  },
  {
    name: 'signals: everybody hears when a fresh value is cleared away',
    async run(harness) {
      const s = await Scenario.on(harness);
      const ear = s.listen(await s.another());
      await s.filled();
      await s.commit(await s.granted(), NOTHING, { kind: 'clear' });
      assert.deepEqual(await ear.kinds(s.key), ['replaced']);
    },
  },
  ...REPLACED.map(
    ({ name, over, signals }) =>
      ({
        name: `signals: a fill over ${name} is ${signals.length > 0 ? 'a' : 'no'} broadcast`,
        async run(harness) {
          const s = await Scenario.on(harness);
          const ear = s.listen(await s.another());
          await s.filled(over(Math.floor((await s.shared()).nowMs)));
          await s.filled();
          assert.deepEqual(await ear.kinds(s.key), signals);
        },
      }) satisfies ContractCase,
  ),
  {
    name: 'signals: nobody hears when an entry is extended under its id',
    async run(harness) {
      const s = await Scenario.on(harness);
      const ear = s.listen(await s.another());
      const seenId = idOf(await s.filled());
      const grant = await s.granted({ seenId });
      assert.equal(await s.outcome(grant, s.entry(grant, { id: seenId }), { kind: 'extend', seenId }), 'committed');
      assert.deepEqual(await ear.kinds(s.key), []);
    },
  },
  {
    name: 'signals: everybody hears which generation moved, and how far',
    async run(harness) {
      const s = await Scenario.on(harness);
      const ears = [s.listen(await s.another()), s.listen(s.store)];
      for (const mode of ['expire', 'remove'] as const) {
        const name = `t:offers:s.${mode}`;
        await s.store.advance(name, mode, 1000 * s.unit);
        const { value } = (await s.generation(name))!;
        for (const ear of ears) assert.equal((await ear.hears('advanced', name)).value, value);
      }
    },
  },
];

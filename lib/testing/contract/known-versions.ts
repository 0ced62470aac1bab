import assert from 'node:assert/strict';
import { FLAG } from '../../core/entry.js';
import { MAX_VERSION } from '../../core/version.js';
import { decode, keyOf, Scenario, type ContractCase } from './scenario.js';

const MODES = ['expire', 'remove', 'purge'] as const;

const LONG = 1000;

/** The source is known to have this version. */
function tell(s: Scenario, version: bigint, units = LONG, mode: (typeof MODES)[number] = 'expire'): Promise<void> {
  return s.store.invalidate(s.key, mode, { version, windowMs: units * s.unit });
}

async function fill(s: Scenario, version: bigint | undefined, windowUnits = LONG): Promise<string> {
  const grant = await s.shared();
  return s.outcome(grant, s.entry(grant, { version }), { versionWindowMs: windowUnits * s.unit });
}

/** What is cached of it can be served as fresh. */
async function isFresh(s: Scenario): Promise<boolean> {
  const bytes = await s.bytes();
  return bytes !== undefined && (decode(bytes).flags & (FLAG.marked | FLAG.removed)) === 0;
}

export const knownVersionCases: readonly ContractCase[] = [
  {
    name: 'invalidate with a version: what is cached and as new is left alone, and so are the attempts; nobody is told',
    async run(harness) {
      const s = await Scenario.on(harness);
      const ear = s.listen(s.store);
      const before = await s.filled({ version: 7n });
      for (const mode of MODES) {
        const beside = await s.shared();
        await tell(s, 7n, LONG, mode);
        await tell(s, 6n, LONG, mode);
        assert.deepEqual(await s.kept(), before, mode);
        assert.ok(await s.store.renew(s.key, beside.token, s.unit));
      }
      const load = await s.granted();
      await tell(s, 7n);
      assert.equal(await s.outcome(load, s.entry(load, { version: 7n })), 'committed');
      assert.deepEqual(new Set(await ear.kinds(s.key)), new Set(['replaced']));
    },
  },
  {
    name: 'invalidate with a version: what is older, or of no version, goes, with every attempt, and everybody is told',
    async run(harness) {
      const s = await Scenario.on(harness);
      for (const mode of MODES) {
        for (const version of [6n, undefined]) {
          await s.store.invalidate(s.key, 'purge');
          assert.equal(await fill(s, version), 'committed');
          const [holder, beside] = [await s.granted(), await s.shared()];
          const ear = s.listen(s.store);
          await tell(s, 7n, LONG, mode);
          await ear.hears('invalidated', s.key, beside.nowMs);
          assert.equal(await isFresh(s), false, `${mode} of ${version}`);
          for (const attempt of [holder, beside]) {
            assert.equal(await s.outcome(attempt, s.entry(attempt, { version: 8n })), 'fenced-token');
          }
          // For the next round, which begins with an older one.
          s.key = keyOf(`${mode} ${version}`);
        }
      }
    },
  },
  {
    name: 'invalidate with a version: an absence or a mark that nothing is kept counts as what it is',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.filled({ version: 7n, flags: FLAG.negative });
      await tell(s, 7n);
      assert.ok(await isFresh(s), 'an absence that is as new');
      await tell(s, 8n);
      assert.equal(await s.bytes(), undefined, 'an absence that is older');
      const beside = await s.shared();
      await s.filled({ flags: FLAG.hitForMiss });
      await tell(s, 8n);
      assert.equal(await s.bytes(), undefined, 'a mark');
      assert.equal(await s.store.renew(s.key, beside.token, s.unit), false);
    },
  },
  {
    name: 'invalidate with a version: a tombstone is as new as nothing',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.filled({ version: 7n });
      await s.store.invalidate(s.key, 'remove');
      const load = await s.shared();
      await tell(s, 7n);
      assert.equal(await s.outcome(load, s.entry(load, { version: 7n })), 'fenced-token');
      assert.equal(await isFresh(s), false);
    },
  },
  {
    name: 'invalidate with a version: a load that gives an older one is refused, exactly at every border',
    async run(harness) {
      const s = await Scenario.on(harness);
      for (const version of [1n, 256n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n, MAX_VERSION]) {
        await tell(s, version);
        assert.equal(await fill(s, version - 1n), 'fenced-version');
        assert.equal(await isFresh(s), false);
        assert.equal(await fill(s, version), 'committed');
        assert.ok(await isFresh(s));
      }
    },
  },
  {
    name: 'invalidate with a version: it binds loads, puts and extensions of every process, not what has no version',
    async run(harness) {
      const s = await Scenario.on(harness);
      const other = await s.another();
      await s.filled({ version: 6n });
      const { id } = decode(await s.kept());
      await tell(s, 7n);
      for (const kind of ['fill', 'put', 'extend'] as const) {
        const grant = await s.granted({ mode: 'shared' }, other);
        const older = s.entry(grant, { id, version: 6n });
        assert.equal((await s.commit(grant, older, { kind, seenId: id }, other)).outcome, 'fenced-version', kind);
      }
      assert.equal(await fill(s, undefined), 'committed');
      assert.equal(await fill(s, 6n), 'fenced-version');
    },
  },
  {
    name: 'invalidate with a version: what is refused never becomes less, whichever comes last',
    async run(harness) {
      const s = await Scenario.on(harness);
      await tell(s, 9n);
      await tell(s, 7n);
      assert.equal(await fill(s, 8n), 'fenced-version');
      await s.store.invalidate(s.key, 'purge');
      assert.equal(await fill(s, 8n), 'fenced-version');
      assert.equal(await fill(s, 10n), 'committed');
      await s.store.invalidate(s.key, 'purge');
      await tell(s, 9n);
      assert.equal(await fill(s, 9n), 'fenced-version');
    },
  },
  {
    name: 'invalidate with a version: an older one is refused for the window, and then no more',
    async run(harness) {
      const s = await Scenario.on(harness);
      await tell(s, 7n, 2);
      assert.equal(await fill(s, 6n), 'fenced-version');
      await s.pass(3);
      assert.equal(await fill(s, 6n), 'committed');
    },
  },
  {
    name: 'invalidate with a version: of two windows the longer one counts, whichever version and whichever comes last',
    async run(harness) {
      const s = await Scenario.on(harness);
      const orders: (() => Promise<unknown>)[] = [
        async () => (await tell(s, 9n, 2), await tell(s, 7n, LONG)),
        async () => (await tell(s, 7n, LONG), await tell(s, 9n, 2)),
        async () => (await tell(s, 7n, 2), await tell(s, 7n, LONG)),
        async () => {
          await tell(s, 7n, LONG);
          const grant = await s.shared();
          const bytes = s.entry(grant, { version: 7n, hardMs: Math.floor(grant.nowMs) + s.unit });
          assert.equal(await s.outcome(grant, bytes, { versionWindowMs: s.unit }), 'committed');
        },
      ];
      for (const [i, order] of orders.entries()) {
        s.key = keyOf(`window ${i}`);
        await order();
      }
      await s.pass(3);
      for (const i of orders.keys()) {
        s.key = keyOf(`window ${i}`);
        assert.equal(await fill(s, 6n), 'fenced-version', `order ${i}`);
      }
    },
  },
];

import assert from 'node:assert/strict';
import { FLAG, HEADER_BYTES } from '../../core/entry.js';
import { decode, keyOf, Scenario, type ContractCase } from './scenario.js';

const MODES = ['expire', 'remove', 'purge'] as const;

export const invalidationCases: readonly ContractCase[] = [
  {
    name: 'invalidate: every attempt on the key is void, in every mode, and the next is granted at once',
    async run(harness) {
      const s = await Scenario.on(harness);
      for (const mode of MODES) {
        const attempts = [await s.shared(), await s.granted(), await s.shared()];
        await s.store.invalidate(s.key, mode);
        const next = await s.granted();
        for (const voided of attempts) {
          assert.equal(await s.store.renew(s.key, voided.token, s.unit), false);
          for (const kind of ['fill', 'put'] as const) {
            assert.equal(await s.outcome(voided, s.entry(voided), { kind }), 'fenced-token');
          }
        }
        assert.equal(await s.bytes(), undefined);
        await s.store.release({ key: s.key, token: next.token, backoff: undefined });
      }
    },
  },
  {
    name: 'invalidate: an attempt of another process is void too',
    async run(harness) {
      const s = await Scenario.on(harness);
      const other = await s.another();
      const grant = await s.granted({}, other);
      await s.store.invalidate(s.key, 'expire');
      assert.equal((await s.commit(grant, s.entry(grant), {}, other)).outcome, 'fenced-token');
      assert.equal(await s.bytes(), undefined);
    },
  },
  {
    name: 'expire: the entry is marked and its soft expiry is now; nothing else changes',
    async run(harness) {
      const s = await Scenario.on(harness);
      const before = decode(await s.filled({ version: 7n, etag: 'e', payload: Buffer.from([0, 1, 2, 0]) }));
      const { nowMs: atLeast } = await s.shared({ key: keyOf('clock') });
      await s.store.invalidate(s.key, 'expire');
      const after = decode(await s.kept());
      const { nowMs: atMost } = await s.shared({ key: keyOf('clock') });
      assert.ok(after.softMs >= Math.floor(atLeast) && after.softMs <= atMost);
      assert.deepEqual(after, { ...before, softMs: after.softMs, flags: before.flags | FLAG.marked });
    },
  },
  {
    name: 'expire: a soft expiry that has passed stays',
    async run(harness) {
      const s = await Scenario.on(harness);
      const softMs = Math.floor((await s.shared()).nowMs);
      await s.filled({ beganMs: softMs, softMs });
      await s.pass(1);
      await s.store.invalidate(s.key, 'expire');
      await s.store.invalidate(s.key, 'expire');
      const { softMs: after, flags } = decode(await s.kept());
      assert.equal(after, softMs);
      assert.ok(flags & FLAG.marked);
    },
  },
  {
    name: 'expire: the entry keeps its hard expiry',
    async run(harness) {
      const s = await Scenario.on(harness);
      const beganMs = Math.floor((await s.shared()).nowMs);
      await s.filled({ beganMs, hardMs: beganMs + 3 * s.unit });
      await s.store.invalidate(s.key, 'expire');
      assert.ok(await s.bytes());
      await s.pass(4);
      assert.equal(await s.bytes(), undefined);
    },
  },
  {
    name: 'expire: absence and hit-for-miss marks are not kept as stale',
    async run(harness) {
      const s = await Scenario.on(harness);
      for (const flags of [FLAG.negative, FLAG.negative | FLAG.thrown, FLAG.hitForMiss]) {
        await s.filled({ flags });
        await s.store.invalidate(s.key, 'expire');
        assert.equal(await s.bytes(), undefined);
      }
    },
  },
  {
    name: 'remove: a tombstone stays, which has the header and no content',
    async run(harness) {
      const s = await Scenario.on(harness);
      const before = await s.filled({ version: 7n, etag: 'e', payload: Buffer.from('secret') });
      await s.store.invalidate(s.key, 'remove');
      const expected = Buffer.from(before.subarray(0, HEADER_BYTES)).fill(0, 58);
      expected[2]! |= FLAG.removed;
      assert.deepEqual(await s.kept(), expected);
      await s.store.invalidate(s.key, 'remove');
      assert.deepEqual(await s.kept(), expected, 'removed once more');
      assert.equal(decode(await s.kept()).version, 7n);
    },
  },
  {
    name: 'remove: the tombstone does not outlive the entry',
    async run(harness) {
      const s = await Scenario.on(harness);
      const beganMs = Math.floor((await s.shared()).nowMs);
      await s.filled({ beganMs, hardMs: beganMs + 3 * s.unit });
      await s.store.invalidate(s.key, 'remove');
      assert.ok(await s.bytes());
      await s.pass(4);
      assert.equal(await s.bytes(), undefined);
    },
  },
  {
    name: 'remove: the tombstone does not come back to life',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.filled();
      await s.store.invalidate(s.key, 'remove');
      await s.store.invalidate(s.key, 'expire');
      const left = await s.bytes();
      assert.ok(!left || decode(left).flags & FLAG.removed);
    },
  },
  {
    name: 'purge: nothing stays',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.filled();
      await s.store.invalidate(s.key, 'purge');
      assert.equal(await s.bytes(), undefined);
    },
  },
  {
    name: 'invalidate: where nothing is, nothing comes; other keys stay',
    async run(harness) {
      const s = await Scenario.on(harness);
      const neighbour = await s.filled({}, keyOf('golden'));
      for (const mode of MODES) {
        await s.store.invalidate(s.key, mode);
        assert.equal(await s.bytes(), undefined);
      }
      assert.deepEqual(await s.kept(keyOf('golden')), neighbour);
    },
  },
];

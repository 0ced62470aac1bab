import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { FLAG } from '../../core/entry.js';
import { decode, idOf, keyOf, NOTHING, Scenario, type ContractCase } from './scenario.js';

export const commitCases: readonly ContractCase[] = [
  {
    name: 'fill: every process reads back the same bytes, whatever they are',
    async run(harness) {
      const s = await Scenario.on(harness);
      const other = await s.another();
      const nulls = Buffer.from([0, 0, 255, 10, 13, 0, 34, 39, 0xc3, 0x28, 0]);
      const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      for (const payload of [NOTHING, nulls, every, randomBytes(2 ** 20)]) {
        const bytes = await s.filled({ payload });
        assert.ok(bytes.equals((await s.bytes(s.key, other))!));
      }
    },
  },
  {
    name: 'fill: what the caller does with its buffer afterwards changes nothing',
    async run(harness) {
      const s = await Scenario.on(harness);
      const bytes = await s.filled();
      const original = Buffer.from(bytes);
      bytes.fill(0);
      const read = await s.kept();
      assert.deepEqual(read, original);
      read.fill(0);
      assert.deepEqual(await s.kept(), original);
    },
  },
  {
    name: 'fill: the entry is gone at its hard expiry',
    async run(harness) {
      const s = await Scenario.on(harness);
      const grant = await s.granted();
      await s.commit(grant, s.entry(grant, { hardMs: Math.floor(grant.nowMs) + 2 * s.unit }));
      assert.ok(await s.bytes());
      await s.pass(3);
      assert.equal(await s.bytes(), undefined);
    },
  },
  {
    name: 'put: what is past its hard expiry already is committed, and nothing is kept',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.filled();
      const grant = await s.granted();
      const began = Math.floor(grant.nowMs);
      await s.pass(2);
      const bytes = s.entry(grant, { softMs: began + 1, hardMs: began + s.unit });
      assert.equal(await s.outcome(grant, bytes, { kind: 'put' }), 'committed');
      assert.equal(await s.bytes(), undefined, 'neither the value nor the one that it replaces');
      await s.granted();
    },
  },
  {
    name: 'commit: it consumes the token and ends the lease',
    async run(harness) {
      const s = await Scenario.on(harness);
      const grant = await s.granted();
      assert.equal(await s.outcome(grant, s.entry(grant)), 'committed');
      assert.equal(await s.store.renew(s.key, grant.token, s.unit), false);
      await s.granted();
    },
  },
  {
    name: 'commit: sent again, it gives the first answer and does nothing',
    async run(harness) {
      const s = await Scenario.on(harness);
      const first = await s.granted();
      const firstBytes = s.entry(first);
      assert.equal(await s.outcome(first, firstBytes), 'committed');
      const newer = await s.filled();
      assert.equal(await s.outcome(first, firstBytes), 'committed');
      assert.deepEqual(await s.kept(), newer);
      await s.store.invalidate(s.key, 'purge');
      assert.equal(await s.outcome(first, firstBytes), 'committed');
      assert.equal(await s.bytes(), undefined);
    },
  },
  {
    name: 'commit: a refusal, sent again, is the same refusal',
    async run(harness) {
      const s = await Scenario.on(harness);
      const late = await s.shared();
      const beganMs = Math.floor(late.nowMs) - 1;
      await s.filled();
      assert.equal(await s.outcome(late, s.entry(late, { beganMs })), 'superseded');
      await s.store.invalidate(s.key, 'purge');
      assert.equal(await s.outcome(late, s.entry(late, { beganMs })), 'superseded');
      assert.equal(await s.bytes(), undefined);
    },
  },
  {
    name: 'commit: 20 at once with one token are one commit',
    async run(harness) {
      const s = await Scenario.on(harness);
      const grant = await s.granted();
      const bytes = s.entry(grant);
      const outcomes = await Promise.all(Array.from({ length: 20 }, () => s.outcome(grant, bytes)));
      assert.deepEqual([...new Set(outcomes)], ['committed']);
      assert.deepEqual(await s.kept(), bytes);
    },
  },
  {
    name: 'commit: a token that was never given, or not for this key, is fenced',
    async run(harness) {
      const s = await Scenario.on(harness);
      const grant = await s.granted({ key: keyOf('other') });
      const { epoch } = await s.store.read(s.key, []);
      for (const impostor of [
        { ...grant, token: 'unknown' },
        { ...grant, key: s.key, epoch },
      ]) {
        assert.equal(await s.outcome(impostor, s.entry(grant)), 'fenced-token');
        assert.equal(await s.bytes(impostor.key), undefined);
      }
      assert.equal(await s.outcome(grant, s.entry(grant)), 'committed');
    },
  },
  {
    name: 'commit: a store of another epoch refuses',
    async run(harness) {
      const s = await Scenario.on(harness);
      const grant = await s.granted();
      const epoch = grant.epoch === 0 ? 1 : grant.epoch - 1;
      const reply = await s.commit(grant, s.entry(grant), { epoch });
      assert.equal(reply.outcome, 'fenced-epoch');
      assert.equal(await s.bytes(), undefined);
    },
  },
  {
    name: 'commit: it reads the generations again, with what moved since the grant',
    async run(harness) {
      const s = await Scenario.on(harness);
      const names = ['d:offers', 't:offers:s.gold'];
      const grant = await s.granted({ generations: names });
      await s.store.advance('t:offers:s.gold', 'expire', 1000 * s.unit);
      const { generations } = await s.commit(grant, s.entry(grant), { generations: [...names, 't:offers:s.unknown'] });
      assert.deepEqual(generations.get('d:offers'), grant.generations.get('d:offers'));
      assert.ok(generations.get('t:offers:s.gold')!.value > grant.generations.get('t:offers:s.gold')!.value);
      assert.equal(generations.get('t:offers:s.unknown'), undefined);
      const refused = await s.commit({ ...grant, token: 'unknown' }, s.entry(grant), { generations: names });
      assert.ok(refused.generations.get('d:offers'), 'also when it refuses');
    },
  },
  {
    name: 'fill: a value whose load began later stays; one that began at the same time, or earlier, goes',
    async run(harness) {
      const s = await Scenario.on(harness);
      const [early, same, later] = [await s.granted(), await s.shared(), await s.shared()];
      const beganMs = Math.floor(early.nowMs) - 5;
      const kept = await s.filled({ beganMs });
      assert.equal(await s.outcome(early, s.entry(early, { beganMs: beganMs - 1 })), 'superseded');
      assert.deepEqual(await s.kept(), kept);
      await s.granted();
      for (const [grant, began] of [
        [same, beganMs],
        [later, beganMs + 1],
      ] as const) {
        const bytes = s.entry(grant, { beganMs: began });
        assert.equal(await s.outcome(grant, bytes), 'committed');
        assert.deepEqual(await s.kept(), bytes);
      }
    },
  },
  {
    name: 'fill: a value that claims to begin in the future does not stand in the way',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.filled({ beganMs: s.store.now(s.key) + 1_000_000 });
      const holder = await s.granted();
      assert.equal(await s.outcome(holder, s.entry(holder)), 'committed');
    },
  },
  {
    name: 'fill: marks that hold no value never supersede one',
    async run(harness) {
      const s = await Scenario.on(harness);
      const first = await s.shared();
      const beganMs = Math.floor(first.nowMs) - 10;
      await s.filled({ flags: FLAG.hitForMiss });
      assert.equal(await s.outcome(first, s.entry(first, { beganMs })), 'committed');
      await s.store.invalidate(s.key, 'purge');
      await s.filled();
      await s.store.invalidate(s.key, 'remove');
      const second = await s.granted();
      assert.equal(await s.outcome(second, s.entry(second, { beganMs })), 'committed');
    },
  },
  {
    name: 'extend: it renews the entry that was seen, and no other',
    async run(harness) {
      const s = await Scenario.on(harness);
      const seen = await s.filled();
      const [first, second, third] = [await s.shared(), await s.shared(), await s.shared()];
      const seenId = idOf(seen);
      const extended = s.entry(first, { id: seenId, hardMs: decode(seen).hardMs + s.unit });
      assert.equal(await s.outcome(first, extended, { kind: 'extend', seenId }), 'committed');
      assert.deepEqual(await s.kept(), extended);
      const other = await s.filled();
      assert.equal(await s.outcome(second, extended, { kind: 'extend', seenId }), 'superseded');
      assert.deepEqual(await s.kept(), other);
      assert.equal(await s.store.renew(s.key, second.token, s.unit), false, 'the refused token is consumed');
      const cleared = await s.shared();
      await s.commit(cleared, NOTHING, { kind: 'clear' });
      assert.equal(await s.outcome(third, extended, { kind: 'extend', seenId }), 'superseded');
      assert.equal(await s.bytes(), undefined);
    },
  },
  {
    name: 'clear: what is there goes, the token is consumed, the lease ends',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.filled();
      const grant = await s.granted();
      assert.equal(await s.outcome(grant, NOTHING, { kind: 'clear' }), 'committed');
      assert.equal(await s.bytes(), undefined);
      assert.equal(await s.outcome(grant, NOTHING, { kind: 'clear' }), 'committed');
      assert.equal(await s.store.renew(s.key, grant.token, s.unit), false);
      await s.granted();
    },
  },
  {
    name: 'clear: other attempts go on',
    async run(harness) {
      const s = await Scenario.on(harness);
      const [holder, clearing] = [await s.granted(), await s.shared()];
      await s.commit(clearing, NOTHING, { kind: 'clear' });
      await s.refused('held');
      assert.equal(await s.outcome(holder, s.entry(holder)), 'committed');
    },
  },
  {
    name: 'fill: other attempts go on',
    async run(harness) {
      const s = await Scenario.on(harness);
      const [holder, beside] = [await s.granted(), await s.shared()];
      await s.filled({ beganMs: Math.floor(holder.nowMs) });
      await s.refused('held');
      assert.equal(await s.outcome(holder, s.entry(holder)), 'committed');
      assert.equal(await s.outcome(beside, s.entry(beside)), 'committed');
    },
  },
  {
    name: 'put: it replaces what began later, and voids every other attempt and the lease',
    async run(harness) {
      const s = await Scenario.on(harness);
      const [holder, beside, writer] = [await s.granted(), await s.shared(), await s.shared()];
      await s.filled();
      const written = s.entry(writer, { beganMs: Math.floor(writer.nowMs) - 10 });
      assert.equal(await s.outcome(writer, written, { kind: 'put' }), 'committed');
      assert.deepEqual(await s.kept(), written);
      for (const voided of [holder, beside]) {
        assert.equal(await s.store.renew(s.key, voided.token, s.unit), false);
        assert.equal(await s.outcome(voided, s.entry(voided)), 'fenced-token');
      }
      const next = await s.granted();
      assert.equal(await s.outcome(writer, written, { kind: 'put' }), 'committed');
      assert.equal(await s.outcome(next, s.entry(next)), 'committed', 'sent again, it voids nobody');
    },
  },
  {
    name: 'commit: a refused one consumes its token and ends its lease',
    async run(harness) {
      const s = await Scenario.on(harness);
      const holder = await s.granted();
      await s.filled();
      const beganMs = Math.floor(holder.nowMs) - 10;
      assert.equal(await s.outcome(holder, s.entry(holder, { beganMs })), 'superseded');
      assert.equal(await s.store.renew(s.key, holder.token, s.unit), false);
      await s.granted();
    },
  },
];

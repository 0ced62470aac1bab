import assert from 'node:assert/strict';
import { Scenario, type ContractCase } from './scenario.js';

const TAG = 't:offers:s.gold';
const DOMAIN = 'd:offers';

export const generationCases: readonly ContractCase[] = [
  {
    name: 'generations: one that is missing is created by a grant',
    async run(harness) {
      const s = await Scenario.on(harness);
      assert.equal(await s.generation(TAG), undefined);
      const grant = await s.granted({ generations: [TAG, DOMAIN] });
      assert.deepEqual([...grant.generations.keys()].toSorted(), [DOMAIN, TAG]);
      for (const name of [TAG, DOMAIN]) {
        const generation = grant.generations.get(name);
        assert.ok(generation && generation.removed === 0 && Number.isSafeInteger(generation.value));
        assert.ok(Math.abs(generation.value / 1000 - grant.nowMs) < s.unit, 'its value is store time in microseconds');
        assert.deepEqual(await s.generation(name, await s.another()), generation);
      }
    },
  },
  {
    name: 'generations: a read asks for many at once and says which are missing',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.granted({ generations: [TAG] });
      const bytes = await s.filled();
      const reply = await s.store.read(s.key, [TAG, 't:offers:s.none', DOMAIN]);
      assert.deepEqual(reply.bytes, bytes);
      assert.ok(reply.generations.get(TAG));
      assert.equal(reply.generations.get('t:offers:s.none'), undefined);
      assert.equal(reply.generations.get(DOMAIN), undefined);
    },
  },
  {
    name: 'generations: a grant does not move one that is there',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.store.advance(TAG, 'remove', 1000 * s.unit);
      const before = await s.generation(TAG);
      assert.ok(before);
      await s.pass(1);
      const grant = await s.granted({ generations: [TAG] });
      assert.deepEqual(grant.generations.get(TAG), before);
    },
  },
  {
    name: 'generations: advanced 1000 times in a row, it grows every time',
    async run(harness) {
      const s = await Scenario.on(harness);
      let last = (await s.granted({ generations: [TAG] })).generations.get(TAG)!.value;
      for (let i = 0; i < 1000; i++) {
        await s.store.advance(TAG, 'expire', 1000 * s.unit);
        const { value } = (await s.generation(TAG))!;
        assert.ok(value > last, `${value} is more than ${last}`);
        last = value;
      }
    },
  },
  {
    name: 'generations: advanced 1000 times at once, it grows by as many steps',
    async run(harness) {
      const s = await Scenario.on(harness);
      const before = (await s.granted({ generations: [TAG] })).generations.get(TAG)!.value;
      const stores = [s.store, await s.another()];
      await Promise.all(Array.from({ length: 1000 }, (_, i) => stores[i % 2]!.advance(TAG, 'expire', 1000 * s.unit)));
      assert.ok((await s.generation(TAG))!.value >= before + 1000);
    },
  },
  {
    name: 'generations: only a removal moves what forbids serving',
    async run(harness) {
      const s = await Scenario.on(harness);
      const step = async (mode: 'expire' | 'remove' | 'purge'): Promise<{ value: number; removed: number }> => {
        await s.store.advance(TAG, mode, 1000 * s.unit);
        return (await s.generation(TAG))!;
      };
      assert.equal((await step('expire')).removed, 0);
      const removed = await step('remove');
      assert.equal(removed.removed, removed.value);
      const expired = await step('expire');
      assert.ok(expired.value > removed.value);
      assert.equal(expired.removed, removed.removed);
      const purged = await step('purge');
      assert.equal(purged.removed, purged.value);
    },
  },
  {
    name: 'generations: advancing one leaves the others, and every attempt, alone',
    async run(harness) {
      const s = await Scenario.on(harness);
      const grant = await s.granted({ generations: [TAG, DOMAIN] });
      await s.store.advance(TAG, 'remove', 1000 * s.unit);
      assert.deepEqual(await s.generation(DOMAIN), grant.generations.get(DOMAIN));
      assert.equal(await s.outcome(grant, s.entry(grant)), 'committed');
    },
  },
  {
    name: 'generations: one lives for as long as was asked for last, and longer if that was asked for before',
    async run(harness) {
      const s = await Scenario.on(harness);
      const [long, short, extended] = ['t:offers:s.long', 't:offers:s.short', 't:offers:s.extended'];
      await s.shared({ generations: [long], generationTtlMs: 100 * s.unit });
      await s.shared({ generations: [long, short, extended], generationTtlMs: 2 * s.unit });
      await s.shared({ generations: [extended], generationTtlMs: 100 * s.unit });
      await s.store.advance('t:offers:s.moved', 'expire', 2 * s.unit);
      assert.ok(await s.generation(short));
      await s.pass(3);
      assert.ok(await s.generation(long));
      assert.ok(await s.generation(extended));
      assert.equal(await s.generation(short), undefined);
      assert.equal(await s.generation('t:offers:s.moved'), undefined);
    },
  },
  {
    name: 'generations: one that was lost comes back larger than it was',
    async run(harness) {
      const s = await Scenario.on(harness);
      const first = await s.shared({ generations: [TAG], generationTtlMs: s.unit });
      await s.pass(2);
      const second = await s.shared({ generations: [TAG] });
      assert.ok(second.generations.get(TAG)!.value > first.generations.get(TAG)!.value);
    },
  },
];

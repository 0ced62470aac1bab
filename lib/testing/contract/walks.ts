import assert from 'node:assert/strict';
import { FLAG } from '../../core/entry.js';
import type { EntryKey } from '../../core/keys.js';
import { decode, keyOf, Scenario, type ContractCase } from './scenario.js';

async function walked(s: Scenario, domain: string, batch: number) {
  const sizes: number[] = [];
  const found = new Map<EntryKey, Buffer>();
  for await (const entries of s.store.walk(domain, batch)) {
    sizes.push(entries.length);
    for (const { key, bytes } of entries) found.set(key, bytes);
  }
  return { sizes, found };
}

export const walkCases: readonly ContractCase[] = [
  {
    name: 'walk: all entries of the domain and of no other, with their keys and bytes',
    async run(harness) {
      const s = await Scenario.on(harness);
      const filled = new Map<EntryKey, Buffer>();
      for (const domain of ['a', 'ab', 'b']) {
        const keys = Array.from({ length: 40 }, (_, i) => keyOf(`k${i}`, domain));
        const bytes = await Promise.all(keys.map((key) => s.filled({ payload: Buffer.from(key) }, key)));
        if (domain === 'a') keys.forEach((key, i) => filled.set(key, bytes[i]!));
      }
      await s.granted({ key: keyOf('a lease, and no entry', 'a') });
      await s.store.records.put(keyOf('a record', 'a'), Buffer.from('a'), 1000 * s.unit);
      const { found } = await walked(s, 'a', 7);
      assert.deepEqual(found, filled);
      assert.equal((await walked(s, 'c', 7)).found.size, 0);
    },
  },
  {
    name: 'walk: in batches, none of which is near to all, whoever stops early',
    async run(harness) {
      const s = await Scenario.on(harness);
      const names = Array.from({ length: 600 }, (_, i) => `k${i}`);
      await Promise.all(names.map((name) => s.filled({}, keyOf(name))));
      const { sizes, found } = await walked(s, 'offers', 20);
      assert.equal(found.size, 600);
      assert.ok(Math.max(...sizes) <= 100, `batches of ${Math.max(...sizes)}`);
      for await (const first of s.store.walk('offers', 20)) if (first.length > 0) break;
      assert.equal((await walked(s, 'offers', 10_000)).found.size, 600);
    },
  },
  {
    name: 'walk: what stays all the while is met, whatever comes and goes meanwhile',
    async run(harness) {
      const s = await Scenario.on(harness);
      const stays = Array.from({ length: 100 }, (_, i) => keyOf(`stays${i}`));
      const goes = Array.from({ length: 100 }, (_, i) => keyOf(`goes${i}`));
      await Promise.all([...stays, ...goes].map((key) => s.filled({}, key)));
      const met = new Set<EntryKey>();
      let comes = 0;
      for await (const entries of s.store.walk('offers', 10)) {
        for (const { key } of entries) met.add(key);
        const gone = goes.splice(0, 20);
        await Promise.all(gone.map((key) => s.store.invalidate(key, 'purge')));
        if (comes < 100) await Promise.all(gone.map(() => s.filled({}, keyOf(`comes${comes++}`))));
      }
      assert.deepEqual(stays.filter((key) => !met.has(key)), []); // prettier-ignore
    },
  },
  {
    name: 'walk: stale entries and tombstones are met as what they are, what has expired is not; the bytes are a copy',
    async run(harness) {
      const s = await Scenario.on(harness);
      const [stale, removed, gone] = [keyOf('stale'), keyOf('removed'), keyOf('gone')];
      for (const key of [stale, removed]) await s.filled({ version: 7n }, key);
      const beganMs = Math.floor((await s.shared()).nowMs);
      await s.filled({ beganMs, hardMs: beganMs + s.unit }, gone);
      await s.store.invalidate(stale, 'expire');
      await s.store.invalidate(removed, 'remove');
      await s.pass(2);
      const { found } = await walked(s, 'offers', 10);
      const flags = (key: EntryKey): number => decode(found.get(key)!).flags;
      assert.ok(flags(stale) & FLAG.marked);
      assert.ok(flags(removed) & FLAG.removed);
      assert.equal(found.size, 2);
      found.get(stale)!.fill(0);
      assert.equal(decode(await s.kept(stale)).version, 7n);
    },
  },
];

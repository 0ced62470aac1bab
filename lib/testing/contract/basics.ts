import assert from 'node:assert/strict';
import { isCacheGuardError } from '../../core/errors.js';
import { decode, keyOf, NOTHING, Scenario, type ContractCase } from './scenario.js';

export const basicCases: readonly ContractCase[] = [
  {
    name: 'read: of nothing, it says so',
    async run(harness) {
      const s = await Scenario.on(harness);
      const reply = await s.store.read(s.key, []);
      assert.equal(reply.bytes, undefined);
      assert.equal(reply.generations.size, 0);
      assert.ok(Math.abs(reply.nowMs - s.store.now(s.key)) < 10 * s.unit);
    },
  },
  {
    name: 'read: many at once, in one tick, each get their own',
    async run(harness) {
      const s = await Scenario.on(harness);
      const names = Array.from({ length: 50 }, (_, i) => `k${i}`);
      await Promise.all(names.map((name) => s.filled({ payload: Buffer.from(name) }, keyOf(name))));
      const read = await Promise.all([...names, ...names].map((name) => s.kept(keyOf(name))));
      assert.deepEqual(
        read.map((bytes) => decode(bytes).payload.toString()),
        [...names, ...names],
      );
    },
  },
  {
    name: 'keys that differ only in the last segment, or in the domain, hold their own entries',
    async run(harness) {
      const s = await Scenario.on(harness);
      const keys = [keyOf('1'), keyOf('11'), keyOf('1.'), keyOf('1', 'a'), keyOf('1', 'ab')];
      const bytes = [];
      for (const key of keys) bytes.push(await s.filled({}, key));
      for (const [index, key] of keys.entries()) assert.deepEqual(await s.kept(key), bytes[index]);
    },
  },
  {
    name: 'now: store time goes on',
    async run(harness) {
      const s = await Scenario.on(harness);
      const start = s.store.now(s.key);
      await s.pass(2);
      assert.ok(s.store.now(s.key) >= start + s.unit);
    },
  },
  {
    name: 'now: no older than a grant before it, give or take a millisecond',
    async run(harness) {
      const s = await Scenario.on(harness);
      for (let i = 0; i < 20; i++) assert.ok((await s.shared()).nowMs <= s.store.now(s.key) + 1);
    },
  },
  {
    name: 'sweep: it erases what is doomed, of its domain only',
    async run(harness) {
      const s = await Scenario.on(harness);
      const names = Array.from({ length: 30 }, (_, i) => `k${i}`);
      for (const domain of ['a', 'ab', 'b']) {
        for (const name of names) await s.filled({ payload: Buffer.from(`${domain}/${name}`) }, keyOf(name, domain));
      }
      const seen: string[] = [];
      const swept = await s.store.sweep('a', (bytes) => {
        const payload = decode(bytes).payload.toString();
        seen.push(payload);
        bytes.fill(0);
        return payload.endsWith('5');
      });
      assert.equal(swept, 3);
      assert.deepEqual([...new Set(seen)].toSorted(), names.map((name) => `a/${name}`).toSorted());
      for (const name of names) {
        const left = await s.bytes(keyOf(name, 'a'));
        assert.equal(left && decode(left).payload.toString(), name.endsWith('5') ? undefined : `a/${name}`);
        assert.ok(await s.bytes(keyOf(name, 'ab')));
        assert.ok(await s.bytes(keyOf(name, 'b')));
      }
      assert.equal(await s.store.sweep('a', () => true), 27);
      assert.equal(await s.store.sweep('a', () => true), 0);
    },
  },
  {
    name: 'sweep: what has expired is neither shown nor counted',
    async run(harness) {
      const s = await Scenario.on(harness);
      const beganMs = Math.floor((await s.shared()).nowMs);
      await s.filled({ beganMs, hardMs: beganMs + 2 * s.unit });
      await s.pass(3);
      assert.equal(await s.store.sweep('offers', () => true), 0);
    },
  },
  {
    name: 'sweep: leases and generations are not its business',
    async run(harness) {
      const s = await Scenario.on(harness);
      const holder = await s.granted({ generations: ['d:offers'] });
      await s.filled();
      assert.equal(await s.store.sweep('offers', () => true), 1);
      await s.refused('held');
      assert.ok(await s.generation('d:offers'));
      assert.equal(await s.outcome(holder, s.entry(holder)), 'committed');
    },
  },
  {
    name: 'close: every later call rejects, and no signal arrives; closing again is harmless',
    async run(harness) {
      const s = await Scenario.on(harness);
      const grant = await s.granted();
      const heard: unknown[] = [];
      s.store.onSignal((signal) => heard.push(signal));
      await s.store.close();
      await s.store.close();
      const calls = [
        () => s.store.read(s.key, []),
        () => s.acquire(),
        () => s.store.renew(s.key, grant.token, s.unit),
        () => s.commit(grant, NOTHING, { kind: 'clear' }),
        () => s.store.release({ key: s.key, token: grant.token, backoff: undefined }),
        () => s.store.invalidate(s.key, 'remove'),
        () => s.store.advance('d:offers', 'remove', s.unit),
        () => s.store.sweep('offers', () => true),
      ];
      for (const call of calls) {
        await assert.rejects(call(), (error) => isCacheGuardError(error, 'CG_STORE_UNAVAILABLE'));
      }
      assert.deepEqual(heard, []);
    },
  },
];

import assert from 'node:assert/strict';
import { idOf, keyOf, NOTHING, Scenario, type ContractCase } from './scenario.js';

export const leaseCases: readonly ContractCase[] = [
  {
    name: 'acquire: a free key is granted, with the store’s time and identity',
    async run(harness) {
      const s = await Scenario.on(harness);
      const grant = await s.granted();
      assert.ok(Math.abs(grant.nowMs - s.store.now(s.key)) < 10 * s.unit, 'the grant is stamped with store time');
      assert.ok(Number.isInteger(grant.epoch) && grant.epoch >= 0 && grant.epoch < 2 ** 32, 'the epoch fits an entry');
      assert.equal((await s.store.read(s.key, [])).epoch, grant.epoch);
      assert.equal(grant.generations.size, 0);
    },
  },
  {
    name: 'acquire: a held key is refused, with what remains of the lease',
    async run(harness) {
      const s = await Scenario.on(harness);
      const grant = await s.granted({ leaseMs: 50 * s.unit });
      const token = s.token();
      const refusal = await s.acquire({ token });
      assert.ok(refusal.kind === 'held');
      assert.ok(refusal.remainingMs > 0 && refusal.remainingMs <= 50 * s.unit);
      assert.ok(refusal.nowMs > grant.nowMs, 'refusals and grants are ordered by their time');
      assert.equal(await s.store.renew(s.key, token, s.unit), false, 'a refused token is not registered');
      assert.equal(await s.store.renew(s.key, grant.token, 50 * s.unit), true, 'the holder is not disturbed');
    },
  },
  {
    name: 'acquire: of 100 at once from two processes, exactly one is granted',
    async run(harness) {
      const s = await Scenario.on(harness);
      const stores = [s.store, await s.another()];
      const replies = await Promise.all(Array.from({ length: 100 }, (_, i) => s.acquire({}, stores[i % 2])));
      assert.equal(replies.filter(({ kind }) => kind === 'granted').length, 1);
      assert.equal(replies.filter(({ kind }) => kind === 'held').length, 99);
    },
  },
  {
    name: 'acquire: sent again with its token, it is granted again',
    async run(harness) {
      const s = await Scenario.on(harness);
      const first = await s.granted({ seenId: '' });
      await s.filled();
      const again = await s.granted({ token: first.token, seenId: '', honourBackoff: true });
      assert.equal(again.epoch, first.epoch);
      assert.ok(again.nowMs >= first.nowMs);
      await s.refused('held');
      assert.equal(await s.outcome(again, s.entry(again)), 'committed');
    },
  },
  {
    name: 'acquire: a lease that ran out is up for grabs, and its token is void',
    async run(harness) {
      const s = await Scenario.on(harness);
      const old = await s.granted({ leaseMs: s.unit });
      await s.pass(2);
      const next = await s.granted();
      assert.equal(await s.outcome(old, s.entry(old)), 'fenced-token');
      assert.equal(await s.bytes(), undefined);
      assert.equal(await s.outcome(next, s.entry(next)), 'committed');
    },
  },
  {
    name: 'acquire: a token past its lease is void even if nobody took over',
    async run(harness) {
      const s = await Scenario.on(harness);
      const old = await s.granted({ leaseMs: s.unit });
      const beside = await s.shared({ leaseMs: s.unit });
      await s.pass(2);
      for (const late of [old, beside]) {
        assert.equal(await s.store.renew(s.key, late.token, s.unit), false);
        assert.equal(await s.outcome(late, s.entry(late)), 'fenced-token');
      }
    },
  },
  {
    name: 'acquire: shared attempts neither wait nor exclude',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.shared();
      const holder = await s.granted();
      await s.shared();
      await s.refused('held');
      assert.equal(await s.store.renew(s.key, holder.token, s.unit), true);
    },
  },
  {
    name: 'acquire: two attempts of one process never share a fate',
    async run(harness) {
      const s = await Scenario.on(harness);
      const [a, b, c] = [await s.granted(), await s.shared(), await s.shared({ leaseMs: s.unit })];
      await s.store.release({ key: s.key, token: a.token, backoff: undefined });
      await s.pass(2);
      assert.equal(await s.outcome(a, s.entry(a)), 'fenced-token');
      assert.equal(await s.outcome(c, s.entry(c)), 'fenced-token');
      assert.equal(await s.outcome(b, s.entry(b)), 'committed');
    },
  },
  {
    name: 'acquire: an entry that the caller has not seen is given instead of a lease',
    async run(harness) {
      const s = await Scenario.on(harness);
      const bytes = await s.filled();
      await s.store.advance('d:offers', 'expire', 1000 * s.unit);
      for (const seenId of ['', 'ffffffffffffffff']) {
        const token = s.token();
        const reply = await s.acquire({ token, seenId, generations: ['d:offers', 't:offers:s.none'] });
        assert.ok(reply.kind === 'changed');
        assert.deepEqual(reply.reply.bytes, bytes);
        assert.ok(reply.reply.generations.get('d:offers'));
        assert.equal(await s.store.renew(s.key, token, s.unit), false);
      }
      await s.granted({ seenId: idOf(bytes) });
    },
  },
  {
    name: 'acquire: an unseen entry is given also while the key is held, or backs off',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.filled();
      const holder = await s.granted();
      await s.refused('changed', { seenId: '' });
      await s.store.release({
        key: s.key,
        token: holder.token,
        backoff: { baseMs: 100 * s.unit, maxMs: 100 * s.unit },
      });
      await s.refused('changed', { seenId: '', honourBackoff: true });
    },
  },
  {
    name: 'acquire: it does not matter what the caller saw if nothing is there any more, or if it does not say',
    async run(harness) {
      const s = await Scenario.on(harness);
      const seenId = idOf(await s.filled());
      await s.store.invalidate(s.key, 'purge');
      const first = await s.granted({ seenId });
      assert.equal(await s.outcome(first, s.entry(first, { hardMs: Math.floor(first.nowMs) + s.unit })), 'committed');
      const second = await s.granted();
      await s.store.release({ key: s.key, token: second.token, backoff: undefined });
      await s.pass(2);
      await s.granted({ seenId: '' });
    },
  },
  {
    name: 'acquire: what is past its own hard expiry counts as nothing, also if the store still has it',
    async run(harness) {
      const s = await Scenario.on(harness);
      const grant = await s.granted();
      const hardMs = Math.floor(grant.nowMs) + s.unit;
      await s.commit(grant, s.entry(grant, { hardMs }), { hardMs: hardMs + 1000 * s.unit });
      await s.pass(2);
      await s.granted({ seenId: '' });
    },
  },
  {
    name: 'renew: a renewed lease outlives its first end',
    async run(harness) {
      const s = await Scenario.on(harness);
      const holder = await s.granted({ leaseMs: 2 * s.unit });
      const beside = await s.shared({ leaseMs: 2 * s.unit });
      await s.pass(1);
      assert.equal(await s.store.renew(s.key, holder.token, 100 * s.unit), true);
      assert.equal(await s.store.renew(s.key, beside.token, 100 * s.unit), true);
      await s.pass(2);
      await s.refused('held');
      assert.equal(await s.outcome(holder, s.entry(holder)), 'committed');
      assert.equal(await s.outcome(beside, s.entry(beside)), 'committed');
    },
  },
  {
    name: 'renew: a void, consumed or unknown token stays void',
    async run(harness) {
      const s = await Scenario.on(harness);
      const committed = await s.granted();
      await s.commit(committed, s.entry(committed));
      const released = await s.granted();
      await s.store.release({ key: s.key, token: released.token, backoff: undefined });
      for (const token of [committed.token, released.token, 'unknown']) {
        assert.equal(await s.store.renew(s.key, token, s.unit), false);
      }
      await s.granted();
    },
  },
  {
    name: 'release: the next one is granted at once, the released one can no longer commit',
    async run(harness) {
      const s = await Scenario.on(harness);
      const first = await s.granted();
      await s.store.release({ key: s.key, token: first.token, backoff: undefined });
      await s.granted({ honourBackoff: true });
      assert.equal(await s.outcome(first, s.entry(first)), 'fenced-token');
    },
  },
  {
    name: 'release: a token that is not registered releases nothing and backs nothing off',
    async run(harness) {
      const s = await Scenario.on(harness);
      const holder = await s.granted();
      const backoff = { baseMs: 100 * s.unit, maxMs: 100 * s.unit };
      await s.store.release({ key: s.key, token: 'unknown', backoff });
      await s.refused('held', { honourBackoff: true });
      await s.store.release({ key: s.key, token: holder.token, backoff: undefined });
      await s.store.release({ key: s.key, token: holder.token, backoff });
      await s.granted({ honourBackoff: true });
    },
  },
  {
    name: 'release: a shared attempt leaves the holder its lease',
    async run(harness) {
      const s = await Scenario.on(harness);
      const holder = await s.granted();
      const beside = await s.shared();
      await s.store.release({ key: s.key, token: beside.token, backoff: undefined });
      await s.refused('held');
      assert.equal(await s.store.renew(s.key, holder.token, s.unit), true);
    },
  },
  {
    name: 'leases of keys that differ only in the last segment, or in the domain, are apart',
    async run(harness) {
      const s = await Scenario.on(harness);
      const keys = [keyOf('gold'), keyOf('golden'), keyOf('gold', 'a'), keyOf('gold', 'ab')];
      const grants = [];
      for (const key of keys) grants.push(await s.granted({ key }));
      await s.store.invalidate(keys[0]!, 'remove');
      for (const grant of grants.slice(1)) assert.equal(await s.outcome(grant, s.entry(grant)), 'committed');
      assert.equal(await s.outcome(grants[0]!, NOTHING, { kind: 'clear' }), 'fenced-token');
      assert.equal(await s.bytes(keys[0]), undefined);
    },
  },
];

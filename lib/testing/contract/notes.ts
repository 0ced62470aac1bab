import assert from 'node:assert/strict';
import { isCacheGuardError } from '../../core/errors.js';
import { keyOf, Scenario, type ContractCase } from './scenario.js';

/** What a ledger must know at least. */
const LEDGER_MIN = 50_000;

function identities(from: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `identity-${from + i}`);
}

const count = (known: readonly boolean[]): number => known.filter(Boolean).length;

export const noteCases: readonly ContractCase[] = [
  {
    name: 'ledger: it knows what it was told to remember, in every process, in the order of the question',
    async run(harness) {
      const s = await Scenario.on(harness);
      const { ledger } = s.store;
      assert.deepEqual(await ledger.known([]), []);
      assert.deepEqual(await ledger.known(['a', 'b', 'a']), [false, false, false]);
      await ledger.remember([]);
      await ledger.remember(['a', 'c']);
      await ledger.remember(['a']);
      const other = await s.another();
      assert.deepEqual(await other.ledger.known(['c', 'b', 'a', 'A', 'a']), [true, false, true, false, true]);
    },
  },
  {
    name: 'ledger: it takes and tells thousands at once',
    async run(harness) {
      const { store } = await Scenario.on(harness);
      const even = identities(0, 12_345).filter((_, i) => i % 2 === 0);
      await store.ledger.remember(even);
      const known = await store.ledger.known(identities(0, 12_345));
      assert.ok(known.every((one, i) => one === (i % 2 === 0)));
    },
  },
  {
    name: 'ledger: it is bounded, and forgets the oldest first',
    async run(harness) {
      const { store } = await Scenario.on(harness);
      const all = identities(0, 3 * LEDGER_MIN);
      for (let from = 0; from < all.length; from += 5_000) {
        await store.ledger.remember(all.slice(from, from + 5_000));
        if (from % LEDGER_MIN !== 25_000) continue;
        const last = all.slice(Math.max(0, from + 5_000 - LEDGER_MIN), from + 5_000);
        assert.equal(count(await store.ledger.known(last)), last.length, 'the last are known');
      }
      const known = await store.ledger.known(all);
      assert.equal(count(known.slice(-LEDGER_MIN)), LEDGER_MIN, 'the last are known');
      assert.ok(count(known) <= 2 * LEDGER_MIN + 5_000, `${count(known)} are bounded`);
      assert.equal(known[0], false, 'the first are forgotten');
    },
  },
  {
    name: 'records: bytes by key, in the order of the keys; the last counts',
    async run(harness) {
      const s = await Scenario.on(harness);
      const [a, b, c] = [keyOf('a'), keyOf('b'), keyOf('c')];
      const bytes = Buffer.from([0, 255, 13, 10, 0]);
      await s.store.records.put(a, Buffer.from('first'), 1000 * s.unit);
      await s.store.records.put(a, bytes, 1000 * s.unit);
      await s.store.records.put(c, Buffer.alloc(0), 1000 * s.unit);
      bytes.fill(1);
      const { records } = await s.another();
      const expected = Buffer.from([0, 255, 13, 10, 0]);
      assert.deepEqual(await records.get([c, b, a, a]), [Buffer.alloc(0), undefined, expected, expected]);
      assert.deepEqual(await records.get([]), []);
      (await records.get([a]))[0]!.fill(1);
      assert.deepEqual(await records.get([a]), [expected], 'whoever gets it has a copy');
    },
  },
  {
    name: 'records: they live as long as they were given, whatever becomes of the entry',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.filled();
      await s.store.records.put(s.key, Buffer.from('short'), 2 * s.unit);
      await s.store.records.put(keyOf('long'), Buffer.from('long'), 1000 * s.unit);
      await s.store.invalidate(s.key, 'purge');
      await s.store.sweep('offers', () => true);
      assert.deepEqual(await s.store.records.get([s.key]), [Buffer.from('short')]);
      await s.pass(3);
      assert.deepEqual(await s.store.records.get([s.key, keyOf('long')]), [undefined, Buffer.from('long')]);
    },
  },
  {
    name: 'board: texts by name, for every process, in the order of the names; the last counts',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.store.board.post('a', 'first', 1000 * s.unit);
      await s.store.board.post('a', 'täglich ✓', 1000 * s.unit);
      await s.store.board.post('source:stream {1}', '', 1000 * s.unit);
      const { board } = await s.another();
      assert.deepEqual(await board.read(['b', 'source:stream {1}', 'a']), [undefined, '', 'täglich ✓']);
      assert.deepEqual(await board.read([]), []);
    },
  },
  {
    name: 'board: a text lives as long as it was given last',
    async run(harness) {
      const s = await Scenario.on(harness);
      await s.store.board.post('short', 'a', 2 * s.unit);
      await s.store.board.post('longer', 'a', 2 * s.unit);
      await s.store.board.post('longer', 'b', 1000 * s.unit);
      assert.deepEqual(await s.store.board.read(['short', 'longer']), ['a', 'b']);
      await s.pass(3);
      assert.deepEqual(await s.store.board.read(['short', 'longer']), [undefined, 'b']);
    },
  },
  {
    name: 'ledger, records and board do not get into each other, nor into entries',
    async run(harness) {
      const s = await Scenario.on(harness);
      const entry = await s.filled();
      await s.store.records.put(s.key, Buffer.from('record'), 1000 * s.unit);
      await s.store.board.post(s.key, 'text', 1000 * s.unit);
      await s.store.ledger.remember([s.key]);
      assert.deepEqual(await s.kept(), entry);
      assert.deepEqual(await s.store.records.get([s.key]), [Buffer.from('record')]);
      assert.deepEqual(await s.store.board.read([s.key]), ['text']);
    },
  },
  {
    name: 'close: notes, the ledger and walks reject as everything does',
    async run(harness) {
      const s = await Scenario.on(harness);
      const { ledger, records, board } = s.store;
      await s.store.close();
      const calls = [
        () => ledger.known(['a']),
        () => ledger.remember(['a']),
        () => records.put(s.key, Buffer.from('a'), s.unit),
        () => records.get([s.key]),
        () => board.post('a', 'a', s.unit),
        () => board.read(['a']),
        async () => {
          for await (const batch of s.store.walk('offers', 10)) assert.fail(`a batch of ${batch.length}`);
        },
      ];
      for (const [i, call] of calls.entries()) {
        await assert.rejects(call(), (error) => isCacheGuardError(error, 'CG_STORE_UNAVAILABLE'), `call ${i}`);
      }
    },
  },
];

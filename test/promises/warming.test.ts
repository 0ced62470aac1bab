import type { LoadContext, WarmingOptions, WarmingProgress } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { settle, until, type Member } from './support/fleet.js';
import { BOTH, MEMORY, REDIS } from './support/promise.js';
import { gate } from './support/source.js';
import { slowLoads, warming } from './support/warming.js';

const name = 'boot';
const domain = 'balances';
const keys = ['gold', 'silver', 'tin'];
const load = async (key: string): Promise<string> => `${key} 1`;
const balances = (given: Partial<WarmingOptions> = {}): WarmingOptions => ({ name, domain, keys, load, ...given });
const states = (member: Member): unknown[] => member.all('warming').map(({ state, done }) => [state, done]);
const peeked = async ({ guard }: Member, key: string): Promise<unknown> => (await guard.peek({ domain, key }))?.value;

describe('warming', () => {
  warming('loads what is not fresh, and leaves alone what is', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    await b.guard.put({ domain, key: 'silver' }, 'kept');
    const report = await a.guard.warm(balances()).done;
    expect(report).toMatchObject({ state: 'done', done: 2, failed: 0, skipped: 1, total: 3, error: undefined });
    expect(await Promise.all(keys.map((key) => peeked(b, key)))).toEqual(['gold 1', 'kept', 'tin 1']);
    expect(states(a)).toEqual([
      ['running', 0],
      ['done', 2],
    ]);
    const again = await a.guard.warm(balances()).done;
    expect(again).toMatchObject({ state: 'done', done: 0, skipped: 3 });
  });

  warming('waits for what is stale to be loaded, and does not take the old value for warm', BOTH, async (fleet) => {
    const a = await fleet.start();
    const offer = { domain: 'offers', key: 'gold' };
    await a.guard.put(offer, 'old');
    await a.guard.invalidate(offer);
    const report = await a.guard.warm({ name, domain: 'offers', keys: ['gold'], load: async () => 'new' }).done;
    expect(report).toMatchObject({ done: 1, skipped: 0 });
    expect(await a.guard.peek(offer)).toMatchObject({ value: 'new', state: 'fresh' });
  });

  warming('is done by one process at a time, whatever the others are asked', BOTH, async (fleet) => {
    const [a, b, c] = await fleet.startAll(3);
    const slow = slowLoads();
    const first = a!.guard.warm(balances({ load: slow.load }));
    await until(() => slow.called.length === 3);
    const others = await Promise.all([b!, c!].map(({ guard }) => guard.warm(balances({ load: slow.load })).done));
    for (const { state, done } of others) expect([state, done]).toEqual(['elsewhere', 0]);
    expect(b!.all('warming')).toEqual([]);
    slow.open(...keys);
    expect(await first.done).toMatchObject({ state: 'done', done: 3 });
    expect(slow.called).toHaveLength(3);
    expect(await b!.guard.warm(balances({ load: slow.load })).done).toMatchObject({ state: 'done', skipped: 3 });
  });

  warming('is left alone for its rest, in the whole fleet', MEMORY, async (fleet) => {
    const [a, b] = await fleet.pair();
    const rest = '1m';
    expect(await a.guard.warm(balances({ rest })).done).toMatchObject({ state: 'done' });
    expect(await b.guard.warm(balances({ rest })).done).toMatchObject({ state: 'elsewhere' });
    expect(await b.guard.warm(balances()).done).toMatchObject({ state: 'done' });
    await fleet.pass(60_001);
    expect(await b.guard.warm(balances({ rest })).done).toMatchObject({ state: 'done' });
  });

  warming('spreads the expiry of what it loads, and only shortens it', BOTH, async (fleet) => {
    let draws = 0;
    const a = await fleet.start({ ids: { random: () => (draws++ % 20) / 20 } });
    const many = Array.from({ length: 40 }, (_, i) => `key ${i}`);
    const lives = async (from: string): Promise<number[]> => {
      const found = await Promise.all(many.map((key) => a.guard.explain({ domain, key: `${from} ${key}` })));
      return found.map(({ entry }) => entry!.softInMs + entry!.ageMs).toSorted((x, y) => x - y);
    };
    for (const spread of [undefined, 0.5, 0]) {
      const mine = many.map((key) => `${spread} ${key}`);
      await a.guard.warm(balances({ keys: mine, ...(spread !== undefined && { spread }) })).done;
    }
    const [usual, wide, none] = await Promise.all(['undefined', '0.5', '0'].map(lives));
    expect(usual![0]).toBeGreaterThanOrEqual(42_000);
    expect(usual!.at(-1)).toBeLessThanOrEqual(60_000);
    expect(usual!.at(-1)! - usual![0]!).toBeGreaterThan(10_000);
    expect(wide![0]).toBeLessThan(36_000);
    expect(wide![0]).toBeGreaterThanOrEqual(30_000);
    expect(new Set(none)).toEqual(new Set([60_000]));
    // Whoever reads is given the policy's own TTL.
    await a.guard.getOrLoad({ domain, key: 'read' }, async () => 1);
    const { entry } = await a.guard.explain({ domain, key: 'read' });
    expect(entry!.softInMs + entry!.ageMs).toBe(60_000);
  });

  warming('takes its tiers one after the other', BOTH, async (fleet) => {
    const a = await fleet.start();
    const slow = slowLoads();
    const tiers = [['a', 'b'], new Set(['c']), ['d']].map((some) => ({ keys: some, load: slow.load }));
    const { done } = a.guard.warm({ name, domain, tiers });
    await until(() => slow.called.length === 2);
    slow.open('a', 'c', 'd');
    await settle();
    expect(slow.called).toEqual(['a', 'b']);
    slow.open('b');
    expect(await done).toMatchObject({ done: 4, total: 4 });
    expect(slow.called).toEqual(['a', 'b', 'c', 'd']);
  });

  warming('sets tags and the space of keys', BOTH, async (fleet) => {
    const a = await fleet.start();
    const tags = (key: string) => [`metal:${key}`];
    await a.guard.warm(balances({ space: 'Cards.find', tags })).done;
    const gold = { domain, key: 'gold', name: 'Cards.find' };
    expect(await a.guard.peek(gold)).toMatchObject({ value: 'gold 1' });
    await a.guard.invalidateTags({ domain, tags: ['metal:gold'] });
    expect(await a.guard.peek(gold)).toBeUndefined();
    expect(await a.guard.peek({ ...gold, key: 'tin' })).toMatchObject({ value: 'tin 1' });
  });
});

describe('a warming under way', () => {
  warming('asks an endless list for no more than it has time for, and stops', BOTH, async (fleet) => {
    const a = await fleet.start();
    const slow = slowLoads();
    let asked = 0;
    let cleaned = false;
    async function* endless() {
      try {
        for (;;) yield `key ${++asked}`;
      } finally {
        cleaned = true;
      }
    }
    const running = a.guard.warm(balances({ keys: endless(), load: slow.load, concurrency: 3 }));
    await until(() => slow.called.length === 3);
    await settle();
    expect(asked).toBe(3);
    slow.open('key 1');
    await until(() => slow.called.length === 4);
    await settle();
    expect(asked).toBe(4);
    expect(running.progress).toEqual({ state: 'running', done: 1, failed: 0, skipped: 0, total: undefined });

    const stopped = running.stop();
    let over = false;
    void stopped.then(() => (over = true));
    await settle();
    expect([over, cleaned]).toEqual([false, true]);
    slow.open('key 2', 'key 3', 'key 4');
    expect(await stopped).toMatchObject({ state: 'stopped', done: 4, total: undefined });
    expect([asked, slow.called.length]).toEqual([4, 4]);
    expect(states(a).at(-1)).toEqual(['stopped', 4]);
    // Its duty is free.
    expect(await a.guard.warm(balances()).done).toMatchObject({ state: 'done' });
  });

  warming('is stopped by its signal, though the list never answers', BOTH, async (fleet) => {
    const a = await fleet.start();
    const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
    const abort = new AbortController();
    const { done } = a.guard.warm(balances({ keys: silent, signal: abort.signal }));
    await a.heard('warming');
    abort.abort();
    expect(await done).toMatchObject({ state: 'stopped', done: 0 });
    const aborted = a.guard.warm(balances({ signal: AbortSignal.abort() }));
    expect(await aborted.done).toMatchObject({ state: 'stopped', done: 0 });
  });

  warming('ends with the application, which waits for its loads and keeps no duty', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const slow = slowLoads();
    const running = a.guard.warm(balances({ load: slow.load, concurrency: 1 }));
    await until(() => slow.called.length === 1);
    const closed = a.guard.close();
    slow.open(...keys);
    await closed;
    expect(await running.done).toMatchObject({ state: 'stopped', done: 1 });
    expect(slow.called).toEqual(['gold']);
    expect(await a.guard.warm(balances()).done).toMatchObject({ state: 'stopped', done: 0 });
    expect(await b.guard.warm(balances()).done).toMatchObject({ state: 'done', done: 2, skipped: 1 });
    if (fleet.kind === 'memory') expect(fleet.clock.pending).toBe(0);
    else
      for (const key of await fleet.raw.keys(`${fleet.namespace}:l:*`))
        expect(await fleet.raw.hexists(key, 'h')).toBe(0);
  });

  warming('tells how far it is at most once a second', MEMORY, async (fleet) => {
    const a = await fleet.start();
    const slow = slowLoads();
    const told: WarmingProgress[] = [];
    const onProgress = (progress: WarmingProgress) => void told.push(progress);
    const { done } = a.guard.warm(balances({ load: slow.load, concurrency: 1, onProgress }));
    slow.open('gold');
    await until(() => slow.called.length === 2);
    expect(told.map((one) => one.done)).toEqual([0]);
    await fleet.pass(1_000);
    slow.open('silver');
    await until(() => slow.called.length === 3);
    expect(told.map((one) => one.done)).toEqual([0, 2]);
    slow.open('tin');
    await done;
    expect(told.at(-1)).toEqual({ state: 'done', done: 3, failed: 0, skipped: 0, total: 3 });
    expect(a.all('warming').map(({ state }) => state)).toEqual(told.map(({ state }) => state));
  });

  warming('fails when its duty is lost, and begins nothing more', MEMORY, async (fleet) => {
    const a = await fleet.start();
    const slow = slowLoads();
    const running = a.guard.warm(balances({ load: slow.load, concurrency: 1 }));
    await until(() => slow.called.length === 1);
    await a.store.invalidate(`~duty:::s.warming.${name}`, 'remove');
    await fleet.pass(4_000);
    slow.open(...keys);
    expect(await running.done).toMatchObject({ state: 'failed', done: 1, error: expect.any(Error) });
    expect(slow.called).toEqual(['gold']);
  });
});

describe('what fails', () => {
  warming('of the keys is counted, and stops no other', BOTH, async (fleet) => {
    const a = await fleet.start();
    const trouble = new Error('no silver');
    const some = async (key: string) => (key === 'silver' ? Promise.reject(trouble) : key);
    const report = await a.guard.warm(balances({ load: some, concurrency: 1 })).done;
    expect(report).toMatchObject({ state: 'done', done: 2, failed: 1, total: 3 });
    expect(report.error).toBe(trouble);
    expect(await peeked(a, 'tin')).toBe('tin');
  });

  warming('of the list ends the warming, with what was loaded before', BOTH, async (fleet) => {
    const a = await fleet.start();
    const trouble = new Error('cursor lost');
    function* broken() {
      yield* ['gold', 'silver'];
      throw trouble;
    }
    const report = await a.guard.warm(balances({ keys: broken })).done;
    expect(report).toMatchObject({ state: 'failed', done: 2, failed: 0, total: undefined });
    expect(report.error).toBe(trouble);
    expect(states(a).at(-1)).toEqual(['failed', 2]);
  });

  warming('to become cached is no success', MEMORY, async (fleet) => {
    const a = await fleet.start();
    const refusing = async (_: string, context: LoadContext) => (context.doNotCache(), 1);
    const report = await a.guard.warm(balances({ load: refusing })).done;
    expect(report).toMatchObject({ state: 'done', done: 0, failed: 3, error: { code: 'CG_INVALID_OPTIONS' } });
    const host = { plain: async () => 1 };
    const unguarded = await a.guard.warm({ name, domain, host, method: 'plain', args: [[], 'gold' as never] }).done;
    expect(unguarded).toMatchObject({ done: 0, failed: 2, error: { code: 'CG_INVALID_OPTIONS' } });
  });

  warming('because the store is away is reported, and nothing is loaded', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    const a = await fleet.start({ proxy, commandTimeoutMs: 300 });
    proxy.down();
    await a.heard('store-state', { state: 'away' });
    const slow = slowLoads();
    const report = await a.guard.warm(balances({ load: slow.load })).done;
    expect(report).toMatchObject({ state: 'failed', done: 0, error: { code: 'CG_STORE_UNAVAILABLE' } });
    expect([slow.called, states(a)]).toEqual([[], [['failed', 0]]]);
  });
});

describe('people who wait', () => {
  const domains = {
    cards: { freshness: 'reference', jitter: 0, bulkhead: { concurrency: 4 }, waitBudget: '15s' },
  } as const;
  const read = ({ guard }: Member, key: string, of: { load: (key: string) => Promise<string> }) =>
    guard.getOrLoad({ domain: 'cards', key }, () => of.load(key)).catch(() => 'gave up');

  warming('find half of the places free', MEMORY, async (fleet) => {
    const a = await fleet.start({ domains });
    const slow = slowLoads();
    const warmed = ['w1', 'w2', 'w3', 'w4'];
    const running = a.guard.warm({ name, domain: 'cards', keys: warmed, load: slow.load, concurrency: 100 });
    await until(() => slow.called.length === 2);
    await settle();
    expect(slow.called).toEqual(['w1', 'w2']);
    slow.open(...warmed);
    expect(await running.done).toMatchObject({ done: 4, failed: 0 });
  });

  warming('go before what is warmed, and take what they want to the front', MEMORY, async (fleet) => {
    const a = await fleet.start({ domains });
    const slow = slowLoads();
    const people = ['p1', 'p2', 'p3', 'p4'].map((key) => read(a, key, slow));
    await until(() => slow.called.length === 4);
    const running = a.guard.warm({ name, domain: 'cards', keys: ['w1', 'w2'], load: slow.load });
    // Both of them queue.
    await a.heard('miss', { domain: 'cards' }, 6);
    await settle();
    people.push(read(a, 'p5', slow), read(a, 'w2', slow));
    await a.heard('miss', { domain: 'cards' }, 8);
    await settle();
    for (const [key, calls] of [
      ['p1', 5],
      ['p2', 6],
      ['p3', 7],
    ] as const) {
      slow.open(key);
      await until(() => slow.called.length === calls);
    }
    expect(slow.called.slice(4)).toEqual(['p5', 'w2', 'w1']);
    slow.open('p4', 'p5', 'w1', 'w2');
    await Promise.all(people);
    expect(await running.done).toMatchObject({ done: 2, failed: 0 });
  });

  warming('cost the warming no key, however long it has to wait', MEMORY, async (fleet) => {
    const tight = { cards: { ...domains.cards, bulkhead: { concurrency: 1, queue: 1 } } } as const;
    const a = await fleet.start({ domains: tight });
    const slow = slowLoads();
    const people = ['p1', 'p2'].map((key) => read(a, key, slow));
    await until(() => slow.called.length === 1);
    await settle();
    const running = a.guard.warm({ name, domain: 'cards', keys: ['w1'], load: slow.load });
    await a.heard('overload');
    slow.open('p1');
    await until(() => slow.called.length === 2);
    await fleet.pass(1_000);
    await settle();
    // It has a place in the queue now, for longer than a person would wait.
    await fleet.pass(30_000);
    slow.open('p2', 'w1');
    await Promise.all(people);
    expect(await running.done).toMatchObject({ done: 1, failed: 0, error: undefined });
  });

  warming('get whole TTLs also from what a warmed load has left running', MEMORY, async (fleet) => {
    const a = await fleet.start({ ids: { random: () => 0.9 } });
    const later = { domain, key: 'later' };
    const end = gate();
    let left: Promise<string> | undefined;
    const leaving = async (key: string) => {
      left ??= end.opened.then(() => a.guard.getOrLoad(later, async () => 'left'));
      return key;
    };
    await a.guard.warm(balances({ load: leaving })).done;
    end.open();
    expect(await left).toBe('left');
    const { entry } = await a.guard.explain(later);
    expect(entry!.softInMs + entry!.ageMs).toBe(60_000);
  });
});

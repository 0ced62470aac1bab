import { describe, expect } from 'vitest';
import { DOMAINS, settle, until, type Fleet } from './support/fleet.js';
import { BOTH, MEMORY, promise, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

const errorOf = (read: Promise<unknown>): Promise<unknown> =>
  read.then(
    () => 'no error',
    (error: unknown) => error,
  );

const domains = {
  patient: { ...DOMAINS.balances, waitBudget: '300ms', loadTimeout: '10s' },
  timed: { ...DOMAINS.balances, loadTimeout: '1s' },
  narrow: { ...DOMAINS.balances, loadTimeout: '1s', waitBudget: '20s', bulkhead: { concurrency: 1, queue: 2 } },
  soft: { ...DOMAINS.rates, softTimeout: '200ms', loadTimeout: '10s' },
  few: { ...DOMAINS.balances, maxKeysInFlight: 2 },
} as const;

const start = (fleet: Fleet) => fleet.start({ domains });
const key = (domain: keyof typeof domains, name = 'gold') => ({ domain, key: name });

describe('bounded wait: readers', () => {
  promise(5, 'a reader waits at most its budget; one who may wait longer gets the value', MEMORY, async (fleet) => {
    const a = await start(fleet);
    const source = fleet.source<string>();
    const first = errorOf(a.guard.getOrLoad(key('patient'), source.load));
    const load = await source.call(1);
    await fleet.pass(200);
    const second = a.guard.getOrLoad(key('patient'), source.load);
    await fleet.pass(101);
    expect(await first).toMatchObject({ code: 'CG_WAIT_TIMEOUT', domain: 'patient', field: 'waitBudget' });
    expect(load.context.signal.aborted).toBe(false);
    load.resolve('new');
    expect(await second).toBe('new');
    expect(source.calls).toHaveLength(1);
  });

  promise(5, "a reader's abort ends his wait only, also when the load is his", BOTH, async (fleet) => {
    const a = await start(fleet);
    const source = fleet.source<string>();
    const aborts = Array.from({ length: 3 }, () => new AbortController());
    const reads = aborts.map(({ signal }) => errorOf(a.guard.getOrLoad({ ...key('timed'), signal }, source.load)));
    const load = await source.call(1);
    const reasons = [new Error('first left'), new Error('second left')];
    aborts[0]!.abort(reasons[0]);
    aborts[1]!.abort(reasons[1]);
    expect(await Promise.all(reads.slice(0, 2))).toEqual(reasons);
    expect(load.context.signal.aborted).toBe(false);
    load.resolve('new');
    expect(await reads[2]).toBe('no error');
    expect(source.calls).toHaveLength(1);
  });

  promise(5, 'a load is aborted when nobody wants it any more, and its lease is given back', BOTH, async (fleet) => {
    const [a, b] = [await start(fleet), await start(fleet)];
    const source = fleet.source<string>();
    const aborts = [new AbortController(), new AbortController()];
    const reads = aborts.map(({ signal }) => errorOf(a.guard.getOrLoad({ ...key('timed'), signal }, source.load)));
    const load = await source.call(1);
    aborts[0]!.abort(new Error('left'));
    await settle();
    expect(load.context.signal.aborted).toBe(false);
    aborts[1]!.abort(new Error('left too'));
    expect(await Promise.all(reads)).toMatchObject([{ message: 'left' }, { message: 'left too' }]);
    expect(load.context.signal.aborted).toBe(true);
    expect(await b.guard.getOrLoad(key('timed'), async () => 'from b')).toBe('from b');
  });

  promise(5, 'an abort before the call costs nothing', MEMORY, async (fleet) => {
    const a = await start(fleet);
    const own = counted(() => 'new');
    const reason = new Error('gone already');
    const read = a.guard.getOrLoad({ ...key('timed'), signal: AbortSignal.abort(reason) }, own);
    expect(await errorOf(read)).toBe(reason);
    expect(own.calls).toBe(0);
  });

  promise(5, "a soft time-out gives the old value, and the load's result is kept", MEMORY, async (fleet) => {
    const a = await start(fleet);
    await a.guard.getOrLoad(key('soft'), async () => 'old');
    await a.guard.invalidate(key('soft'));
    const source = fleet.source<string>();
    const read = a.guard.trace(() => a.guard.getOrLoad(key('soft'), source.load));
    const load = await source.call(1);
    await fleet.pass(200);
    expect(await read).toMatchObject({ value: 'old', served: [{ state: 'stale' }] });
    expect(load.context.signal.aborted).toBe(false);
    load.resolve('new');
    await a.heard('accepted', {}, 2);
    expect(await a.guard.peek(key('soft'))).toMatchObject({ value: 'new', state: 'fresh' });
  });

  promise(5, "the budget includes the store's time", MEMORY, async (fleet) => {
    const a = await start(fleet);
    a.store.hang('read');
    const read = errorOf(a.guard.getOrLoad(key('patient'), async () => 'new'));
    await fleet.pass(301);
    expect(await Promise.race([read, settle().then(() => 'still waiting')])).not.toBe('still waiting');
  });

  promise(5, "an abort does not wait for the store's answer", MEMORY, async (fleet) => {
    const a = await start(fleet);
    const held = a.store.hang('read');
    const leaving = new AbortController();
    const read = errorOf(a.guard.getOrLoad({ ...key('patient'), signal: leaving.signal }, async () => 'new'));
    await held.struck;
    leaving.abort(new Error('left'));
    expect(await Promise.race([read, settle().then(() => 'still waiting')])).toMatchObject({ message: 'left' });
  });

  promise(5, 'the budget and the abort hold for who loads for himself', MEMORY, async (fleet) => {
    const alone = { ...DOMAINS.balances, waitBudget: '300ms', bulkhead: { concurrency: 1 } } as const;
    const a = await fleet.start({ domains: { alone } });
    const target = { domain: 'alone', key: 'gold' };
    await a.guard.getOrLoad(target, async (context) => (context.doNotCache(), 'mine'));
    const source = fleet.source<string>();
    const first = errorOf(a.guard.getOrLoad(target, source.load));
    await source.call(1);
    const leaving = new AbortController();
    const queued = errorOf(a.guard.getOrLoad(target, source.load));
    const aborted = errorOf(a.guard.getOrLoad({ ...target, signal: leaving.signal }, source.load));
    await settle();
    leaving.abort(new Error('left'));
    expect(await Promise.race([aborted, settle().then(() => 'still waiting')])).toMatchObject({ message: 'left' });
    await fleet.pass(301);
    const pending = settle().then(() => 'still waiting');
    expect(await Promise.race([queued, pending])).toMatchObject({ code: 'CG_WAIT_TIMEOUT' });
    expect(await Promise.race([first, pending])).toMatchObject({ code: 'CG_WAIT_TIMEOUT' });
  });
});

describe('bounded wait: loads', () => {
  promise(5, 'a load is given up at its time-out; its signal is aborted', BOTH, async (fleet) => {
    const quick = { ...DOMAINS.balances, loadTimeout: 50 } as const;
    const a = await fleet.start({ domains: { quick } });
    const source = fleet.source<string>();
    const reads = [1, 2].map(() => errorOf(a.guard.getOrLoad({ domain: 'quick', key: 'gold' }, source.load)));
    const load = await source.call(1);
    await fleet.pass(60);
    const [first, second] = await Promise.all(reads);
    expect(first).toMatchObject({ code: 'CG_LOAD_TIMEOUT' });
    expect(second).toBe(first);
    expect(load.context.signal.aborted).toBe(true);
    expect(load.context.signal.reason).toMatchObject({ code: 'CG_LOAD_TIMEOUT' });
  });

  promise(
    5,
    'a slot of the bulkhead is held until the loader settles, though its load was given up',
    MEMORY,
    async (fleet) => {
      const a = await start(fleet);
      const deafLoader = fleet.source<string>();
      const first = errorOf(a.guard.getOrLoad(key('narrow', 'one'), deafLoader.load));
      const stuck = await deafLoader.call(1);
      await fleet.pass(1_001);
      expect(await first).toMatchObject({ code: 'CG_LOAD_TIMEOUT' });
      const own = counted(() => 'two');
      const second = a.guard.getOrLoad(key('narrow', 'two'), own);
      await fleet.pass(5_000);
      expect(own.calls).toBe(0);
      stuck.resolve('late');
      expect(await second).toBe('two');
    },
  );

  promise(5, 'the same when everybody who wanted it left', MEMORY, async (fleet) => {
    const a = await start(fleet);
    const deafLoader = fleet.source<string>();
    const leaving = new AbortController();
    const first = errorOf(a.guard.getOrLoad({ ...key('narrow', 'one'), signal: leaving.signal }, deafLoader.load));
    const stuck = await deafLoader.call(1);
    leaving.abort(new Error('left'));
    expect(await first).toMatchObject({ message: 'left' });
    const own = counted(() => 'two');
    const second = a.guard.getOrLoad(key('narrow', 'two'), own);
    await fleet.pass(500);
    expect(own.calls).toBe(0);
    stuck.resolve('late');
    expect(await second).toBe('two');
  });

  promise(
    5,
    'who comes while a load queues for a slot gets what another process has cached meanwhile',
    BOTH,
    async (fleet) => {
      const [a, b] = [await start(fleet), await start(fleet)];
      const source = fleet.source<string>();
      void a.guard.getOrLoad(key('narrow', 'slow'), source.load).catch(() => {});
      await source.call(1);
      const queued = a.guard.getOrLoad(key('narrow'), async () => 'from a');
      await a.heard('miss', {}, 2);
      await b.guard.getOrLoad(key('narrow'), async () => 'from b');
      const late = a.guard.getOrLoad(key('narrow'), async () => 'from a');
      const began = performance.now();
      const patience = until(() => performance.now() - began > 300).then(() => 'still waiting');
      expect(await Promise.race([late, patience])).toBe('from b');
      source.end();
      expect(await queued).toBe('from b');
    },
  );

  promise(5, 'loads inside a write, which holds no slot, take one', BOTH, async (fleet) => {
    const a = await start(fleet);
    const source = fleet.source<string>();
    let running = 0;
    let most = 0;
    const load: typeof source.load = (context) => {
      most = Math.max(most, ++running);
      return source.load(context).finally(() => running--);
    };
    const names = ['one', 'two', 'three'];
    const writes = names.map((name) =>
      a.guard.writeThrough(key('few', name), () => a.guard.getOrLoad(key('narrow', name), load)),
    );
    for (let call = 1; call <= names.length; call++) {
      const { resolve } = await source.call(call);
      await settle(20);
      resolve('done');
    }
    expect(await Promise.all(writes)).toEqual(['done', 'done', 'done']);
    expect(most).toBe(1);
  });

  promise(5, 'the queue of the bulkhead is bounded', BOTH, async (fleet) => {
    const a = await start(fleet);
    const source = fleet.source<string>();
    const reads = ['one', 'two', 'three', 'four'].map((name) =>
      errorOf(a.guard.getOrLoad(key('narrow', name), source.load)),
    );
    await source.call(1);
    const overload = await a.heard('overload', { bound: 'bulkhead' });
    const refused = await Promise.any(reads);
    expect(refused).toMatchObject({ code: 'CG_OVERLOADED', domain: 'narrow' });
    expect(overload.domain).toBe('narrow');
    for (let call = 1; call <= 3; call++) (await source.call(call)).resolve('done');
    expect((await Promise.all(reads)).filter((error) => error === 'no error')).toHaveLength(3);
  });

  promise(5, 'so is the number of keys in flight', BOTH, async (fleet) => {
    const a = await start(fleet);
    const source = fleet.source<string>();
    const reads = ['one', 'two', 'one'].map((name) => a.guard.getOrLoad(key('few', name), source.load));
    const loads = [await source.call(1), await source.call(2)];
    expect(await errorOf(a.guard.getOrLoad(key('few', 'three'), source.load))).toMatchObject({ code: 'CG_OVERLOADED' });
    expect(a.all('overload', { bound: 'keys-in-flight' })).toHaveLength(1);
    for (const load of loads) load.resolve('done');
    expect(await Promise.all(reads)).toEqual(['done', 'done', 'done']);
    expect(await a.guard.getOrLoad(key('few', 'three'), async () => 'room again')).toBe('room again');
  });

  promise(5, 'a Redis that hangs costs a read its command budgets, not more', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    const a = await fleet.start({ proxy, domains, commandTimeoutMs: 100 });
    await a.guard.getOrLoad(key('timed', 'warm'), async () => 'warm');
    proxy.hang();
    const began = performance.now();
    expect(await a.guard.getOrLoad(key('timed'), async () => 'from the source')).toBe('from the source');
    expect(performance.now() - began).toBeLessThan(1_000);
    proxy.resume();
    for (const reply of ['acquire', 'fill'] as const) {
      const held = proxy.holdRequest((request) =>
        request.includes(reply === 'fill' ? '\r\nfill\r\n' : '\r\nexclusive\r\n'),
      );
      expect(await a.guard.getOrLoad(key('timed', `hung-${reply}`), async () => 'from the source')).toBe(
        'from the source',
      );
      held.release();
    }
    expect(performance.now() - began).toBeLessThan(3_000);
  });
});

import { describe, expect } from 'vitest';
import type { LoadContext } from 'nestjs-cache-guard';
import { DOMAINS, settle } from './support/fleet.js';
import { ALL, BOTH, MEMORY, promise, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

const BALANCE = { domain: 'balances', key: 'gold' };

const refusing = (context: Pick<LoadContext, 'doNotCache'>) => (context.doNotCache(), 'mine');

describe('uncacheable', () => {
  promise(
    14,
    'goes to the caller whose loader ran; the others load for themselves, all at once',
    ALL,
    async (fleet) => {
      const [a, b] = await fleet.pair();
      const source = fleet.source<string>();
      const read = ({ guard }: typeof a) => guard.getOrLoad(BALANCE, source.load);
      const reads = [read(a)];
      const first = await source.call(1);
      reads.push(read(a), read(a), read(b), read(b));
      await b.heard('lease', { outcome: 'refused' });
      first.context.doNotCache();
      first.resolve('1');
      // None of them has ended when the last one begins: they do not queue behind one another.
      await source.call(5);
      expect(await reads[0]).toBe('1');
      source.calls.slice(1).forEach(({ context, resolve }, i) => {
        context.doNotCache();
        resolve(String(i + 2));
      });
      expect((await Promise.all(reads)).toSorted()).toEqual(['1', '2', '3', '4', '5']);
      expect(await a.guard.peek(BALANCE)).toBeUndefined();
      expect(a.all('uncacheable', { reason: 'asked' })).toHaveLength(1);
    },
  );

  promise(14, 'they load under the bulkhead', BOTH, async (fleet) => {
    const narrow = { ...DOMAINS.balances, bulkhead: { concurrency: 2 } } as const;
    const a = await fleet.start({ domains: { narrow } });
    const target = { domain: 'narrow', key: 'gold' };
    await a.guard.getOrLoad(target, async (context) => refusing(context));
    let running = 0;
    let most = 0;
    const source = fleet.source<string>();
    const reads = Array.from({ length: 6 }, () =>
      a.guard.getOrLoad<string>(target, async (context) => {
        most = Math.max(most, ++running);
        return source.load(context).finally(() => running--);
      }),
    );
    for (let call = 1; call <= 6; call++) {
      const load = await source.call(call);
      await settle();
      load.resolve(String(call));
    }
    expect(new Set(await Promise.all(reads)).size).toBe(6);
    expect(most).toBe(2);
  });

  promise(14, 'a mark keeps later callers of every process from queueing behind a lease', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    await a.guard.getOrLoad(BALANCE, async (context) => refusing(context));
    const before = { ...b.store.calls };
    const source = fleet.source<string>();
    const reads = [1, 2, 3].map(() => b.guard.getOrLoad(BALANCE, source.load));
    await source.call(3);
    expect(b.all('lease')).toEqual([]);
    expect(b.store.calls.acquire).toBe(before.acquire);
    source.calls.forEach(({ resolve }, i) => resolve(String(i)));
    expect(await Promise.all(reads)).toEqual(['0', '1', '2']);
    expect((await b.guard.explain(BALANCE)).decision).toBe('pass');
  });

  promise(14, 'the mark is short: after it, a result that may be kept is kept', MEMORY, async (fleet) => {
    const a = await fleet.start();
    await a.guard.getOrLoad(BALANCE, async (context) => refusing(context));
    const own = counted(() => 'kept');
    await fleet.pass(4_999);
    expect(await a.guard.getOrLoad(BALANCE, own)).toBe('kept');
    expect(await a.guard.peek(BALANCE)).toBeUndefined();
    await fleet.pass(1);
    expect(await a.guard.getOrLoad(BALANCE, own)).toBe('kept');
    expect(await a.guard.getOrLoad(BALANCE, own)).toBe('kept');
    expect(own.calls).toBe(2);
  });

  promise(14, 'the mark ends with an invalidation, and with a put', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    for (const end of [
      () => b.guard.invalidate(BALANCE),
      () => b.guard.invalidateDomain('balances'),
      () => b.guard.refresh(BALANCE, async () => 'kept'),
    ]) {
      await a.guard.invalidate(BALANCE);
      await a.guard.getOrLoad(BALANCE, async (context) => refusing(context));
      expect((await a.guard.explain(BALANCE)).decision).toBe('pass');
      await end();
      await a.guard.getOrLoad(BALANCE, async () => 'kept');
      expect(await b.guard.peek(BALANCE)).toMatchObject({ value: 'kept' });
    }
    await a.guard.invalidate(BALANCE);
    await a.guard.getOrLoad(BALANCE, async (context) => refusing(context));
    await b.guard.put(BALANCE, 'put');
    expect(await a.guard.peek(BALANCE)).toMatchObject({ value: 'put' });
  });

  promise(14, 'a result of what no codec holds is told by a coded event that names the path', BOTH, async (fleet) => {
    const a = await fleet.start();
    const value = { terms: { apply: () => 'now' } };
    expect(await a.guard.getOrLoad<unknown>({ ...BALANCE, origin: 'Offers.find' }, async () => value)).toBe(value);
    expect(await a.heard('unencodable')).toMatchObject({
      code: 'CG_UNENCODABLE',
      origin: 'Offers.find',
      path: expect.stringContaining('apply'),
    });
    expect(await a.guard.peek(BALANCE)).toBeUndefined();
  });

  promise(14, 'a read of critical data makes what is made from it uncacheable', BOTH, async (fleet) => {
    const a = await fleet.start({ domains: { grave: { freshness: 'critical' } } });
    const offer = { domain: 'offers', key: 'gold' };
    const page = counted(
      async (_context, call) =>
        `${await a.guard.getOrLoad({ domain: 'grave', key: 'gold' }, async () => 'balance')} ${call}`,
    );
    expect(await a.guard.getOrLoad(offer, page)).toBe('balance 1');
    expect(await a.guard.getOrLoad(offer, page)).toBe('balance 2');
    expect(a.all('uncacheable', { reason: 'inner-critical' })[0]).toMatchObject({
      domain: 'offers',
      detail: expect.stringContaining('grave'),
    });
    expect(await a.guard.peek(offer)).toBeUndefined();
  });

  promise(14, 'the lease of an uncacheable load is free at once', REDIS, async (fleet) => {
    const [a, b] = await fleet.pair();
    await a.guard.getOrLoad(BALANCE, async (context) => refusing(context));
    await b.guard.explain(BALANCE);
    const [lease] = await fleet.raw.keys(`${fleet.namespace}:l:*`);
    expect((await fleet.raw.hkeys(lease!)).filter((field) => field === 'h' || field.startsWith('a:'))).toEqual([]);
  });

  promise(14, 'an old value does not outlive the news that the result is uncacheable', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const offer = { domain: 'offers', key: 'gold' };
    await a.guard.getOrLoad(offer, async () => 'old');
    expect(await a.guard.refresh(offer, async (context) => refusing(context))).toBe('mine');
    expect(await b.guard.getOrLoad(offer, async () => 'own')).toBe('own');
  });
});

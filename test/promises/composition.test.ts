import { describe, expect } from 'vitest';
import type { DomainPolicies } from 'nestjs-cache-guard';
import { DOMAINS, settle, type Fleet } from './support/fleet.js';
import { BOTH, MEMORY, promise, REDIS } from './support/promise.js';
import { counted, gate } from './support/source.js';

const BASE = {
  freshness: 'operational',
  softTtl: '1m',
  hardTtl: '10m',
  stalePolicy: 'while-revalidate',
  jitter: 0,
} as const;
const narrow = { concurrency: 1 } as const;
const domains = {
  outer: BASE,
  inner: BASE,
  brief: { ...BASE, softTtl: '5s', hardTtl: '8s' },
  strict: { ...BASE, stalePolicy: 'never' },
  grave: { freshness: 'critical', jitter: 0 },
  one: { ...BASE, bulkhead: narrow, waitBudget: '30s' },
  two: { ...BASE, bulkhead: narrow, waitBudget: '30s' },
} as const satisfies DomainPolicies;

const at = (domain: keyof typeof domains, key = 'gold') => ({ domain, key });
const start = (fleet: Fleet) => fleet.start({ domains });
const value = (text: string) => async () => text;

describe('a value that is made from others: bounds', () => {
  promise(4, 'the outer value lives as long as the shortest of what it was made from', MEMORY, async (fleet) => {
    const a = await start(fleet);
    await a.guard.getOrLoad(at('brief'), value('inner'));
    await fleet.pass(3_000);
    await a.guard.getOrLoad(
      at('outer'),
      async () => `outer of ${await a.guard.getOrLoad(at('brief'), value('inner'))}`,
    );
    const { entry } = await a.guard.explain(at('outer'));
    expect(entry).toMatchObject({ softInMs: 2_000, hardInMs: 5_000 });
  });

  promise(4, 'also through a value in between, and for a load that two outer loads share', MEMORY, async (fleet) => {
    const a = await start(fleet);
    const source = fleet.source<string>();
    const middle = async () => `middle of ${await a.guard.getOrLoad(at('brief'), source.load)}`;
    const outer = (key: string) =>
      a.guard.getOrLoad(at('outer', key), async () => `outer of ${await a.guard.getOrLoad(at('inner'), middle)}`);
    const reads = [outer('gold'), outer('silver')];
    (await source.call(1)).resolve('source');
    expect(await Promise.all(reads)).toEqual(['outer of middle of source', 'outer of middle of source']);
    for (const key of ['gold', 'silver']) {
      expect((await a.guard.explain(at('outer', key))).entry).toMatchObject({ softInMs: 5_000, hardInMs: 8_000 });
    }
  });

  promise(4, 'the stale windows are those of the strictest', MEMORY, async (fleet) => {
    const a = await start(fleet);
    await a.guard.getOrLoad(
      at('outer'),
      async () => `outer of ${await a.guard.getOrLoad(at('strict'), value('inner'))}`,
    );
    await fleet.pass(60_000);
    expect(await a.guard.getOrLoad(at('outer'), value('new'))).toBe('new');
  });

  promise(4, 'an outer value over a stale one is stale itself', BOTH, async (fleet) => {
    const a = await start(fleet);
    await a.guard.getOrLoad(at('inner'), value('old'));
    await a.guard.invalidate(at('inner'));
    const source = fleet.source<string>();
    await a.guard.getOrLoad(at('outer'), async () => `outer of ${await a.guard.getOrLoad(at('inner'), source.load)}`);
    expect((await a.guard.peek(at('outer')))?.state).not.toBe('fresh');
  });

  promise(14, 'experience over critical serves no old balance', BOTH, async (fleet) => {
    const a = await start(fleet);
    let balance = 1;
    const page = () =>
      a.guard.getOrLoad(
        at('outer'),
        async () => `page of ${await a.guard.getOrLoad(at('grave'), async () => balance)}`,
      );
    expect(await page()).toBe('page of 1');
    balance = 2;
    await a.guard.invalidate(at('grave'));
    expect(await page()).toBe('page of 2');
    expect(await a.guard.peek(at('outer'))).toBeUndefined();
  });

  for (const scope of ['tag', 'domain'] as const) {
    promise(3, `an invalidated ${scope} of the inner value invalidates the outer one`, BOTH, async (fleet) => {
      const [a, b] = [await start(fleet), await start(fleet)];
      const inner = { ...at('strict'), tags: ['inner'] };
      const page = (text: string) => async () => `outer of ${await a.guard.getOrLoad(inner, value(text))}`;
      const target = { ...at('outer'), stalePolicy: 'never' } as const;
      expect(await a.guard.getOrLoad(target, page('old'))).toBe('outer of old');
      await (scope === 'tag'
        ? b.guard.invalidateTags({ domain: 'strict', tags: ['inner'] })
        : b.guard.invalidateDomain('strict'));
      expect(await b.guard.peek(target)).toBeUndefined();
      expect(await a.guard.getOrLoad(target, page('new'))).toBe('outer of new');
    });
  }
});

describe('a value that is made from others: no deadlock', () => {
  promise(5, 'nested loads take no second slot of a bulkhead of one', BOTH, async (fleet) => {
    const a = await start(fleet);
    const nest = (depth: number): Promise<string> =>
      a.guard.getOrLoad(at(depth % 2 ? 'one' : 'two', `depth-${depth}`), async () =>
        depth === 0 ? 'core' : `(${await nest(depth - 1)})`,
      );
    expect(await nest(6)).toBe('((((((core))))))');
    expect(
      await Promise.all([1, 2, 3].map((n) => a.guard.getOrLoad(at('one', `key-${n}`), value('done')))),
    ).toHaveLength(3);
  });

  promise(5, 'a load that reads its own key runs through', BOTH, async (fleet) => {
    const a = await start(fleet);
    const own = counted(value('self'));
    expect(await a.guard.getOrLoad(at('one'), async () => `of ${await a.guard.getOrLoad(at('one'), own)}`)).toBe(
      'of self',
    );
    const through = () =>
      a.guard.getOrLoad(at('two'), async () => `through ${await a.guard.getOrLoad(at('inner'), own)}`);
    expect(await a.guard.getOrLoad(at('inner'), async () => `of ${await through()}`)).toBe('of through self');
    expect(own.calls).toBe(2);
  });

  promise(5, 'two loads that read each other both end', BOTH, async (fleet) => {
    const a = await start(fleet);
    const [first, second] = [gate(), gate()];
    const x = a.guard.getOrLoad(at('inner', 'x'), async () => {
      first.open();
      await second.opened;
      return `x of ${await a.guard.getOrLoad(at('inner', 'y'), value('plain y'))}`;
    });
    const y = a.guard.getOrLoad(at('inner', 'y'), async () => {
      second.open();
      await first.opened;
      return `y of ${await a.guard.getOrLoad(at('inner', 'x'), value('plain x'))}`;
    });
    const got = await Promise.all([x, y]);
    expect([
      ['x of y of plain x', 'y of plain x'],
      ['x of plain y', 'y of x of plain y'],
      ['x of plain y', 'y of plain x'],
    ]).toContainEqual(got);
  });

  promise(5, 'a load does not wait for another that queues for the slot that it holds', BOTH, async (fleet) => {
    const a = await start(fleet);
    const begun = gate();
    const outer = a.guard.getOrLoad(at('one', 'outer'), async () => {
      await begun.opened;
      return `outer of ${await a.guard.getOrLoad(at('one', 'inner'), value('inner'))}`;
    });
    await a.heard('lease', { outcome: 'won' });
    const inner = a.guard.getOrLoad(at('one', 'inner'), value('inner'));
    await a.heard('miss', {}, 2);
    await settle();
    begun.open();
    expect(await Promise.all([outer, inner])).toEqual(['outer of inner', 'inner']);
  });

  promise(
    5,
    'nor do two processes wait in a ring: a lease is no reason to queue behind who waits for another',
    REDIS,
    async (fleet) => {
      const quick = { ...domains.one, loadTimeout: '3s', waitBudget: '4s', lease: { duration: '1s' } } as const;
      const [a, b] = await fleet.pair({ domains: { one: quick } });
      const [bothBegun, queued] = [gate(), gate()];
      // a makes x from k; b makes y from x, and k behind it in the queue of its one slot.
      const k = ({ guard }: typeof a) => guard.getOrLoad(at('one', 'k'), value('k'));
      const x = ({ guard }: typeof a, ready: Promise<void>) =>
        guard.getOrLoad(at('one', 'x'), async () => (await ready, `x of ${await k({ guard } as typeof a)}`));
      const readX = x(a, queued.opened);
      await a.heard('lease', { outcome: 'won' });
      const readY = b.guard.getOrLoad(
        at('one', 'y'),
        async () => (await bothBegun.opened, `y of ${await x(b, Promise.resolve())}`),
      );
      await b.heard('lease', { outcome: 'won' });
      const readK = k(b);
      await b.heard('miss', {}, 2);
      bothBegun.open();
      await settle();
      queued.open();
      expect(await Promise.all([readX, readY, readK])).toEqual(['x of k', 'y of x of k', 'k']);
    },
  );

  promise(5, 'a load that refreshes what it reads ends', BOTH, async (fleet) => {
    const a = await start(fleet);
    const read = a.guard.getOrLoad(
      at('one'),
      async () => `of ${await a.guard.refresh(at('one', 'inner'), value('fresh'))}`,
    );
    expect(await read).toBe('of fresh');
    const self = a.guard.refresh(at('two'), async () => `of ${await a.guard.refresh(at('two'), value('fresh'))}`);
    expect(await self).toBe('of fresh');
  });

  promise(
    4,
    'what the request that caused a refresh behind goes on to read does not bound the value',
    MEMORY,
    async (fleet) => {
      const a = await fleet.start({ domains: { ...domains, ...DOMAINS } });
      await a.guard.getOrLoad(at('inner'), value('old'));
      await a.guard.invalidate(at('inner'));
      const source = fleet.source<string>();
      await a.guard.getOrLoad(at('outer'), async () => {
        const inner = await a.guard.getOrLoad(at('inner'), source.load);
        return `${inner} ${await a.guard.getOrLoad(at('brief'), value('brief'))}`;
      });
      (await source.call(1)).resolve('new');
      await a.heard('load', { background: true });
      await settle();
      expect((await a.guard.explain(at('inner'))).entry).toMatchObject({ softInMs: 60_000 });
    },
  );
});

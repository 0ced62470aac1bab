import { describe, expect } from 'vitest';
import type { Member } from './support/fleet.js';
import { BOTH, expectFresh, expectNotFresh, promise } from './support/promise.js';
import { gate } from './support/source.js';

const BALANCE = { domain: 'balances', key: 'gold', tags: ['customer:1'] };

describe('no stale set: write-through', () => {
  const overlaps = {
    'an invalidation of its key': (b: Member) => b.guard.invalidate(BALANCE),
    'an invalidation of its tag': (b: Member) => b.guard.invalidateTags({ domain: 'balances', tags: ['customer:1'] }),
    'an invalidation of its domain': (b: Member) => b.guard.invalidateDomain('balances'),
  };
  for (const [what, overlap] of Object.entries(overlaps)) {
    promise(2, `a write-through that overlaps ${what} is not kept`, BOTH, async (fleet) => {
      const [a, b] = await fleet.pair();
      const source = fleet.source<string>();
      const written = a.guard.writeThrough(BALANCE, () => source.load(undefined as never));
      const write = await source.call(1);
      await overlap(b);
      write.resolve('old');
      expect(await written).toBe('old');
      await expectNotFresh([a, b], BALANCE, 'old');
    });
  }

  promise(2, 'of two write-throughs that overlap, neither is kept unless it was the last', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const source = fleet.source<string>();
    const first = a.guard.writeThrough(BALANCE, () => source.load(undefined as never));
    const older = await source.call(1);
    const second = b.guard.writeThrough(BALANCE, () => source.load(undefined as never));
    (await source.call(2)).resolve('second');
    expect(await second).toBe('second');
    older.resolve('first');
    expect(await first).toBe('first');
    // Nobody knows which of the two the source holds.
    await expectNotFresh([a, b], BALANCE, 'first');
    await expectNotFresh([a, b], BALANCE, 'second');
  });

  promise(2, 'a load that began before a write-through and ended after it is not kept', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const source = fleet.source<string>();
    const read = a.guard.getOrLoad(BALANCE, source.load);
    const load = await source.call(1);
    await b.guard.writeThrough(BALANCE, async () => 'written');
    load.resolve('old');
    expect(await read).toBe('old');
    await expectFresh([a, b], BALANCE, 'written');
  });

  promise(2, 'a load that began during a write-through and ended after it is not kept', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const written = gate();
    const source = fleet.source<string>();
    const writing = b.guard.writeThrough(BALANCE, () => written.opened.then(() => 'written'));
    const read = a.guard.getOrLoad(BALANCE, source.load);
    const load = await source.call(1);
    written.open();
    await writing;
    load.resolve('old');
    expect(await read).toBe('old');
    await expectFresh([a, b], BALANCE, 'written');
  });

  promise(2, 'a load that began and ended during a write-through is replaced by it', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const source = fleet.source<string>();
    const writing = b.guard.writeThrough(BALANCE, () => source.load(undefined as never));
    const write = await source.call(1);
    await a.guard.getOrLoad(BALANCE, async () => 'old');
    write.resolve('written');
    await writing;
    await expectFresh([a, b], BALANCE, 'written');
  });

  promise(2, 'a write-through that cannot be kept takes the old value away', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    await a.guard.getOrLoad(BALANCE, async (): Promise<unknown> => 'old');
    const value = { broken: () => 'no codec holds a function' };
    expect(await b.guard.writeThrough<unknown>(BALANCE, async () => value)).toBe(value);
    await expectNotFresh([a, b], BALANCE, 'old');
  });

  promise(
    2,
    "a write-through whose value upsets the policy's own functions takes the old value away",
    BOTH,
    async (fleet) => {
      const isAbsent = (outcome: object): boolean => {
        if ('value' in outcome && outcome.value === 'upsetting') throw new Error('isAbsent');
        return false;
      };
      const policy = { freshness: 'experience', isAbsent } as const;
      const [a, b] = await fleet.pair({ domains: { picky: policy } });
      const target = { domain: 'picky', key: 'gold' };
      await a.guard.getOrLoad(target, async () => 'old');
      expect(await b.guard.writeThrough(target, async () => 'upsetting')).toBe('upsetting');
      await expectNotFresh([a, b], target, 'old');
    },
  );

  promise(2, 'a write that failed leaves the cached value as it is', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    await a.guard.getOrLoad(BALANCE, async () => 'kept');
    const failure = new Error('no write');
    await expect(b.guard.writeThrough(BALANCE, () => Promise.reject(failure))).rejects.toBe(failure);
    await expectFresh([a, b], BALANCE, 'kept');
  });
});

import { describe, expect } from 'vitest';
import { DOMAINS, until } from './support/fleet.js';
import { ALL, BOTH, expectFresh, MEMORY, promise } from './support/promise.js';
import { counted } from './support/source.js';

const BALANCE = { domain: 'balances', key: 'gold' };
const OFFER = { domain: 'offers', key: 'gold' };

describe('one flight', () => {
  promise(1, '400 readers of a cold key in 4 processes cost one load', ALL, async (fleet) => {
    const members = await fleet.startAll(4);
    const source = fleet.source<string>();
    const reads = members.flatMap(({ guard }) =>
      Array.from({ length: 100 }, () => guard.getOrLoad(BALANCE, source.load)),
    );
    const load = await source.call(1);
    const others = members.filter((member) => member.all('lease', { outcome: 'won' }).length === 0);
    expect(others).toHaveLength(3);
    await Promise.all(others.map((member) => member.heard('lease', { outcome: 'refused' })));
    load.resolve('one');
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['one']));
    expect(source.calls).toHaveLength(1);
    await expectFresh(members, BALANCE, 'one');
  });

  promise(1, 'a reader who comes while the load runs joins it', BOTH, async (fleet) => {
    const a = await fleet.start();
    const source = fleet.source<string>();
    const first = a.guard.getOrLoad(BALANCE, source.load);
    const load = await source.call(1);
    const second = a.guard.getOrLoad(BALANCE, source.load);
    load.resolve('one');
    expect(await Promise.all([first, second])).toEqual(['one', 'one']);
    expect(source.calls).toHaveLength(1);
    expect(a.all('coalesced')).toHaveLength(1);
  });

  promise(1, "a lease asked for before another's commit and won after it gives his entry", ALL, async (fleet) => {
    const [a, b] = await fleet.pair();
    const held = b.store.delay('acquire');
    const own = counted(() => 'from b');
    const late = b.guard.getOrLoad(BALANCE, own);
    await held.struck;
    await a.guard.getOrLoad(BALANCE, async () => 'from a');
    held.release();
    expect(await late).toBe('from a');
    expect(own.calls).toBe(0);
    expect(b.all('lease')).toEqual([]);
  });

  promise(1, 'a refresh behind that comes late finds the new entry and does not load', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    await a.guard.getOrLoad(OFFER, async () => 'old');
    await a.guard.invalidate(OFFER);
    const held = b.store.delay('acquire');
    const own = counted(() => 'from b');
    expect(await b.guard.getOrLoad(OFFER, own)).toBe('old');
    await held.struck;
    expect(await a.guard.getOrLoad(OFFER, async () => 'from a')).toBe('old');
    await a.heard('accepted', { key: a.all('hit')[0]!.key }, 2);
    held.release();
    expect(await b.guard.getOrLoad(OFFER, own)).toBe('from a');
    expect(own.calls).toBe(0);
  });

  promise(1, 'stale readers of 3 processes cost one refresh', ALL, async (fleet) => {
    const members = await fleet.startAll(3);
    await members[0]!.guard.getOrLoad(OFFER, async () => 'old');
    await members[0]!.guard.invalidate(OFFER);
    const source = fleet.source<string>();
    const reads = members.flatMap(({ guard }) => Array.from({ length: 20 }, () => guard.getOrLoad(OFFER, source.load)));
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['old']));
    const load = await source.call(1);
    const refused = () => members.filter((member) => member.all('lease', { outcome: 'refused' }).length === 1);
    await until(() => refused().length === 2);
    load.resolve('new');
    await until(async () => (await members[0]!.guard.peek(OFFER))?.value === 'new');
    expect(source.calls).toHaveLength(1);
  });

  promise(1, 'a load that outlasts its lease keeps it by renewing', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair({ domains: { balances: { ...DOMAINS.balances, lease: { duration: '600ms' } } } });
    const source = fleet.source<string>();
    const first = a.guard.getOrLoad(BALANCE, source.load);
    const load = await source.call(1);
    const own = counted(() => 'from b');
    const second = b.guard.getOrLoad(BALANCE, own);
    await b.heard('lease', { outcome: 'refused' });
    if (fleet.kind === 'memory') await fleet.pass(1_500);
    await until(() => a.store.calls.renew >= 4);
    load.resolve('from a');
    expect(await Promise.all([first, second])).toEqual(['from a', 'from a']);
    expect(own.calls).toBe(0);
  });

  promise(1, "with leases 'none' each process loads once, beside the others", MEMORY, async (fleet) => {
    const free = {
      freshness: 'operational',
      softTtl: '1m',
      hardTtl: '1m',
      stalePolicy: 'never',
      lease: { keys: 'none' },
    } as const;
    const members = await fleet.startAll(2, { domains: { free } });
    const source = fleet.source<string>();
    const target = { domain: 'free', key: 'gold' };
    const reads = members.flatMap(({ guard }) =>
      Array.from({ length: 10 }, () => guard.getOrLoad(target, source.load)),
    );
    (await source.call(1)).resolve('one');
    (await source.call(2)).resolve('two');
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['one', 'two']));
    expect(source.calls).toHaveLength(2);
  });
});

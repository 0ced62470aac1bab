import type { DomainPolicies } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { settle, until, type Fleet, type Member } from './support/fleet.js';
import { GOLD, keep, L1_DOMAINS, near, read, trust } from './support/l1.js';
import { ALL, MEMORY, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

const REFERENCE = { freshness: 'reference', softTtl: '1m', hardTtl: '10m', jitter: 0 } as const;

const WITHOUT = {
  critical: { freshness: 'critical', hardTtl: '1m', softTtl: '1m', jitter: 0 },
  never: { ...REFERENCE, stalePolicy: 'never' },
  validated: { ...REFERENCE, stalePolicy: 'validate', probe: async () => 'etag' },
  windowless: { ...REFERENCE, stalePolicy: { whileRevalidate: 0, ifError: 0 } },
  off: { ...REFERENCE, stalePolicy: 'while-revalidate', l1: false },
} as const satisfies DomainPolicies;

const at = (domain: string, key = 'gold') => ({ domain, key });

/** Where a read that follows others of the same key comes from. */
async function third(member: Member, target: Parameters<typeof read>[1]) {
  await member.guard.getOrLoad<unknown>(target, async ({ setVersion }) => (setVersion('etag'), 'one'));
  await read(member, target);
  return read(member, target);
}

/** Calls of the store, heartbeats not counted. */
function operations({ store }: Member): number {
  return Object.values(store.calls).reduce((sum, calls) => sum + calls, -store.calls.beat);
}

describe('where a tier in memory is, and what it costs', () => {
  trust('a hit in memory asks the store nothing, however many there are', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    const a = await near(fleet, { proxy });
    const source = counted(() => 'new');
    const keys = Array.from({ length: 20 }, (_, i) => ({ ...GOLD, key: `key-${i}` }));
    for (const key of keys) await keep(a, key);
    const before = operations(a);
    proxy.resetCounts();
    for (let round = 0; round < 50; round++) {
      const reads = await Promise.all(keys.map((key) => a.guard.getOrLoad(key, source)));
      expect(new Set(reads)).toEqual(new Set(['old']));
    }
    expect(operations(a)).toBe(before);
    expect(proxy.counts.commands['MGET']).toBeUndefined();
    expect(source.calls).toBe(0);
  });

  trust('one hit in the store is enough to fill it, in a process that loaded nothing too', ALL, async (fleet) => {
    const [a, b] = [await near(fleet), await near(fleet)];
    await keep(a, GOLD);
    await keep(b, GOLD);
    const before = [operations(a), operations(b)];
    for (let i = 0; i < 10; i++) for (const one of [a, b]) expect(await read(one, GOLD)).toMatchObject({ from: 'l1' });
    expect([operations(a), operations(b)]).toEqual(before);
  });

  trust('there is none where nothing stale may be served, nor where it is switched off', ALL, async (fleet) => {
    const a = await near(fleet, { domains: WITHOUT });
    await keep(a, GOLD);
    for (const domain of Object.keys(WITHOUT)) {
      expect(await third(a, at(domain))).toEqual({ value: 'one', from: 'l2', state: 'fresh' });
      a.store.fail('read');
      expect(await read(a, at(domain), 'two')).toEqual({ value: 'two', from: 'load', state: undefined });
    }
  });

  trust('what is never kept is not kept here either', ALL, async (fleet) => {
    const a = await near(fleet, { domains: { passing: { freshness: 'reference', stalePolicy: 'no-store' } } });
    const source = counted((_, call) => call);
    for (let call = 1; call <= 3; call++) expect(await a.guard.getOrLoad(at('passing'), source)).toBe(call);
    expect(a.all('hit')).toEqual([]);
  });

  trust('a call that narrows its domain to never asks the store, and leaves nothing here', ALL, async (fleet) => {
    const [a, b] = [await near(fleet), await near(fleet)];
    const narrow = { ...GOLD, stalePolicy: 'never' } as const;
    expect(await third(a, narrow)).toMatchObject({ from: 'l2' });
    await keep(a, GOLD, 'one');
    await b.guard.put(GOLD, 'new');
    // Whatever has been signalled by now, the exact answer is the store's.
    expect(await read(a, narrow)).toEqual({ value: 'new', from: 'l2', state: 'fresh' });
    expect(await read(a, narrow)).toEqual({ value: 'new', from: 'l2', state: 'fresh' });
    await until(() => a.store.said('invalidated') > 0);
    await keep(a, GOLD, 'new');
    a.store.fail('read');
    expect(await read(a, narrow, 'loaded')).toMatchObject({ value: 'loaded', from: 'load' });
  });

  trust('such a call is not told off for what its domain says of memory', MEMORY, async (fleet) => {
    const a = await near(fleet, { domains: { spelled: { ...REFERENCE, l1: { maxEntries: 5 } } } });
    for (const stalePolicy of ['never', 'no-store'] as const) {
      const narrow = { ...at('spelled', stalePolicy), stalePolicy };
      for (let i = 0; i < 3; i++) expect((await read(a, narrow)).from).not.toBe('l1');
    }
    await keep(a, at('spelled'));
  });

  trust('a call that widens its domain has it', ALL, async (fleet) => {
    const a = await near(fleet, { domains: { balance: { ...REFERENCE, stalePolicy: 'never' } } });
    await keep(a, { ...at('balance'), stalePolicy: 'if-error' } as ReturnType<typeof at>);
  });
});

describe('how much is kept, and how long', () => {
  trust('the least recently used goes beyond maxEntries', ALL, async (fleet) => {
    const a = await near(fleet, { domains: { few: { ...REFERENCE, l1: { maxEntries: 2 } } } });
    await keep(a, at('few', 'a'));
    await keep(a, at('few', 'b'));
    expect(await read(a, at('few', 'a'))).toMatchObject({ from: 'l1' });
    await keep(a, at('few', 'c'));
    expect(await read(a, at('few', 'c'))).toMatchObject({ from: 'l1' });
    expect(await read(a, at('few', 'a'))).toMatchObject({ from: 'l1' });
    expect(await read(a, at('few', 'b'))).toMatchObject({ from: 'l2' });
  });

  trust('domains do not push each other out', ALL, async (fleet) => {
    const a = await near(fleet, { domains: { few: { ...REFERENCE, l1: { maxEntries: 1 } } } });
    await keep(a, GOLD);
    for (const key of ['a', 'b', 'c']) await keep(a, at('few', key));
    expect(await read(a, GOLD)).toMatchObject({ from: 'l1' });
  });

  trust('maxBytes holds: what is too large alone is not taken in, the sum is bounded', ALL, async (fleet) => {
    const a = await near(fleet, { domains: { small: { ...REFERENCE, l1: { maxBytes: 8_192 } } } });
    const text = (length: number) => 'x'.repeat(length);
    for (const key of ['a', 'b', 'c']) await keep(a, at('small', key), text(1_000));
    expect(await read(a, at('small', 'a'))).toMatchObject({ from: 'l1' });
    await a.guard.getOrLoad(at('small', 'large'), async () => text(9_000));
    expect(await third(a, at('small', 'large'))).toMatchObject({ from: 'l2' });
    // What did not fit has pushed nothing out.
    expect(await read(a, at('small', 'b'))).toMatchObject({ from: 'l1' });
    for (const key of ['d', 'e']) await keep(a, at('small', key), text(1_000));
    expect(await read(a, at('small', 'c'))).toMatchObject({ from: 'l2' });
  });

  trust('maxBytes is of values as they lie in memory, not of compressed ones', MEMORY, async (fleet) => {
    const a = await near(fleet, { domains: { small: { ...REFERENCE, compressAbove: 0, l1: { maxBytes: 65_536 } } } });
    const text = 'x'.repeat(100_000);
    await a.guard.getOrLoad(at('small'), async () => text);
    const { from, state } = await third(a, at('small'));
    expect({ from, state }).toEqual({ from: 'l2', state: 'fresh' });
  });

  trust('what is kept has what is left of its time, not the whole of it', MEMORY, async (fleet) => {
    const [a, b] = [await near(fleet), await near(fleet)];
    await keep(a, GOLD);
    await fleet.pass(50_000);
    await keep(b, GOLD);
    await fleet.pass(9_999);
    for (const one of [a, b]) expect(await read(one, GOLD)).toEqual({ value: 'old', from: 'l1', state: 'fresh' });
    await fleet.pass(1);
    b.store.fail('acquire');
    for (const one of [a, b]) expect((await read(one, GOLD, 'new')).state).toBe('stale');
    const after = await near(fleet);
    await keep(after, { ...GOLD, key: 'silver' });
    await fleet.pass(590_000);
    await read(after, { ...GOLD, key: 'silver' }, 'old');
    after.store.down();
    await fleet.pass(9_999);
    expect(await read(after, { ...GOLD, key: 'silver' }, 'new')).toMatchObject({ value: 'old', from: 'l1' });
    await fleet.pass(600_000);
    expect(await read(after, { ...GOLD, key: 'silver' }, 'new')).toMatchObject({ value: 'new', from: 'load' });
  });

  trust("the reader's own policy bounds as well", MEMORY, async (fleet) => {
    const a = await near(fleet);
    await keep(a, GOLD);
    await fleet.pass(5_000);
    const short = { ...GOLD, softTtl: '5s' } as typeof GOLD;
    expect(await read(a, short, 'new')).toMatchObject({ from: 'l2', state: 'stale' });
  });

  trust('after maxAge the store is asked, and what it says is kept anew', MEMORY, async (fleet) => {
    const a = await near(fleet, { domains: { brief: { ...REFERENCE, l1: { maxAge: '5s' } } } });
    await keep(a, at('brief'));
    await fleet.pass(4_999);
    expect(await read(a, at('brief'))).toMatchObject({ from: 'l1' });
    await fleet.pass(1);
    expect(await read(a, at('brief'))).toEqual({ value: 'old', from: 'l2', state: 'fresh' });
    await fleet.pass(4_999);
    expect(await read(a, at('brief'))).toMatchObject({ from: 'l1' });
  });

  trust('an operational domain asks the store after a second, unless it says otherwise', MEMORY, async (fleet) => {
    const a = await near(fleet);
    const offer = at('offers');
    await keep(a, offer);
    await fleet.pass(999);
    expect(await read(a, offer)).toMatchObject({ from: 'l1' });
    await fleet.pass(1);
    expect(await read(a, offer)).toMatchObject({ from: 'l2' });
  });

  trust('a clock of the machine that jumps makes values older, never younger', MEMORY, async (fleet) => {
    const a = await near(fleet);
    await keep(a, GOLD);
    fleet.clock.jumpWall(-3_600_000);
    await fleet.pass(59_000);
    expect(await read(a, GOLD)).toMatchObject({ from: 'l1' });
    await fleet.pass(1_000);
    expect((await read(a, GOLD, 'new')).state).not.toBe('fresh');
  });
});

describe('refused at boot', () => {
  const boot = (fleet: Fleet, domains: object) =>
    near(fleet, { domains: domains as DomainPolicies }).then(
      () => 'was not refused',
      (error: unknown) => error,
    );

  trust('a tier in memory where it must not be, and bounds that are none', MEMORY, async (fleet) => {
    const least = (n: number) => new RegExp(`from ${n} to |at least |whole number`);
    const cases = [
      [{ ...WITHOUT.critical, l1: {} }, 'l1', /another freshness class/],
      [{ ...WITHOUT.never, l1: { maxEntries: 5 } }, 'l1', /allow stale serving/],
      [{ ...WITHOUT.validated, l1: {} }, 'l1', /allow stale serving/],
      [{ freshness: 'reference', stalePolicy: 'no-store', l1: {} }, 'l1', /allow stale serving/],
      [{ ...REFERENCE, l1: true }, 'l1', /maxEntries, maxBytes, maxAge/],
      [{ ...REFERENCE, l1: null }, 'l1', /maxEntries, maxBytes, maxAge/],
      [{ ...REFERENCE, l1: { ttl: '5s' } }, 'l1.ttl', /maxEntries, maxBytes, maxAge/],
      ...[0, -1, Number.NaN, 1.5, Infinity, '10'].map((n) => [
        { ...REFERENCE, l1: { maxEntries: n } },
        'l1.maxEntries',
        least(1),
      ]),
      ...[0, -1, Number.NaN, 1_023, Infinity, '1mb'].map((n) => [
        { ...REFERENCE, l1: { maxBytes: n } },
        'l1.maxBytes',
        least(1_024),
      ]),
      ...[0, -1, Number.NaN, Infinity, '5', ''].map((n) => [
        { ...REFERENCE, l1: { maxAge: n } },
        'l1.maxAge',
        /at least|give milliseconds/,
      ]),
    ] as const;
    for (const [config, field, mend] of cases) {
      const error = await boot(fleet, { refused: config });
      expect(error).toMatchObject({ code: 'CG_INVALID_POLICY', domain: 'refused', field });
      expect((error as Error).message).toMatch(/^Cache domain 'refused': l1\S* = .+ is refused; /);
      expect((error as Error).message).toMatch(mend as RegExp);
    }
    expect(await boot(fleet, { fine: { ...REFERENCE, l1: { maxEntries: 1, maxBytes: 1_024, maxAge: 1 } } })).not.toBe(
      undefined,
    );
    await settle();
  });

  trust('more entries than a process can index are refused, not found out at the first hit', MEMORY, async (fleet) => {
    const wide = { wide: { ...L1_DOMAINS.catalog, l1: { maxEntries: Number.MAX_SAFE_INTEGER } } };
    const outcome = await boot(fleet, wide);
    expect(outcome).toMatchObject({ code: 'CG_INVALID_POLICY', domain: 'wide', field: 'l1.maxEntries' });
  });
});

import type { DomainEvent, EventRule, Verdict } from 'nestjs-cache-guard';
import { describe, expect, vi } from 'vitest';
import { APPLIED, DUPLICATE, event, follow } from './support/events.js';
import { until, type Member } from './support/fleet.js';
import { ALL, BOTH, expectFresh, promise, REDIS } from './support/promise.js';

// Tens of thousands of actions, on a machine that may be busy.
vi.setConfig({ testTimeout: 90_000 });

const BOUND = 10_000;
/** Enough to be done in several portions. */
const MANY = 2_000;
const names = (count: number, prefix = 'key'): string[] => Array.from({ length: count }, (_, i) => `${prefix} ${i}`);

const given = ({ data }: DomainEvent): string[] => data as string[];
const GONE: EventRule = { on: 'gone', domain: 'balances', keys: given };
const TAGS: EventRule = { on: 'tags', domain: 'balances', tags: given };
const REMADE: EventRule = { on: 'remade', domain: 'balances', keys: given, action: 'refresh' };
const UPDATED: EventRule = {
  on: 'updated',
  domain: 'balances',
  keys: given,
  action: 'update',
  version: () => 1,
  value: () => 'old',
};
const RULES = [GONE, TAGS, REMADE, UPDATED];

const about = (type: string, data: unknown) => event('many', { type, data });
const OTHER = { domain: 'rates', key: 'gold' };

/** As a source does it: what is to come again later comes again. A busy machine can take the store for away for a moment. */
async function deliver({ guard }: Member, events: readonly DomainEvent[]): Promise<readonly Verdict[]> {
  const verdicts = [...(await guard.events.publishAll(events))];
  await until(async () => {
    const late = verdicts.flatMap(({ kind }, i) => (kind === 'later' ? [i] : []));
    const again = await guard.events.publishAll(late.map((i) => events[i]!));
    for (const [j, i] of late.entries()) verdicts[i] = again[j]!;
    return late.length === 0;
  }, 'an end of later');
  return verdicts;
}

/** How many of them some process takes for fresh. */
async function fresh({ guard }: Member, keys: readonly string[]): Promise<number> {
  let count = 0;
  for (let from = 0; from < keys.length; from += 500) {
    const some = keys.slice(from, from + 500);
    const seen = await Promise.all(some.map((key) => guard.peek({ domain: 'balances', key })));
    count += seen.filter((one) => one?.state === 'fresh').length;
  }
  return count;
}

/** Reads of another domain go on while `work` does: how many invalidations were applied as each was answered, and how many in the end. */
async function besideReads<T>(
  member: Member,
  work: () => Promise<T>,
): Promise<{ result: T; at: number[]; all: () => number }> {
  const { guard } = member;
  let applied = 0;
  guard.on((one) => {
    if (one.type === 'invalidation' && ['applied', 'carried-out'].includes(one.outcome)) applied += one.count;
  });
  const state = { isOver: false };
  const working = work().finally(() => (state.isOver = true));
  const at: number[] = [];
  while (!state.isOver) {
    expect(await guard.getOrLoad(OTHER, async () => 'loaded')).toBe('loaded');
    at.push(applied);
    await new Promise(setImmediate);
  }
  return { result: await working, at, all: () => applied };
}

const between = ({ at, all }: { at: number[]; all: () => number }) => at.filter((count) => count > 0 && count < all());

describe('an event that concerns many keys', () => {
  promise(12, 'up to the bound is applied to each of them, and reads of others go on meanwhile', ALL, async (fleet) => {
    const [a, b] = await fleet.pair();
    follow(a, RULES);
    const keys = names(BOUND);
    const cached = keys.slice(0, MANY);
    const updated = await besideReads(a, () => deliver(a, [about('updated', cached)]));
    expect(updated.result).toEqual([APPLIED]);
    // A store in memory has no room for more than them.
    await until(async () => (await fresh(b, cached)) > MANY - 10, 'fresh values');
    await b.guard.put({ domain: 'balances', key: 'none of them' }, 'kept');
    const gone = await besideReads(a, () => deliver(a, [about('gone', keys)]));
    expect(gone.result).toEqual([APPLIED]);
    expect(gone.all()).toBeGreaterThanOrEqual(BOUND);
    expect(between(gone)).not.toEqual([]);
    expect(await fresh(b, cached)).toBe(0);
    await until(async () => (await fresh(b, ['none of them'])) === 1, 'a value that nothing concerned');
    const tags = await besideReads(a, () => deliver(a, [about('tags', cached)]));
    expect(tags.result).toEqual([APPLIED]);
    expect(tags.all()).toBeGreaterThanOrEqual(MANY);
    expect(between(tags)).not.toEqual([]);
  });

  promise(12, 'above the bound invalidates all of their domain, says so, and is done with', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    follow(a, RULES);
    await a.guard.put(OTHER, 'kept');
    for (const [i, type] of ['gone', 'tags', 'remade'].entries()) {
      await a.guard.put({ domain: 'balances', key: 'named by none' }, 'old');
      const many = about(type, names(BOUND + 1));
      expect(await a.guard.events.publish(many)).toEqual(APPLIED);
      expect(await a.guard.events.publish(many)).toEqual(DUPLICATE);
      expect(await fresh(a, ['named by none'])).toBe(0);
      expect(await fresh(b, ['named by none'])).toBe(0);
      const domain = { domain: 'balances', scope: 'domain', mode: 'remove' };
      expect(a.all('invalidation').slice(2 * i)).toMatchObject([
        { ...domain, outcome: 'coarsened', count: BOUND + 1, rule: `rules[${i}]` },
        { ...domain, outcome: 'applied', count: 1 },
      ]);
    }
    expect(a.all('refresh-skipped')).toEqual([]);
    await expectFresh([a, b], OTHER, 'kept');
  });

  promise(12, 'above the bound brings no values: it is poison, and says what to do', BOTH, async (fleet) => {
    const a = await fleet.start();
    follow(a, RULES);
    const { kind, ...why } = await a.guard.events.publish(about('updated', names(BOUND + 1)));
    expect(kind).toBe('poison');
    expect(why).toMatchObject({ rule: "rules[3] of domain 'balances'", error: 'CG_INVALID_RULE' });
    expect((why as { reason: string }).reason).toMatch(/rules\[3\].*10001.*at most 10000; let it invalidate/);
    expect(await fresh(a, ['key 0'])).toBe(0);
  });

  promise(12, 'without an end ends', BOTH, async (fleet) => {
    const a = await fleet.start();
    follow(a, RULES);
    await a.guard.put({ domain: 'balances', key: 'gold' }, 'old');
    let asked = 0;
    const endless = function* () {
      for (;;) yield `key ${asked++}`;
    };
    expect(await a.guard.events.publish(about('gone', endless()))).toMatchObject({
      kind: 'poison',
      error: 'CG_UNUSABLE_KEY',
    });
    expect(asked).toBe(0);
    expect(await fresh(a, ['gold'])).toBe(1);
    const longest: string[] = [];
    longest.length = 2 ** 32 - 1;
    expect(await a.guard.events.publish(about('gone', longest))).toEqual(APPLIED);
    expect(await fresh(a, ['gold'])).toBe(0);
  });
});

describe('many events that concern many keys', () => {
  promise(12, 'are all applied, and reads of others go on meanwhile', REDIS, async (fleet) => {
    const [a, b] = await fleet.pair();
    follow(a, RULES);
    const lists = names(50, 'event').map((name) => names(1_000, name));
    const sample = lists.map(([first]) => first!);
    for (const key of sample) await b.guard.put({ domain: 'balances', key }, 'old');
    const told = await besideReads(a, () =>
      deliver(
        a,
        lists.map((keys) => about('gone', keys)),
      ),
    );
    expect(told.result).toEqual(lists.map(() => APPLIED));
    expect(told.all()).toBeGreaterThanOrEqual(50_000);
    expect(between(told).length).toBeGreaterThan(5);
    expect(await fresh(b, sample)).toBe(0);
  });
});

describe('an invalidation of many keys', () => {
  promise(3, '100,000 of them, is applied to each, and reads of others go on meanwhile', BOTH, async (fleet) => {
    const a = await fleet.start();
    const keys = names(100_000);
    const sample = keys.filter((_, i) => i % 1_000 === 0);
    for (const key of sample) await a.guard.put({ domain: 'balances', key }, 'old');
    const told = await besideReads(a, () => a.guard.invalidate({ domain: 'balances', keys }));
    expect(['applied', 'pending']).toContain(told.result.outcome);
    await until(() => told.all() >= 100_000, 'all of them');
    expect(between(told).length).toBeGreaterThan(5);
    expect(await fresh(a, sample)).toBe(0);
  });
});

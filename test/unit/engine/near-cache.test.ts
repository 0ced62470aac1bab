import { setImmediate as settle } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Found } from '../../../lib/core/decide.js';
import { FLAG, type Entry } from '../../../lib/core/entry.js';
import { resolvePolicy } from '../../../lib/core/resolve-policy.js';
import { Trust } from '../../../lib/core/trust.js';
import type { GuardedCall } from '../../../lib/engine/call.js';
import { NearCache } from '../../../lib/engine/near-cache.js';
import type { Snapshot } from '../../../lib/engine/snapshot.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { BEGAN, entryOf } from '../core/fixtures.js';

const DOMAIN_WIDE = { name: 'd:catalog', value: 1 };
const METAL = { name: 't:catalog:s.metal', value: 1 };

const policy = resolvePolicy('catalog', {
  freshness: 'reference',
  softTtl: '30s',
  hardTtl: '10m',
  jitter: 0,
  l1: { maxEntries: 10, maxBytes: 65_536 },
});
const exact = resolvePolicy('catalog', { freshness: 'reference', stalePolicy: 'never' });

let clock: FakeClock;
let trust: Trust;
let near: NearCache;
let beats = 0;

const callOf = (key = 'catalog:::s.gold', of = policy) => ({ key, policy: of }) as GuardedCall;
const gold = callOf();

function beat(): void {
  trust.send(++beats);
  trust.heard(beats);
}

beforeEach(() => {
  clock = new FakeClock(BEGAN);
  trust = new Trust(clock);
  near = new NearCache(clock, trust, { remote: true });
  beat();
});

function snapshotOf(change: Partial<Entry> = {}, found: Partial<Exclude<Found, string | undefined>> = {}): Snapshot {
  const entry = entryOf({ stamps: [DOMAIN_WIDE, METAL], ...change });
  return {
    found: { entry, drift: { kind: 'none' }, doubt: undefined, ...found },
    nowMs: clock.wall(),
    readAt: { monotonic: clock.monotonic(), wall: clock.wall() },
    tier: 'l2',
    id: entry.id,
    bytes: entry.payload.length,
    unpack: () => ({ bytes: entry.payload.length, take: () => 'value' }),
  };
}

function fill(call = gold, seen: Snapshot | undefined = snapshotOf(), meanwhile = () => {}): void {
  const ticket = near.ticket(call);
  meanwhile();
  near.fill(ticket, call, seen);
}

describe('what is taken in', () => {
  it('a value that was read, and it is fresh', () => {
    fill();
    expect(near.fresh(gold)).toMatchObject({ nowMs: BEGAN });
    expect(near.has(gold)).toBe(true);
  });

  const refused: [string, () => void][] = [
    ['nothing', () => near.fill(near.ticket(gold), gold, undefined)],
    ['what was removed', () => fill(gold, snapshotOf({ flags: FLAG.removed }))],
    ['a mark', () => fill(gold, snapshotOf({ flags: FLAG.hitForMiss }))],
    ['what belongs to another server', () => fill(gold, snapshotOf({}, { doubt: 'epoch' }))],
    ['what is from before an outage', () => fill(gold, snapshotOf({}, { doubt: 'settling' }))],
    ['bytes that are no value', () => fill(gold, { ...snapshotOf(), found: 'corrupt' })],
    ['what was dropped meanwhile', () => fill(gold, snapshotOf(), () => near.drop(gold.key))],
    ['what carries a tag that moved meanwhile', () => fill(gold, snapshotOf(), () => near.dropCarriers(METAL.name))],
    ['all of a domain that moved', () => fill(gold, snapshotOf(), () => near.dropCarriers(DOMAIN_WIDE.name))],
    ['what was read across a loss', () => fill(gold, snapshotOf(), () => trust.lost())],
    ['anything when all is cleared meanwhile', () => fill(gold, snapshotOf(), () => near.clear())],
    ['what is larger than the tier', () => fill(gold, snapshotOf({ payload: Buffer.alloc(65_536) }))],
  ];
  it.each(refused)('not %s', (_what, run) => {
    run();
    expect(near.has(gold)).toBe(false);
    beat();
    expect(near.fresh(gold)).toBeUndefined();
    expect(near.doubted(gold)).toBeUndefined();
  });

  it('of a store in this process, nothing', () => {
    near = new NearCache(clock, trust, { remote: false });
    expect(near.ticket(gold)).toBeUndefined();
    fill();
    expect([near.has(gold), near.fresh(gold), near.doubted(gold)]).toEqual([false, undefined, undefined]);
  });

  it('for a reader whose policy has no such tier, nothing, though another one keeps the key', () => {
    fill();
    const strict = callOf(gold.key, exact);
    expect(near.ticket(strict)).toBeUndefined();
    expect([near.has(strict), near.fresh(strict), near.doubted(strict)]).toEqual([false, undefined, undefined]);
  });

  it('a signal about others does not matter', () => {
    fill(gold, snapshotOf(), () => (near.drop('catalog:::s.silver'), near.dropCarriers('t:catalog:s.wood')));
    expect(near.fresh(gold)).toBeDefined();
  });

  it('a reply that was asked for later replaces, one with an older value does not', () => {
    const newer = snapshotOf({ id: 'b'.repeat(16), beganMs: BEGAN - 5 });
    fill(gold, newer);
    fill(gold, snapshotOf({ id: 'a'.repeat(16), beganMs: BEGAN - 10 }));
    expect(near.fresh(gold)?.seen.id).toBe(newer.id);
    const marked = snapshotOf({ id: newer.id, beganMs: BEGAN - 5, softMs: BEGAN });
    fill(gold, marked);
    expect(near.fresh(gold)).toBeUndefined();
  });

  it('what is older replaces what is not trusted any more', () => {
    fill(gold, snapshotOf({ id: 'b'.repeat(16), beganMs: BEGAN - 5 }));
    trust.lost();
    beat();
    fill(gold, snapshotOf({ id: 'a'.repeat(16), beganMs: BEGAN - 10 }));
    expect(near.fresh(gold)?.seen.id).toBe('a'.repeat(16));
  });
});

describe('what is compressed', () => {
  const packed = (unpack: Snapshot['unpack']) => ({ ...snapshotOf({ flags: FLAG.compressed }), unpack });

  it('is as large as it is in memory', async () => {
    fill(
      gold,
      packed(async () => ({ bytes: 30_000, take: () => 'value' })),
    );
    await settle();
    expect(near.fresh(gold)).toBeDefined();
    fill(
      callOf('catalog:::s.other'),
      packed(async () => ({ bytes: 40_000, take: () => 'value' })),
    );
    await settle();
    expect([near.has(gold), near.has(callOf('catalog:::s.other'))]).toEqual([false, true]);
  });

  it('is not kept when it was dropped while it was opened', async () => {
    const opened: (() => void)[] = [];
    fill(
      gold,
      packed(() => new Promise((resolve) => opened.push(() => resolve({ bytes: 5, take: () => 'value' })))),
    );
    near.drop(gold.key);
    opened[0]!();
    await settle();
    expect(near.has(gold)).toBe(false);
  });

  it.each([
    ['throws', () => throwing()],
    ['rejects', async () => throwing()],
  ])('is passed over when whoever opens it %s', async (_how, unpack) => {
    expect(() => fill(gold, packed(unpack))).not.toThrow();
    await settle();
    expect(near.has(gold)).toBe(false);
  });

  function throwing(): never {
    throw new TypeError('no codec has the number 99');
  }
});

describe('what is fresh', () => {
  it('only while signals arrive', () => {
    fill();
    clock.advance(900);
    expect(near.fresh(gold)).toBeUndefined();
    beat();
    expect(near.fresh(gold)).toBeDefined();
    trust.lost();
    beat();
    expect(near.fresh(gold)).toBeUndefined();
  });

  it('only for what is left of its soft TTL, on both clocks', () => {
    fill();
    clock.advance(29_999);
    beat();
    expect(near.fresh(gold)).toMatchObject({ nowMs: BEGAN + 29_999 });
    clock.jumpWall(1);
    expect(near.fresh(gold)).toBeUndefined();
  });

  it.each([
    ['stale already', { softMs: BEGAN - 1 }, {}],
    ['marked', { flags: FLAG.marked }, {}],
    ['of a tag that had moved', {}, { drift: { kind: 'expired', atMs: BEGAN - 1 } }],
    ['of a tag that nobody knows', {}, { drift: { kind: 'unknown' } }],
    ['gone', { hardMs: BEGAN }, {}],
    ['of the future', { beganMs: BEGAN + 5_000 }, {}],
  ] as const)('not what is %s', (_what, entry, found) => {
    fill(gold, snapshotOf(entry, found));
    expect(near.fresh(gold)).toBeUndefined();
  });

  it('not beyond maxAge', () => {
    const brief = callOf(gold.key, resolvePolicy('catalog', { freshness: 'reference', l1: { maxAge: '1s' } }));
    fill(brief);
    clock.advance(999);
    beat();
    expect(near.fresh(brief)).toBeDefined();
    clock.advance(1);
    expect(near.fresh(brief)).toBeUndefined();
  });

  it('not what was loaded without the store', () => {
    near.fill(near.ticket(gold), gold, snapshotOf(), true);
    expect(near.fresh(gold)).toBeUndefined();
    expect(near.doubted(gold)).toBeDefined();
  });
});

describe('what may be served as stale', () => {
  it('is doubted, and as old as it is', () => {
    fill();
    clock.advance(1_234);
    const seen = near.doubted(gold)!;
    expect(seen).toMatchObject({ nowMs: BEGAN + 1_234, tier: 'l1', found: { doubt: 'store-unavailable' } });
    expect(seen.readAt).toEqual({ monotonic: 1_234, wall: BEGAN + 1_234 });
  });

  it('what was loaded without the store is not kept if it was invalidated meanwhile', () => {
    for (const change of [() => near.drop(gold.key), () => near.dropCarriers(METAL.name)]) {
      const ticket = near.ticket(gold);
      change();
      near.fill(ticket, gold, snapshotOf(), true);
      expect(near.doubted(gold)).toBeUndefined();
    }
  });

  it('what was loaded without the store does not wait for signals', () => {
    const ticket = near.ticket(gold);
    trust.lost();
    near.fill(ticket, gold, snapshotOf(), true);
    expect(near.doubted(gold)).toBeDefined();
  });
});

describe('what is dropped', () => {
  const key = (i: number) => callOf(`catalog:::s.${i}`);

  it('the key', () => {
    fill();
    near.drop(gold.key);
    expect(near.has(gold)).toBe(false);
  });

  it('all that carries a tag, in whatever domain, and nothing else', () => {
    const other = { name: 't:prices:s.market', value: 1 };
    const foreign = callOf('prices:::s.gold', { ...policy, domain: 'prices' });
    fill(key(1), snapshotOf({ stamps: [DOMAIN_WIDE, other] }));
    fill(key(2), snapshotOf({ stamps: [DOMAIN_WIDE] }));
    fill(foreign, snapshotOf({ stamps: [other] }));
    near.dropCarriers(other.name);
    expect([near.has(key(1)), near.has(key(2)), near.has(foreign)]).toEqual([false, true, false]);
    near.dropCarriers(DOMAIN_WIDE.name);
    expect(near.has(key(2))).toBe(false);
  });

  it('a value that replaced another is found by its own tags', () => {
    fill(gold, snapshotOf({ stamps: [METAL] }));
    fill(gold, snapshotOf({ id: 'b'.repeat(16), stamps: [DOMAIN_WIDE] }));
    near.dropCarriers(METAL.name);
    expect(near.has(gold)).toBe(true);
    near.dropCarriers(DOMAIN_WIDE.name);
    expect(near.has(gold)).toBe(false);
  });

  it('the least recently used beyond the bound, and it is forgotten by its tags as well', () => {
    for (let i = 0; i < 11; i++) fill(key(i));
    expect(near.has(key(0))).toBe(false);
    fill(key(0), snapshotOf({ stamps: [] }));
    near.dropCarriers(METAL.name);
    expect(near.has(key(0))).toBe(true);
    expect(near.has(key(10))).toBe(false);
  });

  it('everything', () => {
    for (let i = 0; i < 5; i++) fill(key(i));
    near.clear();
    for (let i = 0; i < 5; i++) expect(near.has(key(i))).toBe(false);
  });
});

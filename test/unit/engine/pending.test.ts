import { describe, expect, it } from 'vitest';
import type { CacheGuardEvent, InvalidationMode } from '../../../lib/core/events.js';
import { domainGeneration, tagGeneration } from '../../../lib/core/keys.js';
import { EventHub } from '../../../lib/engine/event-hub.js';
import { PendingInvalidations, type Invalidation } from '../../../lib/engine/pending.js';

const TTL_MS = 1_000;

const ofKey = (key: string, mode: InvalidationMode = 'expire', domain = 'offers', ttlMs = TTL_MS): Invalidation => ({
  scope: 'key',
  key: `${domain}:::s.${key}`,
  domain,
  mode,
  ttlMs,
});
const ofTag = (tag: string, mode: InvalidationMode = 'expire', domain = 'offers', ttlMs = TTL_MS): Invalidation => ({
  scope: 'tag',
  generation: tagGeneration(domain, tag),
  domain,
  mode,
  ttlMs,
});
const ofDomain = (domain: string, mode: InvalidationMode = 'expire', ttlMs = TTL_MS): Invalidation => ({
  scope: 'domain',
  generation: domainGeneration(domain),
  domain,
  mode,
  ttlMs,
});

interface Bench {
  readonly pending: PendingInvalidations;
  readonly events: CacheGuardEvent[];
  readonly executed: Invalidation[];
  /** Executes everything that is kept. */
  readonly carryOut: () => Promise<boolean>;
}

function setup(max?: number): Bench {
  const hub = new EventHub();
  const events: CacheGuardEvent[] = [];
  hub.on((event) => events.push(event));
  const pending = new PendingInvalidations(hub, max);
  const executed: Invalidation[] = [];
  return { pending, events, executed, carryOut: () => pending.carryOut(async (one) => void executed.push(one)) };
}

const told = (outcome: string, count: number, more: object = {}): object =>
  expect.objectContaining({ type: 'invalidation', outcome, count, ...more }) as object;

describe('PendingInvalidations', () => {
  it('keeps one for each key, tag and domain, however often it is asked for', async () => {
    const { pending, executed, carryOut, events } = setup();
    for (let i = 0; i < 100; i++) {
      for (const one of [ofKey('a'), ofKey('b'), ofTag('a'), ofDomain('offers')]) pending.add(one);
    }
    expect(pending.size).toBe(4);
    expect(await carryOut()).toBe(true);
    expect(executed).toEqual([ofKey('a'), ofKey('b'), ofTag('a'), ofDomain('offers')]);
    expect(pending.size).toBe(0);
    expect(events).toEqual([
      told('carried-out', 2, { scope: 'key', domain: 'offers', mode: 'expire' }),
      told('carried-out', 1, { scope: 'tag' }),
      told('carried-out', 1, { scope: 'domain' }),
    ]);
  });

  const orders: InvalidationMode[][] = [
    ['expire', 'remove', 'purge'],
    ['purge', 'remove', 'expire'],
    ['remove', 'purge', 'expire'],
  ];
  for (const modes of orders) {
    it(`keeps the strictest mode and the longest life of those asked for: ${modes.join(', ')}`, async () => {
      const { pending, executed, carryOut } = setup();
      modes.forEach((mode, i) => pending.add(ofTag('a', mode, 'offers', TTL_MS * (i === 1 ? 9 : 1))));
      await carryOut();
      expect(executed).toEqual([ofTag('a', 'purge', 'offers', 9 * TTL_MS)]);
    });
  }

  it('covers what it keeps, and nothing else', async () => {
    const { pending, carryOut } = setup();
    const { key } = ofKey('a') as Invalidation & { scope: 'key' };
    const tags = [tagGeneration('offers', 'a'), domainGeneration('offers')];
    expect(pending.covers(key, tags)).toBe(false);
    pending.add(ofKey('a'));
    expect([pending.covers(key, []), pending.covers(`${key}b`, tags)]).toEqual([true, false]);
    await carryOut();
    pending.add(ofTag('a'));
    expect([pending.covers(key, tags), pending.covers(key, tags.slice(1))]).toEqual([true, false]);
    await carryOut();
    pending.add(ofDomain('offers'));
    expect([pending.covers(key, tags), pending.covers(key, [domainGeneration('rates')])]).toEqual([true, false]);
    await carryOut();
    expect(pending.covers(key, tags)).toBe(false);
  });

  it('keeps what the store refused', async () => {
    const { pending, executed, carryOut, events } = setup();
    pending.add(ofKey('a'));
    const failing = (): Promise<void> => Promise.reject(new Error('away'));
    expect(await pending.carryOut(failing)).toBe(false);
    expect(pending.size).toBe(1);
    expect(events).toEqual([]);
    expect(await carryOut()).toBe(true);
    expect(executed).toEqual([ofKey('a')]);
  });

  it('does not take for done what was asked for again while it was carried out', async () => {
    const { pending, executed, carryOut } = setup();
    pending.add(ofKey('a'));
    expect(await pending.carryOut(async () => pending.add(ofKey('a')))).toBe(false);
    expect(pending.size).toBe(1);
    await carryOut();
    expect(executed).toEqual([ofKey('a')]);
  });

  it('does not let those that fail keep the others from the store, however many they are', async () => {
    const { pending, executed } = setup();
    const lost = (one: Invalidation): boolean => one.scope === 'key' && one.key.includes('lost');
    for (let i = 0; i < 500; i++) pending.add(ofKey(`lost.${i}`));
    for (let i = 0; i < 500; i++) pending.add(ofKey(`well.${i}`));
    const execute = async (one: Invalidation): Promise<void> => {
      if (lost(one)) throw new Error('the server of this key is away');
      executed.push(one);
    };
    for (let beat = 0; beat < 50 && executed.length < 500; beat++) expect(await pending.carryOut(execute)).toBe(false);
    expect(executed).toHaveLength(500);
    expect(pending.size).toBe(500);
  });

  it('beyond its bound, gives up the keys and tags of the domain with the most for all of it; nothing is lost', async () => {
    const { pending, executed, carryOut, events } = setup(6);
    pending.add(ofKey('r', 'purge', 'rates'));
    pending.add(ofKey('a', 'expire', 'offers', 5 * TTL_MS));
    for (const one of [ofKey('b'), ofKey('c'), ofTag('a', 'remove'), ofTag('b'), ofKey('d')]) pending.add(one);
    expect(events).toEqual([told('coarsened', 5, { domain: 'offers', scope: 'domain', mode: 'remove' })]);
    expect(pending.size).toBe(3);
    const whole = [domainGeneration('offers')];
    for (const key of ['a', 'never asked for']) expect(pending.covers(key, whole)).toBe(true);
    await carryOut();
    expect(executed).toEqual([ofKey('r', 'purge', 'rates'), ofDomain('offers', 'remove', 5 * TTL_MS), ofKey('d')]);
  });

  it('stays within its bound, and keeps what was asked for before it was reached the second time', async () => {
    const { pending, executed, carryOut } = setup(10);
    pending.add(ofTag('first', 'purge'));
    for (let i = 0; i < 1_000; i++) {
      pending.add(ofKey(String(i)));
      expect(pending.size).toBeLessThanOrEqual(10);
    }
    await carryOut();
    expect(executed).toContainEqual(ofDomain('offers', 'purge'));
  });

  it('an invalidation that gave way to its domain while it was carried out leaves the domain to be carried out', async () => {
    const { pending, executed, carryOut } = setup(2);
    pending.add(ofKey('a'));
    const more = async (): Promise<void> => {
      for (const key of ['b', 'c']) pending.add(ofKey(key));
    };
    expect(await pending.carryOut(more)).toBe(false);
    await carryOut();
    expect(executed).toContainEqual(ofDomain('offers'));
  });

  it('says what it gives up, once for each kind', () => {
    const { pending, events } = setup();
    for (const one of [ofKey('a'), ofKey('b'), ofTag('a', 'remove'), ofKey('a', 'expire', 'rates')]) pending.add(one);
    pending.abandon();
    expect(events).toEqual([
      told('failed', 2, { domain: 'offers', scope: 'key' }),
      told('failed', 1, { domain: 'offers', scope: 'tag', mode: 'remove' }),
      told('failed', 1, { domain: 'rates', scope: 'key' }),
    ]);
    expect(pending.size).toBe(0);
    pending.abandon();
    expect(events).toHaveLength(3);
  });
});

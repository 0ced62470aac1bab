import { describe, expect } from 'vitest';
import { DOMAINS, settle, until, type Fleet } from './support/fleet.js';
import { BOTH, MEMORY, promise, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

const LEASE_MS = 200;
const lease = { duration: LEASE_MS };
const domains = {
  balances: { ...DOMAINS.balances, lease },
  rates: { ...DOMAINS.rates, lease },
  offers: { ...DOMAINS.offers, lease },
} as const;

/** A process that has the lease of a key, and dies in mid-load. */
async function dying(fleet: Fleet, domain: keyof typeof domains) {
  const target = { domain, key: 'gold' };
  const [a, b] = await fleet.pair({ domains });
  if (domain !== 'balances') {
    await a.guard.getOrLoad(target, async () => 'old');
    await a.guard.invalidate(target);
  }
  const source = fleet.source<string>();
  void a.guard.getOrLoad(target, source.load);
  await source.call(1);
  for (const operation of ['renew', 'commit', 'release'] as const) a.store.fail(operation, Infinity);
  return { a, b, target };
}

describe('holder death', () => {
  promise(7, 'costs a reader who must have a fresh value one lease at most', BOTH, async (fleet) => {
    const { b, target } = await dying(fleet, 'balances');
    const own = counted(() => 'new');
    const began = performance.now();
    const reads = [1, 2, 3].map(() => b.guard.getOrLoad(target, own));
    await b.heard('lease', { outcome: 'refused' });
    await fleet.pass(fleet.kind === 'memory' ? LEASE_MS + 50 : 0);
    expect(await Promise.all(reads)).toEqual(['new', 'new', 'new']);
    expect(own.calls).toBe(1);
    if (fleet.kind !== 'memory') expect(performance.now() - began).toBeLessThan(5 * LEASE_MS);
  });

  promise(7, 'the wait ends with the lease, not before and not much later', MEMORY, async (fleet) => {
    const { b, target } = await dying(fleet, 'balances');
    const own = counted(() => 'new');
    const read = b.guard.getOrLoad(target, own);
    await b.heard('lease', { outcome: 'refused' });
    await fleet.pass(LEASE_MS - 1);
    expect(own.calls).toBe(0);
    await fleet.pass(51);
    expect(own.calls).toBe(1);
    expect(await read).toBe('new');
  });

  promise(7, 'costs a reader who may have the old value nothing', BOTH, async (fleet) => {
    const { b, target } = await dying(fleet, 'offers');
    const own = counted(() => 'new');
    const { value, served } = await b.guard.trace(() => b.guard.getOrLoad(target, own));
    expect({ value, served }).toMatchObject({ value: 'old', served: [{ state: 'stale' }] });
    expect(own.calls).toBe(0);
  });

  promise(7, 'nor more than the soft time-out where the old value is for trouble only', MEMORY, async (fleet) => {
    const long = { ...DOMAINS.rates, softTimeout: '100ms', lease: { duration: '2s' } } as const;
    const [a, b] = await fleet.pair({ domains: { long } });
    const target = { domain: 'long', key: 'gold' };
    await a.guard.getOrLoad(target, async () => 'old');
    await a.guard.invalidate(target);
    const source = fleet.source<string>();
    void a.guard.getOrLoad(target, source.load);
    await source.call(1);
    a.store.fail('renew', Infinity);
    const read = b.guard.getOrLoad(target, async () => 'new');
    await b.heard('lease', { outcome: 'refused' });
    await fleet.pass(100);
    expect(await read).toBe('old');
  });

  promise(7, 'a lost wake-up costs one lease at most', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair({ domains });
    const target = { domain: 'balances', key: 'gold' };
    b.store.deaf = true;
    const source = fleet.source<string>();
    const first = a.guard.getOrLoad(target, source.load);
    const load = await source.call(1);
    const own = counted(() => 'from b');
    const second = b.guard.getOrLoad(target, own);
    await b.heard('lease', { outcome: 'refused' });
    load.resolve('from a');
    expect(await first).toBe('from a');
    await fleet.pass(fleet.kind === 'memory' ? LEASE_MS + 50 : 0);
    expect(await second).toBe('from a');
    expect(own.calls).toBe(0);
  });

  promise(7, 'a holder whose connection is gone', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    const [a, b] = [await fleet.start({ domains, proxy, commandTimeoutMs: 100 }), await fleet.start({ domains })];
    const target = { domain: 'balances', key: 'gold' };
    const source = fleet.source<string>();
    const first = a.guard.getOrLoad(target, source.load);
    const load = await source.call(1);
    proxy.down();
    const own = counted(() => 'new');
    expect(await b.guard.getOrLoad(target, own)).toBe('new');
    expect(own.calls).toBe(1);
    // The dead man speaks once more: his reader is served, the fleet is not misled.
    proxy.up();
    await until(async () => (await a.guard.explain(target)).store === 'answered');
    load.resolve('old');
    expect(await first).toBe('old');
    expect(await b.guard.peek(target)).toMatchObject({ value: 'new', state: 'fresh' });
  });

  promise(7, 'a holder that gives up tells the others at once', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const target = { domain: 'balances', key: 'gold' };
    const source = fleet.source<string>();
    const leaving = new AbortController();
    const first = a.guard.getOrLoad({ ...target, signal: leaving.signal }, source.load).catch(() => 'left');
    await source.call(1);
    const second = b.guard.getOrLoad(target, async () => 'from b');
    await b.heard('lease', { outcome: 'refused' });
    leaving.abort();
    expect(await first).toBe('left');
    await settle();
    expect(await second).toBe('from b');
  });
});

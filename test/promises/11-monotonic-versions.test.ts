import { describe, expect } from 'vitest';
import type { Fleet, Member } from './support/fleet.js';
import { DOMAINS } from './support/fleet.js';
import { ALL, BOTH, expectFresh, MEMORY, promise } from './support/promise.js';

const RATE = { domain: 'rates', key: 'gold' };
const BALANCE = { domain: 'balances', key: 'gold' };

/** A load of this version, into a cache that was told that something changed. */
async function load(
  { guard }: Member,
  target: typeof RATE,
  version: bigint | string,
  value = String(version),
): Promise<string> {
  return guard.refresh(target, async (context) => (context.setVersion(version), value));
}

const BORDERS = [1n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

describe('monotonic versions', () => {
  for (const newer of BORDERS) {
    const older = newer - 1n;
    promise(11, `${older} never replaces ${newer}, by load or by put`, BOTH, async (fleet) => {
      const [a, b] = await fleet.pair();
      expect(await a.guard.put(RATE, 'newer', { version: newer })).toEqual({ outcome: 'applied', stored: true });
      expect(await b.guard.put(RATE, 'older', { version: older })).toEqual({
        outcome: 'applied',
        stored: false,
        reason: 'older-version',
      });
      await expectFresh([a, b], RATE, 'newer');
      // Who loaded it gets it: it is what the source says. It is not kept.
      expect(await load(b, RATE, older, 'older')).toBe('older');
      await expectFresh([a, b], RATE, 'newer');
      expect(b.all('fenced', { reason: 'version' })).toHaveLength(2);
      expect((await a.guard.peek(RATE))?.version).toBe(newer);
      expect(await a.guard.put(RATE, 'equal', { version: newer })).toMatchObject({ stored: true });
    });
  }

  promise(11, 'versions that differ in the last bit only are told apart, up and down', BOTH, async (fleet) => {
    const a = await fleet.start();
    const from = 2n ** 63n - 3n;
    for (let version = from; version < from + 6n; version++) {
      expect(await load(a, RATE, version)).toBe(String(version));
      await expectFresh([a], RATE, String(version));
      await load(a, RATE, version - 1n, 'older');
      await expectFresh([a], RATE, String(version));
    }
  });

  const gone = {
    'an invalidation that removes': ({ guard }: Member, target: typeof RATE) =>
      guard.invalidate({ ...target, mode: 'remove' }),
    'an invalidation that purges': ({ guard }: Member, target: typeof RATE) =>
      guard.invalidate({ ...target, mode: 'purge' }),
    'an invalidation that marks stale': ({ guard }: Member, target: typeof RATE) =>
      guard.invalidate({ ...target, mode: 'expire' }),
    'an invalidation of the domain': ({ guard }: Member, target: typeof RATE) =>
      guard.invalidateDomain(target.domain, { mode: 'remove' }),
  };
  for (const [what, remove] of Object.entries(gone)) {
    promise(11, `${what} does not open the way back to an older version`, ALL, async (fleet) => {
      const [a, b] = await fleet.pair();
      for (const target of [RATE, BALANCE]) {
        await load(a, target, 7n, 'newer');
        await remove(b, target);
        // A replica that lags: who asked is served, nothing is kept.
        expect(await b.guard.getOrLoad(target, async (context) => (context.setVersion(6n), 'older'))).toBe('older');
        const seen = await a.guard.peek(target);
        expect(seen?.value).not.toBe('older');
        expect(await load(a, target, 8n, 'newest')).toBe('newest');
        await expectFresh([a, b], target, 'newest');
      }
    });
  }

  promise(11, 'the window counts from the hard expiry, and ends', MEMORY, async (fleet) => {
    const windowed = { ...DOMAINS.rates, softTtl: '5s', hardTtl: '10s', versionWindow: '30s' } as const;
    const a = await fleet.start({ domains: { windowed } });
    const target = { domain: 'windowed', key: 'gold' };
    await load(a, target, 7n);
    await a.guard.invalidate({ ...target, mode: 'remove' });
    await fleet.pass(39_999);
    await load(a, target, 6n);
    expect(await a.guard.peek(target)).toBeUndefined();
    await fleet.pass(1);
    await load(a, target, 6n);
    expect((await a.guard.peek(target))?.version).toBe(6n);
  });

  promise(11, 'a load without a version replaces; it does not open the way back either', BOTH, async (fleet) => {
    const a = await fleet.start();
    await load(a, RATE, 7n);
    await a.guard.refresh(RATE, async () => 'unversioned');
    await expectFresh([a], RATE, 'unversioned');
    await load(a, RATE, 6n, 'older');
    await expectFresh([a], RATE, 'unversioned');
  });

  promise(11, 'an etag is equal or not: any other one replaces', BOTH, async (fleet) => {
    const a = await fleet.start();
    for (const etag of ['9', '1', 'b', 'a', '']) {
      expect(await load(a, RATE, etag, `body of ${etag}`)).toBe(`body of ${etag}`);
      expect(await a.guard.peek(RATE)).toMatchObject({
        value: `body of ${etag}`,
        etag,
        version: undefined,
        state: 'fresh',
      });
    }
  });

  promise(11, 'a load sees the version of what is kept', BOTH, async (fleet: Fleet) => {
    const [a, b] = await fleet.pair();
    await load(a, RATE, 2n ** 63n, 'kept');
    const previous = await b.guard.refresh<unknown>(RATE, async (context) => context.previous);
    expect(previous).toEqual({ value: 'kept', version: 2n ** 63n, etag: undefined });
  });

  for (const version of [-1n, 2n ** 64n, 1.5, null, {}] as never[]) {
    promise(
      11,
      `${typeof version === 'object' ? JSON.stringify(version) : String(version)} is no version`,
      MEMORY,
      async (fleet) => {
        const a = await fleet.start();
        await expect(a.guard.put(RATE, 'value', { version })).rejects.toMatchObject({ code: 'CG_INVALID_VERSION' });
        await expect(load(a, RATE, version)).rejects.toMatchObject({ code: 'CG_INVALID_VERSION' });
      },
    );
  }
});

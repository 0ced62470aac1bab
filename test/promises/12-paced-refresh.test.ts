import { expect } from 'vitest';
import { settle, type Fleet, type Member } from './support/fleet.js';
import { MEMORY, promise } from './support/promise.js';
import { counted, type Counted } from './support/source.js';

const KEYS = 200;
const PLACES = 4;
const DOMAIN = {
  offers: {
    freshness: 'operational',
    softTtl: '1m',
    hardTtl: '10m',
    stalePolicy: 'while-revalidate',
    jitter: 0,
    bulkhead: { concurrency: PLACES },
  },
} as const;

/** Reads every key in each of ten parts of a second, and says how many loads began in it. */
async function loadsInASecond(fleet: Fleet, member: Member, load: Counted<number>): Promise<number> {
  const before = load.calls;
  for (let part = 0; part < 10; part++) {
    await readAll(member, load);
    await settle();
    await fleet.clock.run(100);
  }
  return load.calls - before;
}

const readAll = (member: Member, load: Counted<number>): Promise<unknown> =>
  Promise.all(
    Array.from({ length: KEYS }, (_, n) =>
      member.guard.getOrLoad({ domain: 'offers', key: n, tags: [n % 2 ? 'odd' : 'even', 'all'] }, load),
    ),
  );

for (const [what, invalidate] of [
  ['a tag', ({ guard }: Member) => guard.invalidateTags({ domain: 'offers', tags: ['all'] })],
  ['a domain', ({ guard }: Member) => guard.invalidateDomain('offers')],
] as const) {
  promise(
    12,
    `the refreshes that ${what} causes are spread over time, and readers do not wait`,
    MEMORY,
    async (fleet) => {
      const member = await fleet.start({ domains: DOMAIN });
      const load = counted<number>((_context, call) => call);
      await readAll(member, load);
      expect(load.calls).toBe(KEYS);
      await invalidate(member);
      const loads = await loadsInASecond(fleet, member, load);
      expect(loads).toBeGreaterThan(1);
      expect(loads).toBeLessThanOrEqual(4 * PLACES + 1);
    },
  );
}

promise(12, 'what expires by itself is refreshed as it is read', MEMORY, async (fleet) => {
  const member = await fleet.start({ domains: DOMAIN });
  const load = counted<number>((_context, call) => call);
  await readAll(member, load);
  await fleet.clock.run(61_000);
  await readAll(member, load);
  await settle(50);
  expect(load.calls).toBe(2 * KEYS);
});

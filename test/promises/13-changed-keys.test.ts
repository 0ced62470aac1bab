import { describe, expect } from 'vitest';
import type { DomainPolicies } from 'nestjs-cache-guard';
import { DOMAINS, type Fleet, type Member } from './support/fleet.js';
import { BOTH, promise } from './support/promise.js';

const domains: DomainPolicies = {
  kept: { ...DOMAINS.balances, isFailure: () => false, negativeTtl: '1m', isAbsent: (outcome) => 'error' in outcome },
  behind: DOMAINS.offers,
  unkept: { freshness: 'critical', stalePolicy: 'no-store' },
};

interface Query {
  user: string;
}

/** Reads as a service does: the key and the load are made from one object. Each load says whose value it gives. */
class Reads {
  readonly loads: string[] = [];

  constructor(
    readonly member: Member,
    private readonly domain: string,
    private readonly answer: (query: Query) => string = ({ user }) => `of ${user}`,
  ) {}

  readonly of = (query: Query): Promise<string> =>
    this.member.guard.getOrLoad<string>({ domain: this.domain, key: query }, async () => {
      this.loads.push(query.user);
      return this.answer(query);
    });

  /** The object is changed before the load runs. */
  readonly changed = (): Promise<string> => {
    const query = { user: 'ada' };
    const read = this.of(query);
    query.user = 'bob';
    return read;
  };
}

const start = async (fleet: Fleet, domain: string, answer?: (query: Query) => string) =>
  new Reads(await fleet.start({ domains }), domain, answer);

describe('a value whose key was changed before it was loaded', () => {
  promise(13, 'is its caller’s alone, and stands in nobody’s way', BOTH, async (fleet) => {
    const one = await start(fleet, 'kept');
    const other = await start(fleet, 'kept');
    expect(await one.changed()).toBe('of bob');
    expect(one.member.all('uncacheable', { reason: 'key-changed' })).toHaveLength(1);
    for (const reads of [one, other, one]) expect(await reads.of({ user: 'ada' })).toBe('of ada');
    expect([...one.loads, ...other.loads]).toEqual(['bob', 'ada']);
    expect(await other.of({ user: 'bob' })).toBe('of bob');
  });

  for (const domain of ['kept', 'unkept'])
    promise(13, `is not given to who waits for the same key: ${domain}`, BOTH, async (fleet) => {
      const reads = await start(fleet, domain);
      const all = [reads.changed(), reads.of({ user: 'ada' }), reads.of({ user: 'ada' })];
      expect(await Promise.all(all)).toEqual(['of bob', 'of ada', 'of ada']);
      // They share the next load.
      expect(reads.loads).toEqual(['bob', 'ada']);
    });

  promise(13, 'is no absence of the key either', BOTH, async (fleet) => {
    const reads = await start(fleet, 'kept', ({ user }) => {
      if (user === 'bob') throw new Error('no bob');
      return `of ${user}`;
    });
    const all = [reads.changed(), reads.of({ user: 'ada' })];
    expect(await Promise.allSettled(all)).toMatchObject([
      { reason: { message: 'no bob' } },
      { status: 'fulfilled', value: 'of ada' },
    ]);
    expect(await reads.of({ user: 'ada' })).toBe('of ada');
  });

  promise(13, 'does not replace the old one behind a reader', BOTH, async (fleet) => {
    const reads = await start(fleet, 'behind');
    await reads.of({ user: 'ada' });
    await reads.member.guard.invalidate({ domain: 'behind', key: { user: 'ada' } });
    expect(await reads.changed()).toBe('of ada');
    await reads.member.heard('uncacheable', { reason: 'key-changed' });
    expect(await reads.member.guard.peek({ domain: 'behind', key: { user: 'ada' } })).toMatchObject({
      value: 'of ada',
    });
    expect(reads.loads).toEqual(['ada', 'bob']);
  });
});

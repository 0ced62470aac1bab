import { isDeepStrictEqual } from 'node:util';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import * as fc from 'fast-check';
import { argsKey, Cached, CacheGuard, CacheGuardModule, type DomainPolicies, type KeyPart } from 'nestjs-cache-guard';
import { describe, expect, onTestFinished, test } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { DOMAINS, type Fleet, type Member } from './support/fleet.js';
import { BOTH, promise, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

let tenant: string | undefined;
const inTenant = { ...DOMAINS.balances, partition: () => tenant };
const domains: DomainPolicies = {
  d: DOMAINS.balances,
  D: DOMAINS.balances,
  dd: DOMAINS.balances,
  'd-1': DOMAINS.balances,
  d_1: DOMAINS.balances,
  t: inTenant,
  tt: inTenant,
};

/** Texts that could be mistaken for the seams of a key. */
const seam = fc.constantFrom(
  'a',
  'b',
  'a:b',
  ':',
  '::',
  's.a',
  'h.',
  'n.1',
  '{',
  '}',
  '{a}',
  '1',
  'none',
  '*',
  '|',
  '\n',
  'é',
  'é',
);
const text = fc.oneof(
  seam,
  fc.string({ minLength: 1, maxLength: 30 }),
  fc.string({ minLength: 1, maxLength: 4, unit: 'binary' }),
);
const scalar = fc.oneof(
  text,
  fc.integer({ min: -3, max: 3 }).map((n) => n + 0),
  fc.bigInt({ min: -3n, max: 3n }),
  fc.boolean(),
  fc.date({ noInvalidDate: true }),
  fc.double({ noNaN: true }).map((n) => n + 0),
);
const structure = fc.oneof(
  fc.array(scalar, { maxLength: 3 }),
  fc.dictionary(seam, scalar, { maxKeys: 3, noNullPrototype: true }),
  fc.array(fc.array(scalar, { maxLength: 2 }), { maxLength: 2 }),
);
/** Of different types, but alike when they are turned into text. */
// prettier-ignore
const alike = fc.constantFrom<KeyPart>(
  1, '1', 1n, 'n.1', 's.1', 'i.1', [1], ['1'], [[1]], { a: 1 }, { a: '1' }, true, 'true', 'b.true', [true],
  new Date(1), [new Date(1)], '1970-01-01T00:00:00.001Z', 'none', 'h.1', 'a,b', ['a', 'b'], ['a,b'], 'undefined', 'null',
);
const part: fc.Arbitrary<KeyPart> = fc.oneof(
  { weight: 2, arbitrary: alike },
  scalar,
  structure,
) as fc.Arbitrary<KeyPart>;
const derived = fc.array(fc.oneof(alike, scalar, structure, fc.constant(null)), { maxLength: 3 });

const place = fc.record({
  domain: fc.constantFrom(...Object.keys(domains)),
  name: fc.option(text, { nil: undefined }),
  tenant: fc.constantFrom('a', 'b', 'a:b', 's.a', '', 'h'),
  key: fc.oneof(
    part.map((given) => ({ given })),
    derived.map((args) => ({ args })),
  ),
});
type Place = {
  domain: string;
  name: string | undefined;
  tenant: string;
  key: { given: KeyPart } | { args: unknown[] };
};

const partitioned = (domain: string) => domain === 't' || domain === 'tt';

/** What makes two places one: a tenant counts only where the domain is partitioned, an only argument is a key like one that was given. */
function identity({ domain, name, tenant: of, key }: Place): unknown {
  const content = 'given' in key ? key.given : key.args.length === 1 ? key.args[0] : { args: key.args };
  return { domain, name, tenant: partitioned(domain) ? of : undefined, content };
}

async function read({ guard }: Member, at: Place, own: (context: never) => Promise<number>): Promise<number> {
  tenant = at.tenant === '' ? 'empty' : at.tenant;
  const key = 'given' in at.key ? at.key.given : argsKey(...at.key.args);
  return guard.getOrLoad<number>({ domain: at.domain, name: at.name, key }, own as never);
}

async function keptApart(members: readonly Member[], places: readonly (Place & { member: number })[]): Promise<void> {
  const distinct: (Place & { member: number })[] = [];
  for (const one of places) {
    const same = (other: (typeof places)[number]) =>
      one.member === other.member && isDeepStrictEqual(identity(one), identity(other));
    if (!distinct.some(same)) distinct.push(one);
  }
  const readOne = (one: (typeof places)[number], own: () => Promise<number>) => read(members[one.member]!, one, own);
  for (const [index, one] of distinct.entries()) expect(await readOne(one, async () => index)).toBe(index);
  const again = counted(() => -1);
  for (const [index, one] of distinct.entries()) expect(await readOne(one, again as never)).toBe(index);
  expect(again.calls).toBe(0);
}

const many = (members: number) =>
  fc.array(
    place.chain((one) => fc.nat({ max: members - 1 }).map((member) => ({ ...one, member }))),
    { minLength: 2, maxLength: 40 },
  ) as fc.Arbitrary<(Place & { member: number })[]>;

/** Keys of one place, many against many. */
const crowded = fc.array(
  place.map((one) => ({ ...one, domain: 'd', name: undefined, member: 0 })),
  { minLength: 20, maxLength: 60 },
) as ReturnType<typeof many>;

async function check(
  fleet: Fleet,
  namespaces: readonly string[],
  numRuns: number,
  chosen = many(namespaces.length),
): Promise<void> {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(chosen, async (places) => {
      run++;
      const members: Member[] = [];
      for (const namespace of namespaces)
        members.push(await fleet.start({ domains, namespace: namespace.replace('#', String(run)) }));
      await members[0]!.guard.invalidateDomain('d');
      for (const domain of Object.keys(domains)) {
        for (const { guard } of members) await guard.invalidateDomain(domain, { mode: 'remove' });
      }
      await keptApart(members, places);
      for (const { guard } of members) await guard.close();
    }),
    { numRuns },
  );
}

describe('isolation', () => {
  promise(13, 'no two of many places share a key (property)', ['memory'], (fleet) => check(fleet, ['one'], 60));

  promise(13, 'no two keys of one place are one (property)', ['memory'], (fleet) => check(fleet, ['one'], 40, crowded));

  promise(13, 'nor in namespaces that share a Redis (property)', REDIS, (fleet) => {
    const own = uniqueNamespace('iso');
    return check(fleet, [`${own}-#`, `${own}-#.e`, `${own}-#-e`], 8);
  });

  promise(13, 'an invalidation touches its own key, tag, domain and partition only', BOTH, async (fleet) => {
    const a = await fleet.start({ domains });
    const places = ['d', 'dd', 't', 'tt'].flatMap((domain) =>
      ['a', 'b'].flatMap((of) =>
        ['a', 'a:b'].map((key) => ({ domain, of, target: { domain, key, tags: [`tag ${key}`] } })),
      ),
    );
    const fill = async () => {
      for (const { of, target } of places) {
        tenant = of;
        await a.guard.getOrLoad(target, async () => 'kept');
      }
    };
    const missing = async () => {
      const names: string[] = [];
      for (const { domain, of, target } of places) {
        tenant = of;
        if (!(await a.guard.peek(target))) names.push(`${domain} ${partitioned(domain) ? of : ''} ${target.key}`);
      }
      return [...new Set(names)];
    };
    await fill();
    tenant = 'a';
    await a.guard.invalidate({ domain: 't', key: 'a' });
    expect(await missing()).toEqual(['t a a']);
    await fill();
    await a.guard.invalidateTags({ domain: 'd', tags: ['tag a'] });
    expect(await missing()).toEqual(['d  a']);
    await fill();
    await a.guard.invalidateDomain('tt');
    expect(await missing()).toEqual(['tt a a', 'tt a a:b', 'tt b a', 'tt b a:b']);
  });

  promise(13, 'a partition that gives nothing is never shared', BOTH, async (fleet) => {
    const a = await fleet.start({ domains });
    const own = counted<number>((_context, call) => call);
    tenant = undefined;
    const reads = [1, 2, 3].map(() => a.guard.getOrLoad({ domain: 't', key: 'gold' }, own));
    expect((await Promise.all(reads)).toSorted((x, y) => x - y)).toEqual([1, 2, 3]);
    expect(a.all('unpartitioned')).toHaveLength(3);
    tenant = 'a';
    expect(await a.guard.getOrLoad({ domain: 't', key: 'gold' }, own)).toBe(4);
  });

  promise(13, 'a partition that throws gives nothing; what it threw does not show', BOTH, async (fleet) => {
    const partition = () => {
      throw new TypeError('no tenant of ada@example.org here');
    };
    const a = await fleet.start({ domains: { broken: { ...DOMAINS.balances, partition } } });
    const own = counted<number>((_context, call) => call);
    const target = { domain: 'broken', key: 'gold' };
    expect([await a.guard.getOrLoad(target, own), await a.guard.getOrLoad(target, own)]).toEqual([1, 2]);
    expect(a.all('unpartitioned', { domain: 'broken', error: 'TypeError' })).toHaveLength(2);
    const refused = {
      code: 'CG_UNUSABLE_KEY',
      field: 'partition',
      message: expect.not.stringContaining('ada@') as unknown,
    };
    await expect(a.guard.invalidate(target)).rejects.toMatchObject(refused);
    await expect(a.guard.put(target, 1)).rejects.toMatchObject(refused);
    const warm = () => a.guard.warm({ name: 'warm', domain: 'broken', keys: ['gold'], load: async () => 1 });
    expect(warm).toThrow(expect.objectContaining(refused));
    expect(JSON.stringify(a.events)).not.toContain('ada@');
  });
});

@Injectable()
class Offers {
  loads: string[] = [];

  @Cached({ domain: 'offers' })
  async find(segment: string): Promise<string> {
    this.loads.push(`find ${segment}`);
    return `${segment} found`;
  }

  @Cached({ domain: 'offers' })
  async count(segment: string): Promise<number> {
    this.loads.push(`count ${segment}`);
    return segment.length;
  }
}

@Injectable()
class Deals extends Offers {}

async function app(namespace: string, redisUrl?: string) {
  const root = CacheGuardModule.forRoot({
    namespace,
    ...(redisUrl === undefined ? {} : { redisUrl }),
    domains: { offers: { freshness: 'reference' } },
  });
  const compiled = await Test.createTestingModule({ imports: [root], providers: [Offers, Deals] }).compile();
  const made = await compiled.createNestApplication({ logger: false }).init();
  onTestFinished(() => made.close());
  return { offers: made.get(Offers), deals: made.get(Deals), guard: made.get(CacheGuard) };
}

describe('isolation of methods and applications', () => {
  test('promise 13: methods of a class, and a method of two classes, share nothing', async () => {
    const { offers, deals } = await app(uniqueNamespace());
    expect([await offers.find('gold'), await offers.count('gold'), await deals.find('gold')]).toEqual([
      'gold found',
      4,
      'gold found',
    ]);
    expect(offers.loads).toEqual(['find gold', 'count gold']);
    expect(deals.loads).toEqual(['find gold']);
  });

  test('promise 13: two applications in one process share nothing', async () => {
    const [one, two] = [await app('one'), await app('one')];
    expect(one.guard).not.toBe(two.guard);
    await one.offers.find('gold');
    await two.offers.find('gold');
    expect([one.offers.loads, two.offers.loads]).toEqual([['find gold'], ['find gold']]);
    const heard: string[] = [];
    two.guard.on(({ type }) => heard.push(type));
    await one.guard.invalidateDomain('offers', { mode: 'remove' });
    await one.offers.find('gold');
    await two.offers.find('gold');
    expect(one.offers.loads).toEqual(['find gold', 'find gold']);
    expect(two.offers.loads).toEqual(['find gold']);
    expect(heard).toEqual(['hit']);
  });
});

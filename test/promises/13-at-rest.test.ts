import { constants, deflateRawSync } from 'node:zlib';
import type { DomainPolicies } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { FLAG } from '../../lib/core/entry.js';
import { Sealing } from '../../lib/core/sealing.js';
import { DOMAINS, until, type Fleet, type Member } from './support/fleet.js';
import { ALL, BOTH, expectFresh, promise, REDIS } from './support/promise.js';
import { encrypted, entryName, SEALED, sealer, withChecksum } from './support/sealed.js';
import { counted } from './support/source.js';

const atRest = promise.bind(undefined, 13);
const GOLD = { domain: 'balances', key: 'gold' };
const OTHER = { domain: 'balances', key: 'silver' };
/** The default of `maxValueBytes`. */
const MAX_VALUE_BYTES = 4_194_304;
const CARD = { card: 'the secret number', limits: [1, 2] };

/** What is found is no value: told, and loaded again by one load. */
async function expectMiss(member: Member, detail: string | RegExp, target = GOLD): Promise<void> {
  const before = member.all('corrupt').length;
  const own = counted(() => 'loaded again');
  const { guard } = member;
  expect([await guard.getOrLoad(target, own), await guard.getOrLoad(target, own)]).toEqual([
    'loaded again',
    'loaded again',
  ]);
  expect(own.calls).toBe(1);
  const told = member.all('corrupt').slice(before);
  expect(told.map((event) => event.detail)).toEqual([expect.stringMatching(detail)]);
  expect(member.all('miss', { cause: 'corrupt' }).length).toBeGreaterThan(0);
}

const bytesOf = async (fleet: Fleet, name: string): Promise<Buffer> => (await fleet.raw.getBuffer(name))!;

describe('what is encrypted comes back', () => {
  for (const codec of ['json', 'binary'] as const) {
    for (const compressAbove of [0, false] as const) {
      atRest(`in another process (${codec}, compressed above ${compressAbove})`, ALL, async (fleet) => {
        const domains = { d: { ...DOMAINS.offers, codec, compressAbove, encrypt: true } };
        const [a, b] = await fleet.pair(encrypted(fleet, domains));
        const values = [CARD, null, '', 0, new Map([[1, new Date(5)]]), 'x'.repeat(100_000)];
        for (const [key, value] of values.entries()) {
          const target = { domain: 'd', key: key + 1 };
          expect(await a.guard.getOrLoad<unknown>(target, async () => value)).toStrictEqual(value);
          await expectFresh([a, b], target as never, value);
        }
        expect([...a.all('corrupt'), ...b.all('corrupt'), ...a.all('uncacheable')]).toEqual([]);
      });
    }
  }

  atRest('an absence that was thrown, etags, versions and what is not modified', BOTH, async (fleet) => {
    const isAbsent = (outcome: object) => 'error' in outcome;
    const domains = { d: { ...DOMAINS.offers, encrypt: true, negativeTtl: '30s', isAbsent } } as const;
    const [a, b] = await fleet.pair(encrypted(fleet, domains));
    const gone = () => Promise.reject(new Error('no such account'));
    for (const { guard } of [a, b])
      await expect(guard.getOrLoad({ domain: 'd', key: 'gone' }, gone)).rejects.toThrow('no such account');
    expect(b.all('hit', { negative: true })).toHaveLength(1);

    const target = { domain: 'd', key: 'kept' };
    await a.guard.getOrLoad(target, async ({ setVersion }) => (setVersion('W/"1"'), setVersion(7n), CARD));
    const seen = await b.guard.refresh<unknown>(target, async (context) => {
      expect(context.previous).toEqual({ value: CARD, etag: 'W/"1"', version: 7n });
      return context.notModified();
    });
    expect(seen).toEqual(CARD);
    expect(await a.guard.peek(target)).toMatchObject({ value: CARD, etag: 'W/"1"', version: 7n });
    expect(b.all('accepted', { via: 'not-modified' })).toHaveLength(1);
  });

  atRest('what was put or written through, and the old value after an invalidation', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair(encrypted(fleet));
    const target = { domain: 'offers', key: 'gold', tags: ['list'] };
    expect(await a.guard.put(target, CARD)).toMatchObject({ stored: true });
    await expectFresh([a, b], target, CARD);
    await a.guard.writeThrough(target, async () => 'written');
    await expectFresh([a, b], target, 'written');
    await a.guard.invalidate(target);
    const own = counted(() => 'new');
    expect(await b.guard.getOrLoad(target, own)).toBe('written');
    await until(async () => (await b.guard.getOrLoad(target, own)) === 'new');
    await a.guard.invalidateTags({ domain: 'offers', tags: ['list'], mode: 'purge' });
    expect(await b.guard.peek(target)).toBeUndefined();
    expect([...a.all('corrupt'), ...b.all('corrupt')]).toEqual([]);
  });
});

describe('keys are rotated', () => {
  atRest('what the key before has written is read, what is written has the current one', BOTH, async (fleet) => {
    const old = await fleet.start(encrypted(fleet, SEALED, 'k1'));
    const between = await fleet.start(encrypted(fleet, SEALED, 'k2', 'k1'));
    await old.guard.getOrLoad(GOLD, async () => CARD);
    await expectFresh([between], GOLD, CARD);
    await between.guard.getOrLoad(OTHER, async () => CARD);
    const later = await fleet.start(encrypted(fleet, SEALED, 'k2'));
    await expectFresh([later], OTHER, CARD);
    await expectMiss(old, /^encrypted with a key that is not known here: 'k2'$/, OTHER);
  });

  atRest('a retired key: its values are misses', BOTH, async (fleet) => {
    const old = await fleet.start(encrypted(fleet, SEALED, 'k1'));
    const later = await fleet.start(encrypted(fleet, SEALED, 'k2'));
    await old.guard.getOrLoad(GOLD, async () => CARD);
    await expectMiss(later, /^encrypted with a key that is not known here: 'k1'$/);
  });

  atRest('another key under the same id', REDIS, async (fleet) => {
    const a = await fleet.start(encrypted(fleet, SEALED, 'k1'));
    await a.guard.getOrLoad(GOLD, async () => CARD);
    const b = await fleet.start({ ...encrypted(fleet), sealer: sealer('another namespace', 'k1') });
    await expectMiss(b, /^not what was encrypted here with key 'k1'$/);
  });
});

describe('what is not encrypted, or not for this place, is no value', () => {
  atRest('a readable entry in a domain that encrypts, and the other way round', BOTH, async (fleet) => {
    const plain = await fleet.start();
    const sealed = await fleet.start(encrypted(fleet));
    await plain.guard.getOrLoad(GOLD, async () => 'readable');
    await expectMiss(sealed, /^not encrypted, though its domain is$/);
    await expectMiss(plain, /^encrypted, though its domain is not$/);
  });

  atRest('the entry of another key', REDIS, async (fleet) => {
    const a = await fleet.start(encrypted(fleet));
    await a.guard.getOrLoad(OTHER, async () => 'of somebody else');
    const other = await entryName(fleet);
    const stolen = await bytesOf(fleet, other);
    await fleet.raw.set(other.replace('s.silver', 's.gold'), stolen);
    await expectMiss(a, /^not what was encrypted here/);
    expect(await a.guard.getOrLoad(OTHER, async () => 'again')).toBe('of somebody else');
  });

  const relabelled: Readonly<Record<string, (bytes: Buffer) => void>> = {
    'an absence': (bytes) => (bytes[2]! |= FLAG.negative),
    'an absence that is thrown': (bytes) => (bytes[2]! |= FLAG.negative | FLAG.thrown),
    uncacheable: (bytes) => (bytes[2]! |= FLAG.hitForMiss),
    compressed: (bytes) => (bytes[2]! |= FLAG.compressed),
    'of another codec': (bytes) => bytes.writeUInt8(2, 3),
    'younger than it is': (bytes) => bytes.writeUIntBE(bytes.readUIntBE(12, 6) + 1, 12, 6),
    'of a later hard expiry': (bytes) => bytes.writeUIntBE(bytes.readUIntBE(24, 6) + 1, 24, 6),
    'of a version': (bytes) => (bytes[2]! |= FLAG.versioned),
    'of longer windows': (bytes) => bytes.writeUInt32BE(1_000_000, 50),
    'of another generation': (bytes) => (bytes[67 + 'd:balances'.length]! ^= 1),
  };
  for (const [what, change] of Object.entries(relabelled)) {
    atRest(`an entry that was relabelled: ${what}`, REDIS, async (fleet) => {
      const a = await fleet.start(encrypted(fleet));
      await a.guard.getOrLoad(GOLD, async () => 'the value');
      const name = await entryName(fleet);
      const bytes = await bytesOf(fleet, name);
      change(bytes);
      await fleet.raw.set(name, withChecksum(bytes));
      await expectMiss(a, /^not what was encrypted here/);
    });
  }

  atRest('a value that one flipped bit would have thrown, where nothing is encrypted', REDIS, async (fleet) => {
    const a = await fleet.start();
    await a.guard.getOrLoad(GOLD, async () => ({ message: 'a value' }));
    const name = await entryName(fleet);
    const bytes = await bytesOf(fleet, name);
    bytes[2]! |= FLAG.thrown;
    await fleet.raw.set(name, bytes);
    await expectMiss(a, /^no entry of this library$/);
  });

  atRest('a soft expiry is not put off', REDIS, async (fleet) => {
    const a = await fleet.start(encrypted(fleet, { balances: { ...DOMAINS.balances, softTtl: 50, encrypt: true } }));
    await a.guard.getOrLoad(GOLD, async () => 'old');
    const name = await entryName(fleet);
    const bytes = await bytesOf(fleet, name);
    bytes.writeUIntBE(bytes.readUIntBE(24, 6), 18, 6);
    await fleet.raw.set(name, bytes);
    await fleet.pass(60);
    const lenient = { ...GOLD, softTtl: '5m' } as const;
    expect(await a.guard.getOrLoad(lenient, async () => 'new')).toBe('new');
    expect(a.all('corrupt')).toEqual([]);
  });

  atRest('what inflates to more than any value may take', REDIS, async (fleet) => {
    const a = await fleet.start(encrypted(fleet));
    await a.guard.getOrLoad(GOLD, async () => 'small');
    const name = await entryName(fleet);
    const sealing = new Sealing(sealer(fleet.namespace, 'k1'), () => true);
    const policy = { domain: 'balances', encrypt: true };
    const key = 'balances:::s.gold';
    const entry = sealing.decode(policy, key, await bytesOf(fleet, name));
    if (typeof entry === 'string') throw new Error(entry);
    const bomb = deflateRawSync(Buffer.alloc(MAX_VALUE_BYTES + 1), { level: constants.Z_BEST_SPEED });
    const flags = entry.flags | FLAG.compressed;
    await fleet.raw.set(name, sealing.encode(policy, key, { ...entry, flags, payload: bomb }));
    await expectMiss(a, /^RangeError/);
  });
});

describe('what is made from it', () => {
  atRest('is kept where that is encrypted as well, and nowhere else', BOTH, async (fleet) => {
    const open: DomainPolicies = { open: DOMAINS.offers, closed: { ...DOMAINS.offers, encrypt: true } };
    const [a, b] = await fleet.pair(encrypted(fleet, { ...SEALED, ...open }));
    const inner = () => a.guard.getOrLoad({ domain: 'offers', key: 'inner' }, async () => CARD);
    const outer = (domain: string) => ({ domain, key: 'outer' });
    for (const domain of ['open', 'closed']) expect(await a.guard.getOrLoad(outer(domain), inner)).toEqual(CARD);
    expect(await b.guard.peek(outer('open'))).toBeUndefined();
    expect(await b.guard.peek(outer('closed'))).toMatchObject({ value: CARD });
    expect(a.all('uncacheable')).toMatchObject([
      { domain: 'open', reason: 'inner-encrypted', detail: expect.any(String) },
    ]);
  });
});

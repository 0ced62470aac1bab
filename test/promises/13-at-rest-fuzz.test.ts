import * as fc from 'fast-check';
import { expect } from 'vitest';
import { HEADER_BYTES } from '../../lib/core/entry.js';
import type { Fleet, Member } from './support/fleet.js';
import { promise, REDIS } from './support/promise.js';
import { encrypted, withChecksum } from './support/sealed.js';

const fuzz = promise.bind(undefined, 13);
const RUNS = 250;
const VALUES = { gold: { owner: 'gold', card: 'x'.repeat(40) }, silver: { owner: 'silver', card: 'y'.repeat(60) } };
type Key = keyof typeof VALUES;

/** What is done to the bytes under one key. */
type Damage =
  | { readonly kind: 'flip'; readonly bits: readonly number[] }
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'append'; readonly bytes: Uint8Array }
  | { readonly kind: 'splice'; readonly at: number; readonly from: number }
  | { readonly kind: 'garbage'; readonly bytes: Uint8Array }
  | { readonly kind: 'type'; readonly type: 'list' | 'hash' | 'set' | 'stream' | 'empty' };

const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), bits: fc.array(fc.nat(), { minLength: 1, maxLength: 6 }) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('append' as const), bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }) }),
  fc.record({ kind: fc.constant('splice' as const), at: fc.nat(), from: fc.nat() }),
  fc.record({ kind: fc.constant('garbage' as const), bytes: fc.uint8Array({ maxLength: 200 }) }),
  fc.record({
    kind: fc.constant('type' as const),
    type: fc.constantFrom('list' as const, 'hash' as const, 'set' as const, 'stream' as const, 'empty' as const),
  }),
);

function damaged(bytes: Buffer, other: Buffer, { kind, ...how }: Exclude<Damage, { kind: 'type' }>): Buffer {
  const {
    bits = [],
    at = 0,
    from = 0,
    bytes: more = [],
  } = how as Partial<{
    bits: number[];
    at: number;
    from: number;
    bytes: Uint8Array;
  }>;
  switch (kind) {
    case 'flip': {
      const copy = Buffer.from(bytes);
      for (const bit of bits) copy[(bit >> 3) % copy.length]! ^= 1 << (bit & 7);
      return copy;
    }
    case 'cut':
      return bytes.subarray(0, at % bytes.length);
    case 'append':
      return Buffer.concat([bytes, more as Uint8Array]);
    case 'splice':
      return Buffer.concat([bytes.subarray(0, at % bytes.length), other.subarray(from % other.length)]);
    case 'garbage':
      return Buffer.from(more as Uint8Array);
  }
}

async function put({ raw }: Fleet, name: string, type: (Damage & { kind: 'type' })['type']): Promise<void> {
  if (type === 'list') await raw.rpush(name, 'a');
  if (type === 'hash') await raw.hset(name, 'a', 'b');
  if (type === 'set') await raw.sadd(name, 'a');
  if (type === 'stream') await raw.xadd(name, '*', 'a', 'b');
  if (type === 'empty') await raw.set(name, '');
}

/** Whatever is done to the bytes of two entries, a reader of either gets its own value, kept or loaded, and no error. */
async function holds(fleet: Fleet, { guard }: Member, domain: string, damages: fc.Arbitrary<[Damage, boolean]>) {
  const target = (key: Key) => ({ domain, key });
  const name = (key: Key) => `${fleet.namespace}:e:{${domain}:::s.${key}}`;
  const read = (key: Key) => guard.getOrLoad(target(key), async () => VALUES[key]);
  await fc.assert(
    fc.asyncProperty(damages, fc.constantFrom<Key>('gold', 'silver'), async ([how, repaired], key) => {
      const other = key === 'gold' ? 'silver' : 'gold';
      await fleet.raw.del(name('gold'), name('silver'));
      for (const one of ['gold', 'silver'] as const) await read(one);
      const [bytes, others] = await fleet.raw.mgetBuffer(name(key), name(other));
      await fleet.raw.del(name(key));
      if (how.kind === 'type') await put(fleet, name(key), how.type);
      else {
        const made = damaged(bytes!, others!, how);
        await fleet.raw.set(name(key), repaired ? withChecksum(made) : made);
      }
      const peeked = await guard.peek(target(key));
      if (peeked) expect(peeked.value).toEqual(VALUES[key]);
      await guard.explain(target(key));
      expect(await read(key)).toEqual(VALUES[key]);
      expect(await read(other)).toEqual(VALUES[other]);
      expect(await read(key)).toEqual(VALUES[key]);
      expect(await guard.invalidate(target(key))).toEqual({ outcome: 'applied' });
    }),
    { numRuns: RUNS },
  );
}

fuzz('whatever somebody does to encrypted bytes, nobody is given a wrong value or an error', REDIS, async (fleet) => {
  const member = await fleet.start(encrypted(fleet));
  await holds(fleet, member, 'balances', fc.tuple(damage, fc.boolean()));
  expect(member.all('corrupt').length).toBeGreaterThan(RUNS / 4);
});

fuzz('damage to bytes that are not encrypted is a miss', REDIS, async (fleet) => {
  // Without a key nobody can tell a forger's entry from a true one: no repaired checksums, and no whole entry of another key.
  const byChance = damage.map((how): [Damage, boolean] => [
    how.kind === 'splice' ? { ...how, at: HEADER_BYTES } : how,
    false,
  ]);
  const oneBit = byChance.map(([how, repaired]): [Damage, boolean] => [
    how.kind === 'flip' ? { ...how, bits: how.bits.slice(0, 1) } : how,
    repaired,
  ]);
  const member = await fleet.start();
  await holds(fleet, member, 'balances', oneBit);
  expect(member.all('corrupt').length).toBeGreaterThan(RUNS / 4);
});

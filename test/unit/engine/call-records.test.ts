import { describe, expect, it } from 'vitest';
import { Codecs } from '../../../lib/adapters/codecs/index.js';
import type { Records } from '../../../lib/core/fleet-notes.js';
import { DerivedKey } from '../../../lib/core/keys.js';
import { Sealing } from '../../../lib/core/sealing.js';
import { resolvePolicy } from '../../../lib/core/resolve-policy.js';
import type { GuardedCall } from '../../../lib/engine/call.js';
import { CallRecords } from '../../../lib/engine/call-records.js';

class Money {
  constructor(readonly cents: number) {}
}

function setUp() {
  const kept = new Map<string, Buffer>();
  const ttls: number[] = [];
  const records: Records = {
    put: async (key, record, ttlMs) => {
      ttls.push(ttlMs);
      kept.set(key, record);
    },
    get: async (keys) => keys.map((key) => kept.get(key)),
  };
  const calls = new CallRecords({ records }, new Codecs(), new Sealing(undefined, () => false));
  calls.recordIn(['offers']);
  return { records, calls, kept, ttls };
}

const policy = resolvePolicy('offers', { freshness: 'reference' });
const call = (more: Partial<GuardedCall> = {}): GuardedCall => ({
  policy,
  key: 'offers:::s.gold',
  keyInput: 'gold',
  generations: [],
  values: {},
  origin: 'the test',
  signal: undefined,
  load: () => Promise.reject(new Error('nothing loads here')),
  ...more,
});
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('the record of a call', () => {
  it('comes back, for as long as the value is kept', async () => {
    const { calls, ttls } = setUp();
    const args = ['gold', null, 0, '', undefined, 12n, new Date(5)];
    calls.note(call({ name: 'best', args }));
    await settled();
    expect(await calls.read(['offers:::s.gold', 'offers:::s.silver'])).toEqual([
      { name: 'best', key: 'gold', args },
      undefined,
    ]);
    expect(await calls.argumentsOf('offers:::s.gold')).toEqual(args);
    expect(ttls[0]).toBeGreaterThan(policy.hardTtlMs);
  });

  it('keeps a derived key as one', async () => {
    const { calls } = setUp();
    const args = [{ segment: 'gold' }, undefined];
    calls.note(call({ keyInput: new DerivedKey(args), args }));
    await settled();
    const [record] = await calls.read(['offers:::s.gold']);
    expect(record).toMatchObject({ args });
    expect(DerivedKey.is(record!.key) && record!.key.args).toEqual(args);
  });

  it('is made only in domains that need it', () => {
    const { calls } = setUp();
    const reconcile = { every: '5m', versions: async () => [] } as const;
    expect(calls.take(call())).toBeDefined();
    expect(calls.take(call({ policy: { ...policy, domain: 'rates' } }))).toBeUndefined();
    const compared = resolvePolicy('rates', { freshness: 'reference', reconcile });
    expect(calls.take(call({ policy: compared }))).toBeDefined();
  });

  it.each([
    ['a class instance', [new Money(5)]],
    ['a function', [() => 1]],
    ['what throws when it is looked at', [new Proxy({}, { ownKeys: () => assertNever() })]],
    ['more than 4 kB', ['x'.repeat(4_096)]],
  ])('says that arguments cannot be kept: %s', async (_what, args) => {
    const { calls, kept } = setUp();
    calls.note(call({ args }));
    await settled();
    expect(await calls.argumentsOf('offers:::s.gold')).toBe('not-recordable');
    expect(await calls.read(['offers:::s.gold'])).toEqual([{ name: undefined, key: 'gold', args: undefined }]);
    expect(kept.get('offers:::s.gold')!.length).toBeLessThan(4_097);
  });

  it('says no more than that when the key cannot be kept either', async () => {
    const { calls } = setUp();
    calls.note(call({ keyInput: new Money(5), args: [new Money(5)] }));
    await settled();
    expect(await calls.argumentsOf('offers:::s.gold')).toBe('not-recordable');
    expect(await calls.read(['offers:::s.gold'])).toEqual([undefined]);
  });

  it('survives a value that is put by hand', async () => {
    const { calls } = setUp();
    calls.note(call());
    await settled();
    expect(await calls.argumentsOf('offers:::s.gold')).toBeUndefined();
    calls.note(call({ args: ['gold', 1] }));
    await settled();
    calls.note(call());
    await settled();
    expect(await calls.argumentsOf('offers:::s.gold')).toEqual(['gold', 1]);
  });

  it('is nobody’s trouble when the store is away, or has other bytes there', async () => {
    const { calls, records, kept } = setUp();
    records.put = () => Promise.reject(new Error('away'));
    calls.note(call());
    await settled();
    kept.set('offers:::s.gold', Buffer.from('?'));
    expect(await calls.read(['offers:::s.gold'])).toEqual([undefined]);
    expect(await calls.argumentsOf('offers:::s.gold')).toBeUndefined();
  });
});

function assertNever(): never {
  throw new Error('nobody looks here');
}

import { describe, expect } from 'vitest';
import type { Codec } from 'nestjs-cache-guard';
import { encodeEntry } from '../../lib/core/entry.js';
import type { ThrownCodec } from '../../lib/core/thrown.js';
import { DOMAINS, until, type Fleet, type Member } from './support/fleet.js';
import { ALL, BOTH, expectFresh, promise, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

const BALANCE = { domain: 'balances', key: 'gold' };
const answer = (read: Promise<unknown>): Promise<unknown> => read.catch((error: unknown) => error);

describe('values that look like nothing', () => {
  const values: Readonly<Record<string, unknown>> = {
    null: null,
    undefined: undefined,
    false: false,
    'the number 0': 0,
    'the number -0': -0,
    'not a number': Number.NaN,
    'the bigint 0': 0n,
    'an empty text': '',
    'an empty list': [],
    'an empty object': {},
  };
  for (const [shown, value] of Object.entries(values)) {
    promise(16, `${shown} is a value: kept, and the same on hits`, BOTH, async (fleet) => {
      for (const codec of ['json', 'binary'] as const) {
        const kept = { ...DOMAINS.balances, codec };
        const [a, b] = await fleet.pair({ domains: { [codec]: kept } });
        const target = { domain: codec, key: 'gold' };
        const own = counted<unknown>(() => value);
        for (const { guard } of [a, a, b]) expect(await guard.getOrLoad(target, own)).toStrictEqual(value);
        expect(own.calls).toBe(1);
        await a.guard.put(target, value);
        expect(await b.guard.peek(target)).toMatchObject({ state: 'fresh', value });
      }
    });

    promise(16, `${shown} as an old value stands in for a failure`, ['memory'], async (fleet) => {
      const a = await fleet.start();
      const target = { domain: 'rates', key: 'gold' };
      await a.guard.getOrLoad<unknown>(target, async () => value);
      await a.guard.invalidate(target);
      expect(await a.guard.getOrLoad<unknown>(target, () => Promise.reject(new Error('no source')))).toStrictEqual(
        value,
      );
    });
  }
});

describe('foreign and corrupt bytes', () => {
  const header = (over: Record<number, number>): Buffer => {
    const bytes = Buffer.alloc(100, 0xff);
    bytes[0] = 0xc6;
    bytes[1] = 1;
    for (const [at, value] of Object.entries(over)) bytes[Number(at)] = value;
    return bytes;
  };
  const found: Record<string, (fleet: Fleet, name: string) => Promise<unknown>> = {
    'a foreign text': (fleet, name) => fleet.raw.set(name, 'somebody else was here'),
    'an empty text': (fleet, name) => fleet.raw.set(name, ''),
    'a list': (fleet, name) => fleet.raw.rpush(name, 'a', 'b'),
    'a hash': (fleet, name) => fleet.raw.hset(name, 'a', 'b'),
    'an entry that was cut off': async (fleet, name) =>
      fleet.raw.set(name, (await fleet.raw.getBuffer(name))!.subarray(0, 70)),
    'an entry with a flipped bit': async (fleet, name) => {
      const bytes = (await fleet.raw.getBuffer(name))!;
      bytes[bytes.length - 2]! ^= 1;
      await fleet.raw.set(name, bytes);
    },
    'an entry of another format': (fleet, name) => fleet.raw.set(name, header({ 1: 2, 2: 0 })),
    'what looks like a newer entry with a higher version': (fleet, name) => fleet.raw.set(name, header({ 2: 16 })),
    'what looks like a removed entry': (fleet, name) => fleet.raw.set(name, header({ 2: 64 })),
    'a payload that no codec reads': forged(1, '{broken'),
    'a value that contains itself': forged(2, '[{"self":0}]'),
  };
  function forged(codec: number, text: string) {
    return async (fleet: Fleet, name: string): Promise<void> => {
      const now = Date.now();
      const at = { beganMs: now - 1_000, softMs: now + 60_000, hardMs: now + 60_000, loadMs: 1 };
      const { schema, epoch } = await known(fleet, name);
      const shape = {
        id: 'aabbccddeeff0011',
        flags: 0,
        codec,
        version: undefined,
        etag: undefined,
        stamps: [],
        provenance: '',
      };
      const bytes = {
        ...shape,
        ...at,
        schema,
        epoch,
        whileRevalidateMs: 0,
        ifErrorMs: 0,
        payload: Buffer.from(text),
      };
      await fleet.raw.set(name, encodeEntry(bytes));
    };
  }
  async function known(fleet: Fleet, name: string): Promise<{ schema: number; epoch: number }> {
    const bytes = (await fleet.raw.getBuffer(name))!;
    return { epoch: bytes.readUInt32BE(42), schema: bytes.readUInt32BE(46) };
  }

  promise(1, 'what somebody put under a lease or a generation does not keep a key uncached', REDIS, async (fleet) => {
    const a = await fleet.start();
    await a.guard.getOrLoad(BALANCE, async () => 'old');
    for (const name of await fleet.raw.keys(`${fleet.namespace}:*`)) {
      await fleet.raw.del(name);
      await fleet.raw.rpush(name, 'somebody else was here');
    }
    const own = counted(() => 'new');
    expect([await a.guard.getOrLoad(BALANCE, own), await a.guard.getOrLoad(BALANCE, own)]).toEqual(['new', 'new']);
    expect(own.calls).toBe(1);
  });

  for (const [what, put] of Object.entries(found)) {
    promise(1, `${what} under a key is a miss, is told, and is replaced by one load`, REDIS, async (fleet) => {
      const [a, b] = await fleet.pair();
      await a.guard.getOrLoad({ ...BALANCE }, async () => 'old');
      const [name] = await fleet.raw.keys(`${fleet.namespace}:e:*`);
      await put(fleet, name!).catch(async () => {
        await fleet.raw.del(name!);
        await put(fleet, name!);
      });
      const own = counted(() => 'new');
      expect(await Promise.all([a, b].map(({ guard }) => guard.getOrLoad(BALANCE, own)))).toEqual(['new', 'new']);
      if (what !== 'a list' && what !== 'a hash')
        expect(a.all('corrupt').length + b.all('corrupt').length).toBeGreaterThan(0);
      expect(await a.guard.getOrLoad(BALANCE, own)).toBe('new');
      expect(own.calls).toBe(1);
      await expectFresh([a, b], BALANCE, 'new');
    });

    promise(3, `${what} under a key does not keep an invalidation or a put from working`, REDIS, async (fleet) => {
      const a = await fleet.start();
      await a.guard.getOrLoad({ ...BALANCE }, async () => 'old');
      const [name] = await fleet.raw.keys(`${fleet.namespace}:e:*`);
      await put(fleet, name!).catch(async () => {
        await fleet.raw.del(name!);
        await put(fleet, name!);
      });
      for (const mode of ['expire', 'remove', 'purge'] as const) await a.guard.invalidate({ ...BALANCE, mode });
      expect(await a.guard.put(BALANCE, 'put')).toMatchObject({ stored: true });
      await expectFresh([a], BALANCE, 'put');
    });
  }
});

describe('code of the user that throws', () => {
  const broken = (part: Partial<Codec>): Codec => ({
    id: 99,
    name: 'own',
    encode: (value) => Buffer.from(JSON.stringify(value)),
    decode: (bytes) => JSON.parse(String(bytes)) as unknown,
    ...part,
  });
  const boom = (): never => {
    throw new Error('boom');
  };
  const policies = {
    'a codec that throws as it encodes': { codec: broken({ encode: boom }) },
    'a codec that throws as it decodes': { codec: broken({ decode: boom }) },
    'a codec that makes no bytes': { codec: broken({ encode: (() => 'text') as never }) },
    'isAbsent that throws': { isAbsent: boom },
  };
  for (const [what, policy] of Object.entries(policies)) {
    const domains = { own: { ...DOMAINS.balances, negativeTtl: '1s', ...policy } } as const;
    const target = { domain: 'own', key: 'gold' };

    promise(14, `${what}: the value is returned, and no lease is left`, ALL, async (fleet) => {
      const [a, b] = await fleet.pair({ domains });
      const own = counted(() => 'value');
      expect(await answer(a.guard.getOrLoad(target, own))).toBe('value');
      if ('codec' in policy) await until(async () => (await a.guard.explain(target)).decision === 'pass');
      expect(await answer(b.guard.getOrLoad(target, own))).toBe('value');
      expect(b.all('lease', { outcome: 'refused' })).toEqual([]);
      if ('codec' in policy) expect(await a.guard.put(target, 'put')).toMatchObject({ stored: false });
      expect(await a.guard.writeThrough(target, async () => 'written')).toBe('written');
    });

    promise(14, `${what}: nor is the request harmed while the store is away`, ['memory'], async (fleet) => {
      const a = await fleet.start({ domains });
      a.store.down();
      expect(await answer(a.guard.getOrLoad(target, async () => 'value'))).toBe('value');
    });
  }

  promise(
    6,
    'a thrown absence that cannot be turned into data is delivered, and no lease is left',
    BOTH,
    async (fleet) => {
      const thrown: ThrownCodec = { dehydrate: boom, hydrate: boom };
      const own = { ...DOMAINS.balances, negativeTtl: '1s', isAbsent: () => true, isFailure: () => false } as const;
      const [a, b] = await fleet.pair({ domains: { own }, thrown });
      const target = { domain: 'own', key: 'gold' };
      const absent = new Error('absent');
      expect(await answer(a.guard.getOrLoad(target, () => Promise.reject(absent)))).toBe(absent);
      expect(await answer(b.guard.getOrLoad(target, () => Promise.reject(absent)))).toBe(absent);
      expect(b.all('lease', { outcome: 'refused' })).toEqual([]);
    },
  );

  promise(8, 'an isFailure that throws does not take the place of what the loader threw', BOTH, async (fleet) => {
    const a = await fleet.start({ domains: { own: { ...DOMAINS.balances, isFailure: boom } } });
    const target = { domain: 'own', key: 'gold' };
    const failure = new Error('no source');
    expect(await answer(a.guard.getOrLoad(target, () => Promise.reject(failure)))).toBe(failure);
    await a.guard.getOrLoad(target, async (context) => (context.doNotCache(), 'mine'));
    expect(await answer(a.guard.getOrLoad(target, () => Promise.reject(failure)))).toBe(failure);
  });

  promise(5, 'a listener that throws disturbs nobody', BOTH, async (fleet) => {
    const a = await fleet.start();
    const warned: string[] = [];
    const note = (warning: Error) => warned.push(warning.message);
    process.on('warning', note);
    a.guard.on(boom);
    a.guard.on(() => {
      throw Object.create(null);
    });
    expect(await a.guard.getOrLoad(BALANCE, async () => 'value')).toBe('value');
    await until(() => warned.length > 1);
    process.off('warning', note);
    expect(warned[0]).toContain('boom');
    expect(warned[1]).toContain('cannot become text');
  });
});

describe('Redis away', () => {
  promise(5, 'a store that fails while a changed entry is looked into does not fail the read', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const held = b.store.delay('acquire');
    const read = answer(b.guard.getOrLoad(BALANCE, async () => 'own'));
    await held.struck;
    // Its generations are not known to b before it reads the entry: that takes another read.
    const inner = { domain: 'rates', key: 'gold', tags: ['inner'] };
    await a.guard.getOrLoad(BALANCE, async () => `of ${await a.guard.getOrLoad(inner, async () => 'inner')}`);
    b.store.fail('read', Infinity);
    held.release();
    expect(await read).toBe('own');
  });
});

describe('Redis away at boot', () => {
  async function boot(fleet: Fleet): Promise<{ a: Member; up: () => void }> {
    const proxy = await fleet.proxy();
    proxy.down();
    return { a: await fleet.start({ proxy, commandTimeoutMs: 200 }), up: () => proxy.up() };
  }

  promise(
    5,
    'the guard opens and serves from its loaders, coalesced; once Redis is there it caches',
    REDIS,
    async (fleet) => {
      const { a, up } = await boot(fleet);
      const own = counted(() => 'value');
      expect(await Promise.all([1, 2, 3].map(() => a.guard.getOrLoad(BALANCE, own)))).toEqual([
        'value',
        'value',
        'value',
      ]);
      expect(own.calls).toBe(1);
      expect(await a.guard.invalidate(BALANCE)).toEqual({ outcome: 'pending' });
      up();
      await until(async () => {
        await a.guard.getOrLoad(BALANCE, own);
        return (await a.guard.peek(BALANCE)) !== undefined;
      });
      const b = await fleet.start();
      await b.guard.invalidate(BALANCE);
      await until(async () => (await a.guard.getOrLoad(BALANCE, async () => 'new')) === 'new');
    },
  );

  promise(5, 'a server that accepts connections and says nothing is no different', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    proxy.hang();
    const began = performance.now();
    const a = await fleet.start({ proxy, commandTimeoutMs: 200 });
    expect(await a.guard.getOrLoad(BALANCE, async () => 'value')).toBe('value');
    expect(performance.now() - began).toBeLessThan(2_000);
    proxy.resume();
    await until(async () => {
      await a.guard.getOrLoad(BALANCE, async () => 'value');
      return (await a.guard.peek(BALANCE)) !== undefined;
    });
  });
});

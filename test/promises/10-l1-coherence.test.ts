import { Redis } from 'ioredis';
import { describe, expect, inject } from 'vitest';
import { settle, until, type Fleet, type Member } from './support/fleet.js';
import { GOLD, keep, L1_DOMAINS, near, OLD_FRESH, read, trust } from './support/l1.js';
import { ALL, BOTH, MEMORY, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

/** All that makes an old value out of date. */
const CHANGES: readonly (readonly [name: string, change: (member: Member) => Promise<unknown>])[] = [
  ['an invalidation of the key', ({ guard }) => guard.invalidate(GOLD)],
  ['one that removes', ({ guard }) => guard.invalidate({ ...GOLD, mode: 'remove' })],
  ['one of a tag', ({ guard }) => guard.invalidateTags({ domain: 'catalog', tags: ['metal'] })],
  ['one of the domain', ({ guard }) => guard.invalidateDomain('catalog')],
  ['one that purges a tag', ({ guard }) => guard.invalidateTags({ domain: 'catalog', tags: ['metal'], mode: 'purge' })],
  ['a put', ({ guard }) => guard.put(GOLD, 'new')],
  ['a write-through', ({ guard }) => guard.writeThrough(GOLD, async () => 'new')],
  ['a refresh', ({ guard }) => guard.refresh(GOLD, async () => 'new')],
  ['a load that has no value any more', ({ guard }) => guard.refresh(GOLD, gone).catch(() => {})],
];

const gone = () => Promise.reject<string>(Object.assign(new Error('gone'), { getStatus: () => 404 }));

/** A process that has the value in memory, and another one. */
async function kept(fleet: Fleet) {
  const [a, b] = [await near(fleet), await near(fleet)];
  await keep(a, GOLD);
  await keep(b, GOLD);
  return { a, b };
}

/** Resolves when no read takes the old value for the fresh one of memory, to the time that it took. */
async function untilOutdated(member: Member): Promise<number> {
  const began = performance.now();
  await until(async () => JSON.stringify(await read(member, GOLD, 'new')) !== JSON.stringify(OLD_FRESH));
  return performance.now() - began;
}

describe('what changes elsewhere', () => {
  for (const [name, change] of CHANGES) {
    trust(`${name} reaches every memory within a second`, ALL, async (fleet) => {
      const { a, b } = await kept(fleet);
      await change(a);
      expect(await untilOutdated(b)).toBeLessThan(1_000);
    });

    trust(`${name} is known at once to the process that asked for it`, BOTH, async (fleet) => {
      const { a } = await kept(fleet);
      // Not by the message that goes to everybody.
      a.store.deaf = true;
      await change(a);
      expect(await read(a, GOLD, 'new')).not.toEqual(OLD_FRESH);
    });

    trust(`a reply that was under way during ${name} is not kept`, BOTH, async (fleet) => {
      const [a, b] = [await near(fleet), await near(fleet)];
      await a.guard.getOrLoad(GOLD, async () => 'old');
      const reply = b.store.delayReply('read');
      const early = b.guard.getOrLoad<string>(GOLD, async () => 'new');
      await reply.struck;
      const signals = b.store.signals.length;
      await change(a);
      await until(() => b.store.signals.slice(signals).some(({ kind }) => kind !== 'heard'));
      reply.release();
      await early;
      expect(await read(b, GOLD, 'new')).not.toEqual(OLD_FRESH);
    });

    trust(`${name}: nor is a reply kept that the asking process itself was waiting for`, BOTH, async (fleet) => {
      const a = await near(fleet);
      await a.guard.put(GOLD, 'old');
      const reply = a.store.delayReply('read');
      const early = a.guard.getOrLoad<string>(GOLD, async () => 'new');
      await reply.struck;
      a.store.deaf = true;
      await change(a);
      reply.release();
      await early;
      expect(await read(a, GOLD, 'new')).not.toEqual(OLD_FRESH);
    });
  }

  trust('what was read while the invalidation was on its way is not kept either', BOTH, async (fleet) => {
    for (const [operation, change] of [
      ['invalidate', ({ guard }: Member) => guard.invalidate(GOLD)],
      ['advance', ({ guard }: Member) => guard.invalidateTags({ domain: 'catalog', tags: ['metal'] })],
    ] as const) {
      const a = await near(fleet);
      await a.guard.put(GOLD, 'old');
      const slow = a.store.delay(operation);
      const asked = change(a);
      await slow.struck;
      await keep(a, GOLD);
      a.store.deaf = true;
      slow.release();
      await asked;
      expect(await read(a, GOLD, 'new'), operation).not.toEqual(OLD_FRESH);
    }
  });

  trust(
    'one of several that the store refused leaves nothing in memory, however long the others took',
    MEMORY,
    async (fleet) => {
      const a = await near(fleet);
      await a.guard.put(GOLD, 'old');
      a.store.fail('invalidate');
      const slow = a.store.delay('invalidate');
      const asked = a.guard.invalidate({ domain: 'catalog', keys: ['gold', 'silver'] });
      await slow.struck;
      for (let i = 0; i < 3; i++) await read(a, GOLD, 'new');
      slow.release();
      expect(await asked).toEqual({ outcome: 'pending' });
      expect(await read(a, GOLD, 'new')).not.toEqual(OLD_FRESH);
    },
  );

  trust('a commit whose reply was under way during an invalidation leaves nothing fresh', BOTH, async (fleet) => {
    const [a, b] = [await near(fleet), await near(fleet)];
    const reply = a.store.delayReply('commit');
    const early = a.guard.getOrLoad(GOLD, async () => 'old');
    await reply.struck;
    await b.guard.invalidate(GOLD);
    await until(() => a.store.said('invalidated') > 0);
    reply.release();
    expect(await early).toBe('old');
    expect(await read(a, GOLD, 'new')).not.toMatchObject({ value: 'old', state: 'fresh' });
  });

  trust('a loss of signals while a reply is under way: it is not kept', BOTH, async (fleet) => {
    const [a, b] = [await near(fleet), await near(fleet)];
    await a.guard.getOrLoad(GOLD, async () => 'old');
    const reply = b.store.delayReply('read');
    const early = b.guard.getOrLoad(GOLD, async () => 'new');
    await reply.struck;
    b.store.deaf = true;
    await a.guard.invalidate(GOLD);
    b.store.deaf = false;
    b.store.tell({ kind: 'gap' });
    reply.release();
    await early;
    const heard = b.store.said('heard');
    await until(async () => (await fleet.pass(50), b.store.said('heard') > heard));
    expect(await read(b, GOLD, 'new')).not.toEqual(OLD_FRESH);
  });

  trust('a value is made from others: what happens to their tags and domain reaches it', ALL, async (fleet) => {
    const inner = { domain: 'prices', key: 'ounce', tags: ['market'] };
    const changes: ((member: Member) => Promise<unknown>)[] = [
      ({ guard }) => guard.invalidateTags({ domain: 'prices', tags: ['market'] }),
      ({ guard }) => guard.invalidateDomain('prices'),
    ];
    for (const [i, change] of changes.entries()) {
      const [a, b] = [await near(fleet), await near(fleet)];
      const outer = { ...GOLD, key: `outer-${i}` };
      const make = ({ guard }: Member) =>
        guard.getOrLoad(outer, async () => (await guard.getOrLoad(inner, async () => 'inner'), 'old'));
      await make(a);
      await keep(b, outer);
      await change(a);
      const began = performance.now();
      await until(async () => JSON.stringify(await read(b, outer, 'new')) !== JSON.stringify(OLD_FRESH));
      expect(performance.now() - began).toBeLessThan(1_000);
      // A reply of which nobody knew before it came that it depends on the tag.
      await b.guard.refresh(outer, async () => (await b.guard.getOrLoad(inner, async () => 'inner'), 'old'));
      const c = await near(fleet);
      const reply = c.store.delayReply('read');
      const early = read(c, outer, 'new');
      await reply.struck;
      await change(a);
      await until(() => c.store.said('advanced') > 0);
      reply.release();
      await early;
      expect(await read(c, outer, 'new')).not.toEqual(OLD_FRESH);
    }
  });

  trust('an invalidation leaves other keys, tags and domains in memory', ALL, async (fleet) => {
    const { a, b } = await kept(fleet);
    const others = [
      { ...GOLD, key: 'silver', tags: ['other'] },
      { domain: 'prices', key: 'gold', tags: ['metal'] },
    ];
    for (const other of others) await keep(b, other);
    await a.guard.invalidate(GOLD);
    await a.guard.invalidateTags({ domain: 'catalog', tags: ['metal'] });
    await until(() => b.store.said('advanced') > 0);
    for (const other of others) expect(await read(b, other)).toEqual(OLD_FRESH);
  });

  trust('an older reply that comes later does not replace a newer one', BOTH, async (fleet) => {
    const [a, b] = [await near(fleet), await near(fleet)];
    await a.guard.put(GOLD, 'one', { version: 1n });
    const reply = b.store.delayReply('read');
    const early = b.guard.getOrLoad(GOLD, async () => 'never');
    await reply.struck;
    // Nothing is heard of the newer one either.
    b.store.deaf = true;
    await fleet.pass(2);
    await a.guard.put(GOLD, 'two', { version: 2n });
    expect(await read(b, GOLD)).toMatchObject({ value: 'two', from: 'l2' });
    reply.release();
    expect(await early).toBe('one');
    expect(await read(b, GOLD)).toEqual({ value: 'two', from: 'l1', state: 'fresh' });
    expect(await a.guard.put(GOLD, 'one', { version: 1n })).toMatchObject({ stored: false });
    expect(await read(b, GOLD)).toEqual({ value: 'two', from: 'l1', state: 'fresh' });
  });
});

describe('what is said to everybody', () => {
  trust('a plain fill is no broadcast, a change is one', REDIS, async (fleet) => {
    const messages: string[] = [];
    const listener = new Redis(inject('redisUrl'));
    fleet.finally(() => listener.disconnect());
    await listener.subscribe(`${fleet.namespace}:all`);
    listener.on('message', (_channel, message: string) => messages.push(message));
    const a = await near(fleet);
    for (const key of ['a', 'b', 'c']) await a.guard.getOrLoad({ ...GOLD, key }, async () => 'old');
    await a.guard.getOrLoad(GOLD, ({ setTtl }) => (setTtl({ softTtl: 20, hardTtl: 10_000 }), Promise.resolve('old')));
    await fleet.pass(30);
    const again = counted(() => 'new');
    await a.guard.getOrLoad(GOLD, again);
    await a.heard('accepted', { via: 'load' }, 5);
    // Messages of one channel come in their order: nothing was said before this.
    await a.guard.invalidateDomain('catalog');
    await until(() => messages.length > 0);
    expect(messages).toEqual([expect.stringMatching(/^g\|\d+\|d:catalog$/)]);
    await a.guard.put(GOLD, 'two');
    await a.guard.refresh(GOLD, async () => 'three');
    await a.guard.invalidate(GOLD);
    await until(() => messages.length >= 4);
    await settle();
    expect(messages.map((message) => message[0])).toEqual(['g', 'i', 'r', 'i']);
  });

  trust('a value that other processes still have as fresh is replaced there as well', BOTH, async (fleet) => {
    const { a, b } = await kept(fleet);
    await a.guard.refresh(GOLD, async () => 'new');
    await until(() => b.store.said('replaced') > 0);
    expect(await read(b, GOLD)).toEqual({ value: 'new', from: 'l2', state: 'fresh' });
  });
});

describe('what was loaded while the store was away', () => {
  const packed = { ...L1_DOMAINS.catalog, compressAbove: 0 } as const;

  trust('serves as stale until the store is back, and never as fresh', MEMORY, async (fleet) => {
    for (const domain of ['catalog', 'packed'] as const) {
      const a = await near(fleet, { domains: { packed } });
      const target = { ...GOLD, domain };
      a.store.down();
      await fleet.pass(300);
      const value = 'local '.repeat(20);
      expect(await read(a, target, value)).toMatchObject({ value, from: 'load' });
      await until(async () => (await read(a, target, value)).from === 'l1', 'the value in memory');
      expect(await read(a, target, 'other'), domain).toEqual({ value, from: 'l1', state: 'stale' });
      a.store.heal();
      await until(async () => (await fleet.pass(100), a.all('store-state').at(-1)?.state === 'up'));
      expect(await read(a, target, 'new')).toMatchObject({ value: 'new', from: 'load' });
    }
  });

  trust('is not fresh either when only some commands failed, and signals arrive', MEMORY, async (fleet) => {
    const a = await near(fleet);
    const failing = (['read', 'acquire'] as const).map((operation) => a.store.fail(operation));
    expect(await read(a, GOLD, 'local')).toMatchObject({ value: 'local', from: 'load' });
    for (const fault of failing) fault.release();
    expect(await read(a, GOLD, 'new')).toEqual({ value: 'new', from: 'load', state: undefined });
  });

  trust('is not kept when its key, tag or domain was invalidated meanwhile', MEMORY, async (fleet) => {
    for (const [name, change] of CHANGES.slice(0, 4)) {
      const a = await near(fleet);
      a.store.down();
      await fleet.pass(300);
      const source = fleet.source<string>();
      const early = a.guard.getOrLoad(GOLD, source.load);
      const load = await source.call(1);
      expect(await change(a), name).toEqual({ outcome: 'pending' });
      load.resolve('old');
      await early;
      expect(await read(a, GOLD, 'new'), name).toMatchObject({ value: 'new', from: 'load' });
    }
  });

  trust('and of what memory had, an invalidation that is pending leaves nothing', MEMORY, async (fleet) => {
    for (const [name, change] of CHANGES.slice(0, 4)) {
      const a = await near(fleet);
      await a.guard.put(GOLD, 'old');
      await keep(a, GOLD);
      a.store.down();
      await fleet.pass(300);
      expect(await change(a), name).toEqual({ outcome: 'pending' });
      expect(await read(a, GOLD, 'new'), name).toMatchObject({ value: 'new', from: 'load' });
    }
  });
});

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { Fleet, until, type Member } from './support/fleet.js';
import { ALL, expectFresh, expectNotFresh, promise, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

const BALANCE = { domain: 'balances', key: 'gold', tags: ['customer:1'] };

/** The request that commits a load's value. */
const isFill = (request: Buffer): boolean => request.includes('\r\nfill\r\n');

async function loading(fleet: Fleet, { guard }: Member, target = BALANCE) {
  const source = fleet.source<string>();
  const read = guard.getOrLoad(target, source.load);
  return { read, load: await source.call(1) };
}

describe('no stale set: commands that go astray', () => {
  promise(2, 'a commit whose reply was lost is taken away by the invalidation that follows', ALL, async (fleet) => {
    const [a, b] = await fleet.pair();
    a.store.loseReply('commit');
    const { read, load } = await loading(fleet, a);
    load.resolve('old');
    expect(await read).toBe('old');
    expect(a.all('fenced', { reason: 'unknown' })).toHaveLength(1);
    await b.guard.invalidate(BALANCE);
    await expectNotFresh([a, b], BALANCE, 'old');
  });

  promise(2, 'the same when the connection breaks under the reply', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    const [a, b] = [await fleet.start({ proxy }), await fleet.start()];
    const lost = proxy.loseReplyOf(isFill);
    const { read, load } = await loading(fleet, a);
    load.resolve('old');
    await lost.struck;
    expect(await read).toBe('old');
    await b.guard.invalidate(BALANCE);
    await until(async () => (await a.guard.getOrLoad(BALANCE, async () => 'new')) === 'new');
    await until(async () => (await b.guard.getOrLoad(BALANCE, async () => 'new')) === 'new');
    await expectNotFresh([a, b], BALANCE, 'old');
  });

  promise(2, 'a commit that is held up past an invalidation does nothing', ALL, async (fleet) => {
    const [a, b] = await fleet.pair();
    const held = a.store.delay('commit');
    const { read, load } = await loading(fleet, a);
    load.resolve('old');
    await held.struck;
    await b.guard.invalidate(BALANCE);
    held.release();
    expect(await read).toBe('old');
    await expectNotFresh([a, b], BALANCE, 'old');
    expect(a.all('fenced', { reason: 'token' })).toHaveLength(1);
  });

  promise(2, 'the same for one that is held up on the network', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    const [a, b] = [await fleet.start({ proxy }), await fleet.start()];
    const held = proxy.holdRequest(isFill);
    const { read, load } = await loading(fleet, a);
    load.resolve('old');
    await held.struck;
    await b.guard.invalidate(BALANCE);
    held.release();
    expect(await read).toBe('old');
    await expectNotFresh([a, b], BALANCE, 'old');
  });

  promise(2, 'a commit that arrives when nobody waits for its answer any more does nothing', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    const [a, b] = [await fleet.start({ proxy, commandTimeoutMs: 150 }), await fleet.start()];
    const { read, load } = await loading(fleet, a);
    const held = proxy.holdRequest(isFill);
    load.resolve('old');
    await held.struck;
    expect(await read).toBe('old');
    await a.heard('store-error', { operation: 'commit' });
    const { EVALSHA = 0 } = proxy.counts.commands;
    // The deadline is the server's time, which is known to within a round trip.
    await fleet.pass(100);
    held.release();
    await until(() => (proxy.counts.commands['EVALSHA'] ?? 0) > EVALSHA);
    await fleet.raw.ping();
    await expectNotFresh([a, b], BALANCE, 'old');
    expect(await b.guard.peek(BALANCE)).toBeUndefined();
  });

  promise(2, 'a load whose lease was evicted is not kept', REDIS, async (fleet) => {
    const [a, b] = await fleet.pair();
    const { read, load } = await loading(fleet, a);
    expect(await fleet.raw.del(await fleet.raw.keys(`${fleet.namespace}:l:*`))).toBe(1);
    load.resolve('old');
    expect(await read).toBe('old');
    await expectNotFresh([a, b], BALANCE, 'old');
    expect(a.all('fenced', { reason: 'token' })).toHaveLength(1);
  });

  promise(2, 'a value whose generations were evicted is not taken for fresh', REDIS, async (fleet) => {
    const [a, b] = await fleet.pair();
    await a.guard.getOrLoad(BALANCE, async () => 'old');
    expect(await fleet.raw.del(await fleet.raw.keys(`${fleet.namespace}:g:{t:*`))).toBe(1);
    await expectNotFresh([a, b], BALANCE, 'old');
    const own = counted(() => 'new');
    expect(await b.guard.getOrLoad(BALANCE, own)).toBe('new');
    await expectFresh([a, b], BALANCE, 'new');
  });
});

describe('no stale set: a server that forgets', () => {
  let server: RedisServer;
  beforeAll(async () => void (server = await startRedis()));
  afterAll(() => server.stop());

  async function onServer(run: (fleet: Fleet, a: Member, b: Member) => Promise<void>): Promise<void> {
    const fleet = new Fleet('redis');
    try {
      const [a, b] = await fleet.pair({ url: server.url });
      await run(fleet, a, b);
    } finally {
      await fleet.close();
    }
  }

  test('promise 2: a load that FLUSHALL crossed is not kept', () =>
    onServer(async (fleet, a, b) => {
      const { read, load } = await loading(fleet, a);
      await server.command('FLUSHALL');
      await b.guard.invalidate(BALANCE);
      load.resolve('old');
      expect(await read).toBe('old');
      await expectNotFresh([a, b], BALANCE, 'old');
    }));

  test('promise 2: a server that came back from an older snapshot brings back nothing as fresh, nor the right to commit', () =>
    onServer(async (fleet, a, b) => {
      const other = { domain: 'balances', key: 'silver', tags: ['customer:2'] };
      const third = { domain: 'balances', key: 'bronze' };
      for (const target of [other, third]) await a.guard.getOrLoad(target, async () => 'old');
      const { read, load } = await loading(fleet, a);
      await server.command('SAVE');
      await b.guard.invalidate(BALANCE);
      await b.guard.invalidateTags({ domain: 'balances', tags: ['customer:2'] });
      await b.guard.invalidate(third);
      await server.kill();
      await server.restart();
      expect(Number(await server.command('DBSIZE'))).toBeGreaterThan(3);
      load.resolve('old');
      expect(await read).toBe('old');
      const again = async ({ guard }: Member, target: typeof BALANCE | typeof third) =>
        guard.getOrLoad(target, async () => 'new');
      for (const target of [BALANCE, other, third]) {
        for (const member of [a, b]) await until(async () => (await member.guard.peek(target)) === undefined);
        await until(async () => (await again(b, target)) === 'new' && (await b.guard.peek(target))?.value === 'new');
        expect(await again(a, target)).toBe('new');
      }
    }));

  test('promise 2: a load that a restart crossed has no right to commit to the new server process', () =>
    onServer(async (fleet, a, b) => {
      const { read, load } = await loading(fleet, a);
      await server.command('SAVE');
      await server.kill();
      await server.restart();
      await until(async () => (await a.guard.explain(BALANCE)).store === 'answered');
      load.resolve('old');
      expect(await read).toBe('old');
      expect(a.all('fenced', { reason: 'epoch' })).toHaveLength(1);
      await until(async () => (await b.guard.explain(BALANCE)).store === 'answered');
      await expectNotFresh([a, b], BALANCE, 'old');
    }));

  test('promise 2: the shared Redis is another server', () => expect(server.url).not.toBe(inject('redisUrl')));
});

import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Cached, CacheGuardModule } from 'nestjs-cache-guard';
import { describe, expect, inject, test } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { DOMAINS, settle, until, type Fleet, type Member } from './support/fleet.js';
import { BOTH, MEMORY, promise, REDIS } from './support/promise.js';
import { gate } from './support/source.js';

const BALANCE = { domain: 'balances', key: 'gold' };
const OFFER = { domain: 'offers', key: 'gold' };
const errorOf = (read: Promise<unknown>): Promise<unknown> =>
  read.then(
    () => 'no error',
    (error: unknown) => error,
  );

/** Fields of leases by which somebody still holds, or may still commit. */
async function rights(fleet: Fleet): Promise<string[]> {
  const found: string[] = [];
  for (const lease of await fleet.raw.keys(`${fleet.namespace}:l:*`)) {
    for (const field of await fleet.raw.hkeys(lease)) if (field === 'h' || field.startsWith('a:')) found.push(field);
  }
  return found;
}

async function closed(fleet: Fleet, { guard }: Member): Promise<void> {
  await fleet.patiently(guard.close());
}

describe('nothing left behind', () => {
  promise(15, 'no timer, after reads, loads, waits and writes of every kind', MEMORY, async (fleet) => {
    const [a, b] = await fleet.pair();
    const source = fleet.source<string>();
    const reads = [a, b].map(({ guard }) => guard.getOrLoad(BALANCE, source.load));
    const load = await source.call(1);
    await settle();
    expect(fleet.clock.pending).toBeGreaterThan(0);
    load.resolve('one');
    await Promise.all(reads);
    await a.guard.writeThrough(BALANCE, async () => 'two');
    await a.guard.put(BALANCE, 'three');
    await a.guard.invalidate(BALANCE);
    await expect(b.guard.getOrLoad(BALANCE, () => Promise.reject(new Error('no source')))).rejects.toThrow();
    await b.guard.refresh(BALANCE, async (context) => (context.doNotCache(), 'four'));
    await settle();
    expect(fleet.clock.pending).toBe(0);
    await Promise.all([closed(fleet, a), closed(fleet, b)]);
    expect(fleet.clock.pending).toBe(0);
  });

  promise(15, 'a load that somebody waits for may land; its value is kept', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const source = fleet.source<string>();
    const read = a.guard.getOrLoad(BALANCE, source.load);
    const load = await source.call(1);
    const closing = a.guard.close();
    load.resolve('one');
    expect(await read).toBe('one');
    await closing;
    expect(await b.guard.peek(BALANCE)).toMatchObject({ value: 'one' });
  });

  promise(
    15,
    'one that takes too long is given up: reader told, signal aborted, lease given back',
    BOTH,
    async (fleet) => {
      const [a, b] = await fleet.pair();
      const source = fleet.source<string>();
      const read = errorOf(
        a.guard.getOrLoad<string>(BALANCE, (context) => {
          context.signal.addEventListener('abort', () => source.calls[0]!.reject(new Error('aborted')));
          return source.load(context);
        }),
      );
      const load = await source.call(1);
      await closed(fleet, a);
      expect(await read).toMatchObject({ code: 'CG_CLOSED' });
      expect(load.context.signal.aborted).toBe(true);
      expect(await b.guard.getOrLoad(BALANCE, async () => 'from b')).toBe('from b');
      expect(b.all('lease', { outcome: 'refused' })).toEqual([]);
      if (fleet.kind === 'redis') expect(await rights(fleet)).toEqual([]);
      else expect(fleet.clock.pending).toBe(0);
    },
  );

  promise(15, 'a loader that does not listen to its signal keeps no timer', MEMORY, async (fleet) => {
    const a = await fleet.start();
    const source = fleet.source<string>();
    const read = errorOf(a.guard.getOrLoad(BALANCE, source.load));
    await source.call(1);
    await closed(fleet, a);
    expect(await read).toMatchObject({ code: 'CG_CLOSED' });
    expect(fleet.clock.pending).toBe(0);
  });

  promise(15, 'a refresh behind is given up at once', BOTH, async (fleet) => {
    const [a] = await fleet.pair();
    await a.guard.getOrLoad(OFFER, async () => 'old');
    await a.guard.invalidate(OFFER);
    const source = fleet.source<string>();
    expect(await a.guard.getOrLoad(OFFER, source.load)).toBe('old');
    const load = await source.call(1);
    // Without a turn of the clock: nobody waits for it.
    await a.guard.close();
    expect(load.context.signal.aborted).toBe(true);
    if (fleet.kind === 'redis') expect(await rights(fleet)).toEqual([]);
  });

  promise(
    15,
    'nor does a refresh behind that only now learns that another process holds the lease hold up the end',
    BOTH,
    async (fleet) => {
      const [a, b] = await fleet.pair();
      await a.guard.getOrLoad(OFFER, async () => 'old');
      await a.guard.invalidate(OFFER);
      const source = fleet.source<string>();
      await a.guard.getOrLoad(OFFER, source.load);
      await source.call(1);
      const held = b.store.delay('acquire');
      await b.guard.getOrLoad(OFFER, source.load);
      await held.struck;
      const began = performance.now();
      const closing = b.guard.close();
      held.release();
      const patience = until(() => performance.now() - began > 500).then(() => 'still open');
      expect(await Promise.race([closing, patience])).toBeUndefined();
    },
  );

  promise(15, 'a waiter for another process is told, and leaves no timer', MEMORY, async (fleet) => {
    const [a, b] = await fleet.pair();
    const source = fleet.source<string>();
    const first = a.guard.getOrLoad(BALANCE, source.load);
    const load = await source.call(1);
    const second = errorOf(b.guard.getOrLoad(BALANCE, source.load));
    await b.heard('lease', { outcome: 'refused' });
    await closed(fleet, b);
    expect(await second).toMatchObject({ code: 'CG_CLOSED' });
    load.resolve('one');
    expect(await first).toBe('one');
    expect(fleet.clock.pending).toBe(0);
  });

  promise(15, 'a write-through that goes on keeps neither its token nor a timer', BOTH, async (fleet) => {
    const a = await fleet.start();
    const written = gate();
    const started = gate();
    const writing = a.guard.writeThrough(BALANCE, () => {
      started.open();
      return written.opened.then(() => 'written');
    });
    await started.opened;
    await closed(fleet, a);
    const left = fleet.kind === 'redis' ? await rights(fleet) : fleet.clock.pending;
    written.open();
    expect(await writing).toBe('written');
    expect(left).toEqual(fleet.kind === 'redis' ? [] : 0);
  });

  promise(15, 'who loads for himself is told, and leaves no timer', MEMORY, async (fleet) => {
    const a = await fleet.start();
    await a.guard.getOrLoad(BALANCE, async (context) => (context.doNotCache(), 'mine'));
    const source = fleet.source<string>();
    const read = errorOf(a.guard.getOrLoad(BALANCE, source.load));
    const load = await source.call(1);
    await closed(fleet, a);
    await settle();
    expect(load.context.signal.aborted).toBe(true);
    expect(fleet.clock.pending).toBe(0);
    expect(await Promise.race([read, settle().then(() => 'still waiting')])).toMatchObject({ code: 'CG_CLOSED' });
  });

  promise(15, 'no connection', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    const a = await fleet.start({ proxy });
    await a.guard.getOrLoad(BALANCE, async () => 'one');
    expect(proxy.counts.open).toBeGreaterThan(0);
    await a.guard.close();
    await until(() => proxy.counts.open === 0);
    const { connections } = proxy.counts;
    await fleet.pass(150);
    expect(proxy.counts.connections).toBe(connections);
  });

  promise(15, 'no connection either when it was closed while Redis was away', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    proxy.down();
    const a = await fleet.start({ proxy, commandTimeoutMs: 100 });
    expect(await a.guard.getOrLoad(BALANCE, async () => 'one')).toBe('one');
    await a.guard.close();
    proxy.up();
    await fleet.pass(300);
    expect(proxy.counts.open).toBe(0);
  });

  promise(15, 'nor when it was closed before it was open', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    proxy.hang();
    const opening = fleet.start({ proxy });
    await until(() => proxy.counts.open > 0);
    await fleet.members[0]!.guard.close();
    await opening;
    await until(() => proxy.counts.open === 0);
  });

  promise(15, 'after the end, calls go straight to their loaders', BOTH, async (fleet) => {
    const a = await fleet.start();
    await a.guard.getOrLoad(BALANCE, async () => 'cached');
    await a.guard.close();
    await a.guard.close();
    expect(await a.guard.getOrLoad(BALANCE, async () => 'straight')).toBe('straight');
    expect(await a.guard.refresh(BALANCE, async () => 'straight')).toBe('straight');
    expect(await a.guard.writeThrough(BALANCE, async () => 'straight')).toBe('straight');
    expect(await a.guard.peek(BALANCE)).toBeUndefined();
  });
});

@Injectable()
class Offers {
  started = gate();
  aborted = false;

  @Cached({ domain: 'offers', key: (id: string) => id })
  async find(id: string): Promise<string> {
    return `offer ${id}`;
  }
}

describe('nothing left behind by an application', () => {
  test('promise 15: after app.close() no socket and no timer of its own', async () => {
    const left = () => process.getActiveResourcesInfo().filter((kind) => /TCP|Timeout/.test(kind)).length;
    const rejections: unknown[] = [];
    const note = (reason: unknown) => rejections.push(reason);
    process.on('unhandledRejection', note);
    await settle();
    const before = left();
    const root = CacheGuardModule.forRoot({
      namespace: uniqueNamespace(),
      redisUrl: inject('redisUrl'),
      domains: { offers: DOMAINS.offers },
    });
    const compiled = await Test.createTestingModule({ imports: [root], providers: [Offers] }).compile();
    const app = await compiled.createNestApplication({ logger: false }).init();
    expect(await Promise.all(['a', 'b', 'a'].map((id) => app.get(Offers).find(id)))).toEqual([
      'offer a',
      'offer b',
      'offer a',
    ]);
    await app.close();
    await until(() => left() <= before);
    process.off('unhandledRejection', note);
    expect(rejections).toEqual([]);
  });
});

import type { DomainPolicies } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { COMMAND_MS, knowAway, ownRedis } from './support/away.js';
import { DOMAINS, settle, until, type Fleet, type Member } from './support/fleet.js';
import { BOTH, MEMORY, promise, REDIS } from './support/promise.js';
import { Census, counted, Log } from './support/rate.js';
import { gate } from './support/source.js';

const PATIENT = { waitBudget: '1h', bulkhead: { concurrency: 4, queue: 1_000 } } as const;
const domains = {
  ten: { ...DOMAINS.balances, ...PATIENT, maxLoadsPerSecond: 10 },
  two: { ...DOMAINS.balances, ...PATIENT, maxLoadsPerSecond: 2 },
  one: { ...DOMAINS.balances, ...PATIENT, maxLoadsPerSecond: 1 },
  slow: { ...DOMAINS.balances, ...PATIENT, maxLoadsPerSecond: 0.5 },
  hasty: { ...DOMAINS.balances, ...PATIENT, maxLoadsPerSecond: 1, waitBudget: '1.5s' },
  short: { ...DOMAINS.balances, maxLoadsPerSecond: 1, waitBudget: '1h', bulkhead: { concurrency: 4, queue: 2 } },
  unkept: { ...PATIENT, freshness: 'operational', stalePolicy: 'no-store', maxLoadsPerSecond: 1 },
  behind: { ...DOMAINS.offers, ...PATIENT, maxLoadsPerSecond: 1 },
  instead: { ...DOMAINS.rates, ...PATIENT, maxLoadsPerSecond: 1, softTimeout: '300ms' },
  lively: { ...DOMAINS.balances, ...PATIENT, maxLoadsPerSecond: 60 },
  narrow: { ...DOMAINS.balances, ...PATIENT, maxLoadsPerSecond: 50, bulkhead: { concurrency: 16, queue: 1_000 } },
} as const satisfies DomainPolicies;
type Domain = keyof typeof domains;

const names = (count: number, prefix = 'key'): string[] => Array.from({ length: count }, (_, n) => `${prefix}.${n}`);

/** Reads all at once; whoever is not answered leaves with the log's readers. */
function readAll({ guard }: Member, domain: Domain, log: Log, keys: readonly string[], { signal } = log.leaving) {
  return keys.map((key) => {
    const read = guard.getOrLoad({ domain, key, signal }, log.load(key));
    read.catch(() => {});
    return read;
  });
}

async function start(fleet: Fleet): Promise<{ a: Member; log: Log }> {
  return { a: await fleet.start({ domains }), log: new Log(fleet) };
}

const codeOf = (read: Promise<unknown>): Promise<unknown> =>
  read.then(
    () => 'no error',
    (error: unknown) => (error as { code?: unknown }).code ?? error,
  );

describe('the cap on loads per second: one process', () => {
  promise(9, 'loads begin evenly, never more than the cap in any second', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    void readAll(a, 'ten', log, names(35));
    await fleet.pass(3_399);
    expect(log.times).toEqual(names(34).map((_, n) => n * 100));
    await fleet.pass(1);
    expect(log.times).toHaveLength(35);
    expect(log.mostWithin(1_000)).toBe(10);
    // Rest is not saved up.
    await fleet.pass(60_000);
    void readAll(a, 'ten', log, names(30, 'later'));
    await fleet.pass(10_000);
    expect(log.times).toHaveLength(65);
    expect(log.mostWithin(1_000)).toBe(10);
  });

  promise(9, 'a cap may be below one', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    void readAll(a, 'slow', log, names(4));
    await fleet.pass(5_999);
    expect(log.times).toEqual([0, 2_000, 4_000]);
  });

  promise(9, 'loads that lost time do not make up for it all at once', REDIS, async (fleet) => {
    const { a, log } = await start(fleet);
    void readAll(a, 'narrow', log, names(100));
    await until(() => log.times.length > 3);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    await until(() => log.times.length > 20);
    // 16 slots, 20 ms apart: all of them would begin at once if each had been given its time in advance.
    expect(log.mostWithin(20)).toBeLessThan(8);
    log.leaving.abort();
  });

  promise(9, 'who does not want his load any more costs nobody a turn', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    const leaving = new AbortController();
    void readAll(a, 'one', log, ['first']);
    const left = readAll(a, 'one', log, names(6), leaving);
    void readAll(a, 'one', log, ['last']);
    await fleet.pass(500);
    leaving.abort(new Error('left'));
    await Promise.allSettled(left);
    await fleet.pass(499);
    expect(log.names).toEqual(['first']);
    await fleet.pass(1);
    expect(log.names).toEqual(['first', 'last']);
  });

  promise(9, 'nor does he who leaves between his turn and his load', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    const leaving = new AbortController();
    const asking = a.store.delay('acquire');
    const [left] = readAll(a, 'one', log, ['left'], leaving);
    await asking.struck;
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    const [read] = readAll(a, 'one', log, ['gold']);
    asking.release();
    await settle(20);
    expect(await Promise.race([read, settle().then(() => 'still waiting')])).toBe('gold');
    expect(log.names).toEqual(['gold']);
  });

  promise(9, 'demand that never ends and never waits long enough uses the cap', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    const refused: unknown[] = [];
    for (let second = 0; second < 10; second++) {
      for (const read of readAll(a, 'hasty', log, names(16, `s${second}`))) {
        void codeOf(read).then((code) => code === 'no error' || refused.push(code));
      }
      await fleet.pass(1_000);
    }
    expect(log.times.length).toBeGreaterThanOrEqual(10);
    expect(log.mostWithin(1_000)).toBeLessThanOrEqual(1);
    expect(new Set(refused)).toEqual(new Set(['CG_WAIT_TIMEOUT']));
    await fleet.pass(2_000);
    const [alone] = readAll(a, 'hasty', log, ['alone']);
    await settle(20);
    expect(await Promise.race([alone, settle().then(() => 'still waiting')])).toBe('alone');
  });

  promise(9, 'a reader waits for a turn no longer than his budget', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    const reads = readAll(a, 'hasty', log, names(4)).map(codeOf);
    await fleet.pass(1_501);
    expect(await Promise.all(reads)).toEqual(['no error', 'no error', 'CG_WAIT_TIMEOUT', 'CG_WAIT_TIMEOUT']);
    expect(a.all('wait-timeout')).toHaveLength(2);
  });

  promise(9, 'who may have the old value gets it instead of waiting for a turn', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    await a.guard.put({ domain: 'instead', key: 'gold' }, 'old');
    await a.guard.invalidate({ domain: 'instead', key: 'gold' });
    void readAll(a, 'instead', log, names(3));
    await settle();
    const [read] = readAll(a, 'instead', log, ['gold']);
    await fleet.pass(301);
    expect(await Promise.race([read, settle().then(() => 'still waiting')])).toBe('old');
  });

  promise(9, 'the queue for a turn is bounded like that for a slot', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    const reads = readAll(a, 'short', log, names(4)).map(codeOf);
    await fleet.pass(10_000);
    expect((await Promise.all(reads)).filter((code) => code === 'no error')).toHaveLength(3);
    expect(await Promise.all(reads)).toContain('CG_OVERLOADED');
    expect(a.all('overload', { bound: 'bulkhead' })).toHaveLength(1);
    // Who comes when nobody waits any more is let in.
    expect(await codeOf(readAll(a, 'short', log, ['later'])[0]!)).toBe('no error');
  });
});

describe('the cap on loads per second: who goes first, and what counts', () => {
  promise(9, 'a waiting reader goes before refreshes that were there before him', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    const old = names(4, 'old');
    for (const key of old) await a.guard.put({ domain: 'behind', key }, 'old');
    await a.guard.invalidate({ domain: 'behind', keys: old });
    await Promise.all(readAll(a, 'behind', log, old));
    await until(() => log.names.length === 1);
    void readAll(a, 'behind', log, ['cold']);
    await fleet.pass(1_000);
    expect(log.names).toEqual(['old.0', 'cold']);
    // So does a refresh for which a reader has come to wait.
    void a.guard
      .getOrLoad({ domain: 'behind', key: 'old.3', stalePolicy: 'never' }, log.load('joined'))
      .catch(() => {});
    await fleet.pass(1_000);
    expect(log.names).toEqual(['old.0', 'cold', 'old.3']);
    await fleet.pass(2_000);
    expect(log.names).toHaveLength(5);
  });

  promise(9, 'loads inside loads count, and go first', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    const outer = a.guard.getOrLoad({ domain: 'two', key: 'outer' }, async () => {
      log.note('outer');
      return Promise.all(readAll(a, 'two', log, names(2, 'inner')));
    });
    await until(() => log.names.length === 1);
    void readAll(a, 'two', log, names(2, 'other'));
    await fleet.pass(2_500);
    expect(await outer).toEqual(['inner.0', 'inner.1']);
    expect(log.names).toEqual(['outer', 'inner.0', 'inner.1', 'other.0', 'other.1']);
    expect(log.times).toEqual([0, 500, 1_000, 1_500, 2_000]);
  });

  promise(9, 'a load that waits for its turn keeps waiting when a load joins it', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    const joins = gate();
    const outer = a.guard.getOrLoad({ domain: 'one', key: 'outer' }, async () => {
      log.note('outer');
      await joins.opened;
      return a.guard.getOrLoad({ domain: 'one', key: 'queued' }, log.load('not this one'));
    });
    await until(() => log.names.length === 1);
    void readAll(a, 'one', log, ['queued']);
    await settle();
    joins.open();
    await fleet.pass(999);
    expect(log.names).toEqual(['outer']);
    await fleet.pass(1);
    expect(log.names).toEqual(['outer', 'queued']);
    expect(await outer).toBe('queued');
  });

  promise(9, 'loads for one caller only count, inside a load too', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    const target = { domain: 'one', key: 'mine' };
    await a.guard.getOrLoad(target, log.uncacheable('first'));
    for (const name of names(3)) void a.guard.getOrLoad(target, log.uncacheable(name)).catch(() => {});
    await fleet.pass(3_500);
    expect(log.times).toEqual([0, 1_000, 2_000, 3_000]);
    void a.guard
      .getOrLoad({ domain: 'ten', key: 'outer' }, () => a.guard.getOrLoad(target, log.uncacheable('inner')))
      .catch(() => {});
    await fleet.pass(499);
    expect(log.times).toHaveLength(4);
    await fleet.pass(1);
    expect(log.times).toHaveLength(5);
  });

  promise(9, 'loads count of which nothing is kept', MEMORY, async (fleet) => {
    const { a, log } = await start(fleet);
    void readAll(a, 'unkept', log, names(3));
    await fleet.pass(2_500);
    expect(log.times).toEqual([0, 1_000, 2_000]);
  });

  promise(9, 'a key that another process loads costs no turn', BOTH, async (fleet) => {
    const census = new Census();
    census.live = 4;
    const members = await fleet.startAll(4, { domains, ...(fleet.kind === 'memory' && census.options) });
    if (fleet.kind === 'redis') await counted(fleet, 4, members);
    const log = new Log(fleet);
    const from = log.now();
    const reads = members.flatMap((member) => readAll(member, 'ten', log, names(20)));
    await fleet.patiently(Promise.all(reads));
    expect(log.names).toHaveLength(20);
    // 20 loads at 10 per second; a quarter of that if every process spent a turn on every key.
    expect(log.now() - from).toBeLessThan(4_000);
  });
});

describe('the cap on loads per second: the fleet', () => {
  promise(9, 'each process takes its share, at once when the fleet grows or shrinks', MEMORY, async (fleet) => {
    const census = new Census();
    const a = await fleet.start({ domains, ...census.options });
    const log = new Log(fleet);
    void readAll(a, 'ten', log, names(100));
    await fleet.pass(1_000);
    census.live = 5;
    await fleet.pass(1_000);
    const from = log.now();
    await fleet.pass(4_000);
    expect(log.countFrom(from) - 8).toBeOneOf([0, 1]);
    census.live = 1;
    await fleet.pass(1_000);
    const then = log.now();
    await fleet.pass(2_000);
    expect(log.countFrom(then) - 20).toBeOneOf([0, 1]);
  });

  promise(9, 'while the store is away each keeps to its last share', MEMORY, async (fleet) => {
    const census = new Census();
    census.live = 5;
    const a = await fleet.start({ domains, ...census.options });
    const log = new Log(fleet);
    a.store.down();
    await fleet.pass(10_000);
    expect(a.all('store-state').at(-1)).toMatchObject({ state: 'away' });
    void readAll(a, 'ten', log, names(20));
    await fleet.pass(4_999);
    expect(log.times).toHaveLength(10);
  });

  for (const size of [2, 3]) {
    promise(9, `${size} processes begin no more loads per second than the cap, in sum`, REDIS, async (fleet) => {
      const members = await fleet.startAll(size, { domains });
      await counted(fleet, size, members);
      const log = new Log(fleet);
      members.forEach((member, n) => void readAll(member, 'lively', log, names(200, `p${n}`)));
      const from = log.now();
      await until(() => log.now() - from > 2_000);
      // Evenly spread in each process, which can make one more in each of them.
      // Turns that come late on a busy machine, and those after them that do not, lie closer together.
      expect(log.mostWithin(1_000)).toBeLessThanOrEqual(60 * 1.1 + size);
      expect(log.times.length).toBeGreaterThan(80);
      log.leaving.abort();
    });
  }

  promise(9, 'so they do while Redis is away', REDIS, async (fleet) => {
    const { url, ...redis } = await ownServer(fleet);
    const members = await fleet.startAll(2, { domains, url, commandTimeoutMs: COMMAND_MS });
    await until(() => members.every(({ store }) => store.calls.beat > 2));
    await redis.kill();
    await knowAway(...members);
    const log = new Log(fleet);
    members.forEach((member, n) => void readAll(member, 'lively', log, names(200, `p${n}`)));
    const from = log.now();
    await until(() => log.now() - from > 1_500);
    expect(log.mostWithin(1_000)).toBeLessThanOrEqual(62);
    expect(log.times.length).toBeGreaterThan(50);
    log.leaving.abort();
  });

  promise(9, 'what processes leave that are closed or cut off goes to the others', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    const [a, b] = [await fleet.start({ domains }), await fleet.start({ domains })];
    await fleet.start({ domains, proxy, commandTimeoutMs: COMMAND_MS });
    await counted(fleet, 3, [a]);
    const log = new Log(fleet);
    /** How long five loads take beside the first. */
    const timeOf = async (): Promise<number> => {
      const from = log.now();
      await Promise.all(readAll(a, 'ten', log, names(6, String(from))));
      return log.now() - from;
    };
    expect(await timeOf()).toBeGreaterThan(1_400);
    const from = log.now();
    proxy.down();
    await b.guard.close();
    await counted(fleet, 1, [a]);
    expect(log.now() - from).toBeLessThan(4_500);
    expect(await timeOf()).toBeLessThan(900);
  });
});

async function ownServer(fleet: Fleet) {
  const server = await ownRedis(fleet);
  return { url: server.url, kill: () => server.kill() };
}

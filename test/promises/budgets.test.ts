import { describe, expect } from 'vitest';
import { settle, until, type Fleet } from './support/fleet.js';
import { promise, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

const BALANCE = { domain: 'balances', key: 'gold', tags: ['customer-1'] };

/** What only a heartbeat holds: it comes when it is due, whatever is counted. */
const BEAT = '\r\nh|';

/** A process whose commands are counted, with its scripts known to the server and its connections at rest. */
async function counting(fleet: Fleet) {
  const proxy = await fleet.proxy();
  const member = await fleet.start({ proxy });
  await member.guard.refresh({ domain: 'balances', key: 'warm' }, async () => 'warm');
  await member.guard.invalidate({ domain: 'balances', key: 'warm' });
  await member.guard.invalidateTags({ domain: 'balances', tags: ['warm'] });
  await settle();
  proxy.uncount(BEAT);
  proxy.resetCounts();
  return { member, proxy };
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `key-${i}`);

describe('budgets: commands, not milliseconds', () => {
  promise(1, 'budget: 100 readers of 10 fresh keys in one tick cost one read', REDIS, async (fleet) => {
    const { member, proxy } = await counting(fleet);
    for (const key of names(10)) await member.guard.getOrLoad({ ...BALANCE, key }, async () => key);
    proxy.resetCounts();
    const own = counted(() => 'never');
    const reads = Array.from({ length: 10 }, () => names(10)).flat();
    expect(await Promise.all(reads.map((key) => member.guard.getOrLoad({ ...BALANCE, key }, own)))).toEqual(reads);
    expect(proxy.counts.commands).toEqual({ MGET: 1 });
    expect(own.calls).toBe(0);
  });

  promise(1, 'budget: a single MGET asks for 512 keys at most', REDIS, async (fleet) => {
    const { member, proxy } = await counting(fleet);
    await Promise.all(names(600).map((key) => member.guard.peek({ domain: 'balances', key })));
    expect(proxy.counts.commands).toEqual({ MGET: 2 });
  });

  promise(
    1,
    'budget: the process that loads a cold key needs three round trips, whatever its readers',
    REDIS,
    async (fleet) => {
      const { member, proxy } = await counting(fleet);
      const acquire = proxy.holdReplyOf('\r\nexclusive\r\n');
      const commit = proxy.holdReplyOf('\r\nfill\r\n');
      const source = fleet.source<string>();
      const reads = Array.from({ length: 100 }, () => member.guard.getOrLoad(BALANCE, source.load));
      await acquire.struck;
      // What the generations need travels with the acquire, and with the commit: no reply of these has come yet.
      await until(() => proxy.counts.requests === 3);
      expect(proxy.counts.commands).toEqual({ MGET: 1, EVALSHA: 2 });
      acquire.release();
      (await source.call(1)).resolve('one');
      await commit.struck;
      await until(() => proxy.counts.requests === 5);
      commit.release();
      await Promise.all(reads);
      await settle();
      expect(proxy.counts.commands).toEqual({ MGET: 2, EVALSHA: 3 });
    },
  );

  promise(1, 'budget: every other process needs three, whatever its readers', REDIS, async (fleet) => {
    const a = await fleet.start();
    const { member: b, proxy } = await counting(fleet);
    const source = fleet.source<string>();
    const first = a.guard.getOrLoad(BALANCE, source.load);
    const load = await source.call(1);
    const reads = Array.from({ length: 100 }, () => b.guard.getOrLoad(BALANCE, source.load));
    await b.heard('lease', { outcome: 'refused' });
    const late = Array.from({ length: 100 }, () => b.guard.getOrLoad(BALANCE, source.load));
    await settle();
    load.resolve('one');
    expect(new Set(await Promise.all([first, ...reads, ...late]))).toEqual(new Set(['one']));
    await settle();
    expect(proxy.counts.commands).toEqual({ MGET: 2, EVALSHA: 2 });
    expect(source.calls).toHaveLength(1);
  });

  promise(
    1,
    'budget: invalidating a key, a tag or a domain is one command, however much it concerns',
    REDIS,
    async (fleet) => {
      const { member, proxy } = await counting(fleet);
      await Promise.all(names(200).map((key) => member.guard.getOrLoad({ ...BALANCE, key }, async () => key)));
      for (const invalidate of [
        () => member.guard.invalidate({ domain: 'balances', key: 'key-0' }),
        () => member.guard.invalidateTags({ domain: 'balances', tags: ['customer-1'] }),
        () => member.guard.invalidateDomain('balances'),
      ]) {
        proxy.resetCounts();
        await invalidate();
        expect(proxy.counts.commands).toEqual({ EVALSHA: 1 });
      }
    },
  );

  promise(1, 'budget: a stale read costs one read while its refresh backs off', REDIS, async (fleet) => {
    const { member, proxy } = await counting(fleet);
    const offer = { domain: 'offers', key: 'gold' };
    await member.guard.getOrLoad(offer, async () => 'old');
    await member.guard.invalidate(offer);
    const failing = counted(() => Promise.reject<string>(new Error('no source')));
    await member.guard.getOrLoad(offer, failing);
    await member.heard('load', { outcome: 'failed' });
    await member.guard.getOrLoad(offer, failing);
    await member.heard('lease', { outcome: 'backing-off' });
    proxy.resetCounts();
    for (let read = 0; read < 10; read++) expect(await member.guard.getOrLoad(offer, failing)).toBe('old');
    expect(proxy.counts.commands).toEqual({ MGET: 10 });
  });
});

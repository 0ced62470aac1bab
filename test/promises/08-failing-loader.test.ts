import { describe, expect } from 'vitest';
import { DOMAINS, until } from './support/fleet.js';
import { ALL, BOTH, MEMORY, promise } from './support/promise.js';
import { counted } from './support/source.js';

const BALANCE = { domain: 'balances', key: 'gold' };
const errorOf = (read: Promise<unknown>): Promise<unknown> =>
  read.then(
    () => 'no error',
    (error: unknown) => error,
  );

describe('failing loader', () => {
  promise(8, 'its readers in the process get the very error that it threw', BOTH, async (fleet) => {
    const a = await fleet.start();
    const source = fleet.source<string>();
    const reads = Array.from({ length: 5 }, () => errorOf(a.guard.getOrLoad(BALANCE, source.load)));
    const failure = new Error('no source');
    (await source.call(1)).reject(failure);
    for (const error of await Promise.all(reads)) expect(error).toBe(failure);
    expect(source.calls).toHaveLength(1);
  });

  promise(8, 'one that throws before it returns a promise is no different', BOTH, async (fleet) => {
    const a = await fleet.start();
    const failure = new Error('no source');
    const read = a.guard.getOrLoad(BALANCE, () => {
      throw failure;
    });
    expect(await errorOf(read)).toBe(failure);
    expect(await a.guard.getOrLoad(BALANCE, async () => 'new')).toBe('new');
  });

  promise(8, 'waiters elsewhere are released together: one load per process, all at once', ALL, async (fleet) => {
    const members = await fleet.startAll(4);
    const source = fleet.source<string>();
    const reads = members.map(({ guard }) =>
      Array.from({ length: 10 }, () => errorOf(guard.getOrLoad(BALANCE, source.load))),
    );
    const first = await source.call(1);
    const others = () => members.filter((member) => member.all('lease', { outcome: 'won' }).length === 0);
    await Promise.all(others().map((member) => member.heard('lease', { outcome: 'refused' })));
    const failures = [new Error('no source'), new Error('nor now'), new Error('nor now'), new Error('nor now')];
    first.reject(failures[0]);
    // None of them has ended when the last one begins: no convoy.
    await source.call(4);
    source.calls.slice(1).forEach((load, i) => load.reject(failures[i + 1]));
    const errors = await Promise.all(reads.map((ofOne) => Promise.all(ofOne)));
    for (const ofOne of errors) expect(new Set(ofOne).size).toBe(1);
    expect(new Set(errors.map(([error]) => error))).toEqual(new Set(failures));
    expect(source.calls).toHaveLength(4);
  });

  promise(8, 'the same after a time-out', MEMORY, async (fleet) => {
    const timed = { ...DOMAINS.balances, loadTimeout: '1s' } as const;
    const members = await fleet.startAll(3, { domains: { timed } });
    const target = { domain: 'timed', key: 'gold' };
    const source = fleet.source<string>();
    const reads = members.map(({ guard }) => errorOf(guard.getOrLoad(target, source.load)));
    await source.call(1);
    await until(
      () => members.filter((member) => member.all('lease', { outcome: 'refused' }).length === 1).length === 2,
    );
    await fleet.pass(1_001);
    await source.call(3);
    source.calls.slice(1).forEach((load) => load.resolve('new'));
    expect((await Promise.all(reads)).filter((error) => error === 'no error')).toHaveLength(2);
  });

  promise(8, "under never a failure delays nobody's next attempt", BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const own = counted(() => Promise.reject(new Error('no source')));
    for (let attempt = 1; attempt <= 5; attempt++) {
      await expect((attempt % 2 ? a : b).guard.getOrLoad(BALANCE, own)).rejects.toThrow('no source');
      expect(own.calls).toBe(attempt);
    }
    expect(await a.guard.getOrLoad(BALANCE, async () => 'new')).toBe('new');
  });

  for (const domain of ['offers', 'rates'] as const) {
    promise(
      8,
      `where the old value is permitted, failures back off in the whole fleet (${domain})`,
      BOTH,
      async (fleet) => {
        const members = await fleet.pair();
        const target = { domain, key: 'gold' };
        await members[0].guard.getOrLoad(target, async () => 'old');
        await members[0].guard.invalidate(target);
        const own = counted(() => Promise.reject<string>(new Error('no source')));
        expect(await members[0].guard.getOrLoad(target, own)).toBe('old');
        await members[0].heard('load', { outcome: 'failed' });
        await until(() => members[0].store.calls.release === 1);
        for (let read = 0; read < 20; read++) {
          for (const { guard } of members) expect(await guard.getOrLoad(target, own)).toBe('old');
        }
        expect(own.calls).toBe(1);
      },
    );

    promise(8, `the pauses grow to their limit, and end with a success (${domain})`, MEMORY, async (fleet) => {
      const a = await fleet.start({
        domains: { [domain]: { ...DOMAINS[domain], backoff: { base: '1s', max: '8s' } } },
      });
      const target = { domain, key: 'gold' };
      await a.guard.getOrLoad(target, async () => 'old');
      await a.guard.invalidate(target);
      const own = counted(() => Promise.reject<string>(new Error('no source')));
      const at: number[] = [];
      for (let ms = 0; ms < 40_000; ms += 250) {
        const before = own.calls;
        expect(await a.guard.getOrLoad(target, own)).toBe('old');
        await fleet.pass(250);
        if (own.calls > before) at.push(ms);
      }
      expect(at.length).toBeGreaterThan(6);
      const pauses = at.slice(1).map((ms, i) => ms - at[i]!);
      pauses.forEach((pause, i) => expect(pause).toBeGreaterThanOrEqual(1_000 * Math.min(2 ** i, 8)));
      pauses.forEach((pause, i) => expect(pause).toBeLessThanOrEqual(1_000 * Math.min(2 ** i, 8) + 250));
      await fleet.pass(8_000);
      await a.guard.getOrLoad(target, async () => 'new');
      await until(async () => (await a.guard.peek(target))?.value === 'new');
      await a.guard.invalidate(target);
      const failed = own.calls;
      await a.guard.getOrLoad(target, own);
      await until(() => own.calls === failed + 1);
    });
  }

  promise(8, 'a cold reader does not wait for the back-off of others', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const target = { domain: 'rates', key: 'gold' };
    await expect(a.guard.getOrLoad(target, () => Promise.reject(new Error('no source')))).rejects.toThrow();
    expect(await b.guard.getOrLoad(target, async () => 'new')).toBe('new');
  });
});

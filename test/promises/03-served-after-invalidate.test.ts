import { describe, expect } from 'vitest';
import type { InvalidationMode } from 'nestjs-cache-guard';
import { settle, until, type Member } from './support/fleet.js';
import { ALL, BOTH, promise } from './support/promise.js';
import { counted } from './support/source.js';

const TAG = 'customer-1';
const target = (domain: string) => ({ domain, key: 'gold', tags: [TAG] });
const BALANCE = target('balances');

const SCOPES: Readonly<Record<string, (member: Member, domain: string, mode: InvalidationMode) => Promise<unknown>>> = {
  key: ({ guard }, domain, mode) => guard.invalidate({ domain, key: 'gold', mode }),
  tag: ({ guard }, domain, mode) => guard.invalidateTags({ domain, tags: [TAG], mode }),
  domain: ({ guard }, domain, mode) => guard.invalidateDomain(domain, { mode }),
};
const MODES = ['expire', 'remove', 'purge'] as const;

describe('read after invalidate: what a later reader gets', () => {
  for (const [scope, invalidate] of Object.entries(SCOPES)) {
    promise(3, `'never': in no process the old value, in no mode (${scope})`, ALL, async (fleet) => {
      const members = await fleet.startAll(3);
      for (const mode of MODES) {
        for (const { guard } of members) await guard.getOrLoad(BALANCE, async () => 'old');
        await invalidate(members[0]!, 'balances', mode);
        for (const { guard } of members) expect(await guard.peek(BALANCE)).toBeUndefined();
        const own = counted(() => `new, ${mode}`);
        const got = await Promise.all(members.map(({ guard }) => guard.getOrLoad(BALANCE, own)));
        expect(new Set(got)).toEqual(new Set([`new, ${mode}`]));
        expect(own.calls).toBe(1);
        await invalidate(members[1]!, 'balances', mode);
      }
    });

    promise(3, `stale policies: the old value, marked stale, in every process (${scope})`, ALL, async (fleet) => {
      const members = await fleet.startAll(3);
      for (const { guard } of members) await guard.getOrLoad(target('offers'), async () => 'old');
      await invalidate(members[0]!, 'offers', 'expire');
      const source = fleet.source<string>();
      for (const { guard } of members) {
        expect(await guard.peek(target('offers'))).toMatchObject({ value: 'old', state: 'stale' });
        const { value, served } = await guard.trace(() => guard.getOrLoad(target('offers'), source.load));
        expect(value).toBe('old');
        expect(served).toMatchObject([{ state: 'stale' }]);
      }
      (await source.call(1)).resolve('new');
      for (const { guard } of members) await until(async () => (await guard.peek(target('offers')))?.value === 'new');
    });

    promise(3, `stale policies: nothing of what was removed (${scope})`, BOTH, async (fleet) => {
      const members = await fleet.startAll(2);
      for (const domain of ['offers', 'rates']) {
        for (const mode of ['remove', 'purge'] as const) {
          await members[0]!.guard.getOrLoad(target(domain), async () => 'old');
          await invalidate(members[0]!, domain, mode);
          for (const { guard } of members) expect(await guard.peek(target(domain))).toBeUndefined();
          const failure = new Error('no source');
          const read = members[1]!.guard.getOrLoad(target(domain), () => Promise.reject(failure));
          await expect(read).rejects.toBe(failure);
        }
      }
    });
  }
});

describe('read after invalidate: who is served by a fenced load', () => {
  promise(3, 'who came before the loader was called is served, the others share one next load', ALL, async (fleet) => {
    const [a, b] = await fleet.pair();
    const source = fleet.source<string>();
    const held = a.store.delay('acquire');
    const early = Array.from({ length: 5 }, () => a.guard.getOrLoad(BALANCE, source.load));
    await held.struck;
    early.push(a.guard.getOrLoad(BALANCE, source.load));
    held.release();
    const first = await source.call(1);
    const between = Array.from({ length: 5 }, () => a.guard.getOrLoad(BALANCE, source.load));
    await settle();
    await b.guard.invalidate(BALANCE);
    const late = Array.from({ length: 5 }, () => a.guard.getOrLoad(BALANCE, source.load));
    first.resolve('old');
    expect(new Set(await Promise.all(early))).toEqual(new Set(['old']));
    (await source.call(2)).resolve('new');
    expect(new Set(await Promise.all([...between, ...late]))).toEqual(new Set(['new']));
    expect(source.calls).toHaveLength(2);
  });

  promise(3, 'the same when nobody knows what became of the commit', BOTH, async (fleet) => {
    const a = await fleet.start();
    const source = fleet.source<string>();
    const early = a.guard.getOrLoad(BALANCE, source.load);
    const first = await source.call(1);
    const between = a.guard.getOrLoad(BALANCE, source.load);
    await settle();
    a.store.fail('commit');
    first.resolve('old');
    expect(await early).toBe('old');
    (await source.call(2)).resolve('new');
    expect(await between).toBe('new');
  });

  for (const deaf of [false, true]) {
    const how = deaf ? ' (unheard)' : '';
    promise(3, `invalidations faster than loads: nobody waits for more than two loads${how}`, BOTH, async (fleet) => {
      const [a, b] = await fleet.pair();
      a.store.deaf = deaf;
      const source = fleet.source<number>();
      const served: { came: number; got: number }[] = [];
      const reads: Promise<void>[] = [];
      const read = (came: number): void => {
        const answered = a.guard.getOrLoad(BALANCE, source.load).then((got) => void served.push({ came, got }));
        reads.push(answered);
      };
      read(0);
      for (let round = 1; round <= 6; round++) {
        const load = await source.call(round);
        read(round);
        await settle();
        await b.guard.invalidate(BALANCE);
        load.resolve(round);
      }
      (await source.call(7)).resolve(7);
      await Promise.all(reads);
      for (const { came, got } of served) expect(got).toBe(came + 1);
      expect(source.calls).toHaveLength(7);
    });
  }

  promise(3, "nor does one who first waited for another process's load in vain", BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const others = fleet.source<string>();
    void a.guard.getOrLoad(BALANCE, others.load);
    await others.call(1);
    const own = fleet.source<string>();
    const read = b.guard.getOrLoad(BALANCE, own.load);
    await b.heard('lease', { outcome: 'refused' });
    const looksAgain = b.store.delay('read');
    await a.guard.invalidate(BALANCE);
    await looksAgain.struck;
    // Another load begins elsewhere before he can; it must not hold up who waited for one already.
    void a.guard.getOrLoad(BALANCE, others.load);
    await others.call(2);
    looksAgain.release();
    const load = await own.call(1);
    load.resolve('mine');
    expect(await read).toBe('mine');
  });
});

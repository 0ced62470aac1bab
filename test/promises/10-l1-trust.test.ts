import { describe, expect } from 'vitest';
import { settle, until, type Fleet, type Member } from './support/fleet.js';
import { GOLD, keep, near, OLD_FRESH, read, trust } from './support/l1.js';
import { MEMORY } from './support/promise.js';

/** A process that has the value in memory, and another one that changes it. */
async function kept(fleet: Fleet) {
  const [a, b] = [await near(fleet), await near(fleet)];
  await keep(b, GOLD);
  return { a, b };
}

/** Lets time pass until one more beat has come back. */
async function untilHeard(fleet: Fleet, { store }: Member, stepMs = 50): Promise<void> {
  const heard = store.said('heard');
  await until(async () => (await fleet.pass(stepMs), store.said('heard') > heard), 'a beat');
}

const down = () => Promise.reject<string>(new Error('no source'));

describe('trust in the memory of a process', () => {
  trust('what was read between a loss of signals and the next proof is not fresh', MEMORY, async (fleet) => {
    const { a, b } = await kept(fleet);
    b.store.tell({ kind: 'gap' });
    // No signal arrives until the subscription stands again, sooner than the next beat is due.
    b.store.deaf = true;
    expect(await read(b, GOLD)).toMatchObject({ value: 'old', from: 'l2' });
    await a.guard.invalidate(GOLD);
    b.store.deaf = false;
    await untilHeard(fleet, b);
    expect(await read(b, GOLD, 'new')).not.toEqual(OLD_FRESH);
  });

  trust('nor is what memory had before the loss', MEMORY, async (fleet) => {
    const { a, b } = await kept(fleet);
    b.store.deaf = true;
    await a.guard.invalidate(GOLD);
    b.store.deaf = false;
    b.store.tell({ kind: 'gap' });
    await untilHeard(fleet, b);
    expect(await read(b, GOLD, 'new')).not.toEqual(OLD_FRESH);
  });

  trust('nor is what was read before anything was heard at all', MEMORY, async (fleet) => {
    const a = await near(fleet);
    await a.guard.getOrLoad(GOLD, async () => 'old');
    // The first beat finds no server; what is signalled meanwhile is missed.
    const b = await near(fleet, {
      prepare: (store) => {
        store.deaf = true;
        store.loseReply('beat');
      },
    });
    await read(b, GOLD, 'old');
    await a.guard.invalidate(GOLD);
    b.store.deaf = false;
    await untilHeard(fleet, b);
    expect(await read(b, GOLD, 'new')).not.toEqual(OLD_FRESH);
  });

  trust('a reply that was asked for before the loss is not kept after it', MEMORY, async (fleet) => {
    const { a, b } = await kept(fleet);
    const reply = b.store.delayReply('read');
    await b.guard.invalidate(GOLD);
    const early = b.guard.getOrLoad(GOLD, async () => 'new');
    await reply.struck;
    b.store.deaf = true;
    await a.guard.put(GOLD, 'newer');
    b.store.deaf = false;
    b.store.tell({ kind: 'gap' });
    await untilHeard(fleet, b);
    reply.release();
    await early;
    expect((await read(b, GOLD)).value).toBe('newer');
  });

  trust('after a loss it is not fresh before the next read, though nothing else happened', MEMORY, async (fleet) => {
    const { b } = await kept(fleet);
    b.store.tell({ kind: 'gap' });
    expect(await read(b, GOLD)).toEqual({ ...OLD_FRESH, from: 'l2' });
  });

  trust('a loss is for good: a beat that was sent before it proves nothing', MEMORY, async (fleet) => {
    const { b } = await kept(fleet);
    const reply = b.store.delayReply('beat');
    const { beat } = b.store.calls;
    await until(async () => (await fleet.pass(10), b.store.calls.beat > beat));
    b.store.tell({ kind: 'gap' });
    reply.release();
    await settle();
    expect(b.store.said('heard')).toBeGreaterThan(1);
    await read(b, GOLD);
    expect(await read(b, GOLD)).toEqual({ ...OLD_FRESH, from: 'l2' });
  });

  trust('one beat that was sent and not heard: what else was said meanwhile may be missing', MEMORY, async (fleet) => {
    const { a, b } = await kept(fleet);
    b.store.deaf = true;
    await a.guard.invalidate(GOLD);
    const { beat } = b.store.calls;
    await until(async () => (await fleet.pass(10), b.store.calls.beat > beat));
    b.store.deaf = false;
    // Proven alive without a break: 900 ms have not passed.
    await untilHeard(fleet, b, 10);
    expect(await read(b, GOLD, 'new')).not.toEqual(OLD_FRESH);
  });

  trust('a beat vouches for what was said before it was sent, however late it comes', MEMORY, async (fleet) => {
    const { a, b } = await kept(fleet);
    const reply = b.store.delayReply('beat');
    const { beat } = b.store.calls;
    await until(async () => (await fleet.pass(10), b.store.calls.beat > beat));
    b.store.deaf = true;
    await a.guard.invalidate(GOLD);
    b.store.deaf = false;
    // Less than a second after the answer before it, or the silence alone would end all trust.
    await fleet.pass(700);
    reply.release();
    await settle();
    expect(await read(b, GOLD, 'new')).toEqual(OLD_FRESH);
    // 900 ms after it was sent, and sooner than the next one goes out.
    await fleet.pass(205);
    expect(await read(b, GOLD, 'new')).not.toEqual(OLD_FRESH);
  });

  trust('where nothing arrives any more, nothing is fresh after a second', MEMORY, async (fleet) => {
    const { a, b } = await kept(fleet);
    b.store.deaf = true;
    await a.guard.invalidate(GOLD);
    expect(await read(b, GOLD, 'new')).toEqual(OLD_FRESH);
    await fleet.pass(999);
    expect(await read(b, GOLD, 'new')).not.toEqual(OLD_FRESH);
    await fleet.pass(300);
    expect(b.all('l1-trust').map(({ trusted }) => trusted)).toEqual([true, false]);
  });

  trust('while the process stands still, so does its trust', MEMORY, async (fleet) => {
    const { a, b } = await kept(fleet);
    b.store.deaf = true;
    await a.guard.invalidate(GOLD);
    // Timers that are due run before anything that came over a socket meanwhile.
    fleet.clock.advance(900);
    expect(await read(b, GOLD, 'new')).not.toEqual(OLD_FRESH);
  });

  trust('nor does a machine that was suspended wake up with it', MEMORY, async (fleet) => {
    const { a, b } = await kept(fleet);
    b.store.deaf = true;
    await a.guard.invalidate(GOLD);
    fleet.clock.jumpWall(900);
    expect(await read(b, GOLD, 'new')).not.toEqual(OLD_FRESH);
  });

  trust('after the store was away, memory is not fresher than the store', MEMORY, async (fleet) => {
    const { a, b } = await kept(fleet);
    b.store.down();
    a.store.down();
    await fleet.pass(1_000);
    expect(b.all('store-state').at(-1)).toMatchObject({ state: 'away' });
    expect(await a.guard.invalidate(GOLD)).toEqual({ outcome: 'pending' });
    // The other one does not reach the store yet.
    b.store.heal();
    await until(async () => (await fleet.pass(5), b.all('store-state').at(-1)?.state === 'settling'));
    for (let i = 0; i < 3; i++) expect((await read(b, GOLD)).state).toBe('stale');
  });

  trust('it comes back by itself', MEMORY, async (fleet) => {
    const { b } = await kept(fleet);
    b.store.deaf = true;
    await fleet.pass(2_000);
    expect(await read(b, GOLD)).toEqual({ ...OLD_FRESH, from: 'l2' });
    expect(await read(b, GOLD)).toEqual({ ...OLD_FRESH, from: 'l2' });
    b.store.deaf = false;
    await untilHeard(fleet, b);
    await keep(b, GOLD);
    await b.heard('l1-trust', { trusted: true }, 2);
  });
});

describe('what a memory that is not trusted is good for', () => {
  const DEAR = { domain: 'prices', key: 'gold' };

  trust('the store is asked as long as it answers', MEMORY, async (fleet) => {
    const { b } = await kept(fleet);
    b.store.deaf = true;
    await fleet.pass(1_000);
    const reads = b.store.calls.read;
    for (let i = 1; i <= 3; i++) expect(await read(b, GOLD)).toEqual({ ...OLD_FRESH, from: 'l2' });
    expect(b.store.calls.read).toBe(reads + 3);
  });

  trust('without it, old values are served as stale and not refreshed before they must be', MEMORY, async (fleet) => {
    const { b } = await kept(fleet);
    b.store.down();
    await fleet.pass(1_000);
    expect(await read(b, GOLD, 'new')).toEqual({ value: 'old', from: 'l1', state: 'stale' });
    expect(b.all('load')).toHaveLength(1);
    await fleet.pass(60_000);
    expect(await read(b, GOLD, 'new')).toEqual({ value: 'old', from: 'l1', state: 'stale' });
    await b.heard('load', { background: true, outcome: 'value' });
    expect(await read(b, GOLD, 'newer')).toEqual({ value: 'new', from: 'l1', state: 'stale' });
  });

  trust('within the windows of the policy only', MEMORY, async (fleet) => {
    const { b } = await kept(fleet);
    await keep(b, DEAR);
    b.store.down();
    await fleet.pass(1_000);
    // Under if-error a load comes first; the old value stands in for one that failed.
    expect(await read(b, DEAR, 'new')).toMatchObject({ value: 'new', from: 'load' });
    await fleet.pass(598_000);
    await expect(b.guard.getOrLoad(GOLD, down)).resolves.toBe('old');
    expect(b.all('hit').at(-1)).toMatchObject({ tier: 'l1', state: 'stale' });
    await fleet.pass(2_000);
    await expect(b.guard.getOrLoad(GOLD, down)).rejects.toThrow('no source');
  });

  trust('under if-error it stands in for a load that failed', MEMORY, async (fleet) => {
    const b = await near(fleet);
    await keep(b, DEAR);
    b.store.down();
    await fleet.pass(1_000);
    await expect(b.guard.getOrLoad(DEAR, down)).resolves.toBe('old');
    expect(b.all('hit').at(-1)).toMatchObject({ tier: 'l1', state: 'stale-on-error' });
  });

  trust('absence is asked for again', MEMORY, async (fleet) => {
    const b = await near(fleet);
    await keep(b, GOLD, null);
    b.store.down();
    await fleet.pass(1_000);
    expect(await read(b, GOLD, 'new')).toMatchObject({ value: 'new', from: 'load' });
  });

  trust(
    'a store that is slow keeps nobody longer than the soft time-out who may have the old',
    MEMORY,
    async (fleet) => {
      const { b } = await kept(fleet);
      b.store.deaf = true;
      await fleet.pass(1_000);
      const hung = b.store.delay('read', Infinity);
      const slow = read(b, GOLD);
      await hung.struck;
      await fleet.pass(500);
      expect(await slow).toMatchObject({ value: 'old', from: 'l1', state: 'stale' });
    },
  );
});

describe('what trust costs', () => {
  trust('a beat each quarter of a second, and nothing else, whatever lies in memory', MEMORY, async (fleet) => {
    const { b } = await kept(fleet);
    const before = { ...b.store.calls };
    await fleet.pass(25_000);
    const { beat, ...others } = b.store.calls;
    expect(beat - before.beat).toBeGreaterThanOrEqual(90);
    expect(beat - before.beat).toBeLessThanOrEqual(112);
    expect({ ...before, beat: 0 }).toEqual({ ...others, beat: 0 });
  });

  trust('a process without memory of values beats as well, and leaves no timer when it ends', MEMORY, async (fleet) => {
    const { a, b } = await kept(fleet);
    await fleet.pass(1_000);
    for (const { guard } of [a, b]) await guard.close();
    expect(fleet.clock.pending).toBe(0);
    const beats = a.store.calls.beat + b.store.calls.beat;
    await fleet.pass(5_000);
    expect(a.store.calls.beat + b.store.calls.beat).toBe(beats);
  });
});

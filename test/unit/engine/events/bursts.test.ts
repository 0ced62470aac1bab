import * as fc from 'fast-check';
import { FakeClock } from 'nestjs-cache-guard/testing';
import { describe, expect, it } from 'vitest';
import { Bursts } from '../../../../lib/engine/events/bursts.js';
import { gate } from '../../../promises/support/source.js';

const WINDOW_MS = 50;

interface Want {
  readonly target: string;
  readonly ids: readonly number[];
}

/** Bursts of lists of numbers, and what was run of them. */
function setUp(run?: (wanted: readonly Want[]) => Promise<readonly string[]>) {
  const clock = new FakeClock();
  const runs: Want[][] = [];
  const bursts = new Bursts<Want, string>(
    clock,
    WINDOW_MS,
    ({ target, ids }, later) => ({ target, ids: [...ids, ...later.ids] }),
    async (wanted) => {
      runs.push([...wanted]);
      return run ? run(wanted) : wanted.map(({ target, ids }) => `${target} ${ids.join()}`);
    },
  );
  let last = 0;
  const submit = (target = 'a') => bursts.submit(target, { target, ids: [++last] });
  return { clock, bursts, runs, submit };
}

describe('a burst', () => {
  it('begins at once, and what follows within the window is one', async () => {
    const { clock, runs, submit } = setUp();
    const results = [submit(), submit(), submit()];
    expect(await results[0]).toBe('a 1');
    await clock.run(WINDOW_MS - 1);
    results.push(submit());
    expect(runs).toHaveLength(1);
    await clock.run(1);
    expect(await Promise.all(results)).toEqual(['a 1', 'a 2,3,4', 'a 2,3,4', 'a 2,3,4']);
  });

  it('goes on in windows as long as something comes, and begins at once after a silence', async () => {
    const { clock, runs, submit } = setUp();
    void submit();
    for (let i = 0; i < 10; i++) {
      await clock.run(WINDOW_MS / 2);
      void submit();
    }
    await clock.run(2 * WINDOW_MS);
    expect(runs.map(([want]) => want!.ids.length)).toEqual([1, 1, 2, 2, 2, 2, 1]);
    expect(clock.pending).toBe(0);
    expect(await submit()).toBe('a 12');
  });

  it('is of one target: others begin at once, and run together', async () => {
    const { clock, runs, submit } = setUp();
    expect(await Promise.all([submit('a'), submit('b')])).toEqual(['a 1', 'b 2']);
    const later = [submit('a'), submit('b'), submit('c')];
    expect(await later[2]).toBe('c 5');
    await clock.run(WINDOW_MS);
    expect(await Promise.all(later)).toEqual(['a 3', 'b 4', 'c 5']);
    expect(runs.map((wanted) => wanted.length)).toEqual([2, 1, 2]);
  });

  it('lets nothing join what has begun, however long it takes', async () => {
    const hold = gate();
    const { clock, runs, submit } = setUp(async (wanted) => (await hold.opened, wanted.map(({ ids }) => ids.join())));
    const first = submit();
    await clock.run(0);
    const second = submit();
    await clock.run(WINDOW_MS);
    const third = submit();
    await clock.run(WINDOW_MS);
    expect(runs.map(([want]) => want!.ids)).toEqual([[1], [2], [3]]);
    hold.open();
    expect(await Promise.all([first, second, third])).toEqual(['1', '2', '3']);
  });

  it('that fails fails for all who wanted something of it, and for nobody else', async () => {
    const { clock, submit } = setUp(async (wanted) => {
      if (wanted.some(({ ids }) => ids.includes(2))) throw new Error('two');
      return wanted.map(({ ids }) => ids.join());
    });
    const results = Promise.allSettled([submit(), submit(), submit()]);
    await clock.run(WINDOW_MS);
    expect((await results).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
    expect(await submit('b')).toBe('4');
  });

  it('ends when it is closed: what waits is done, what comes later is done at once, and no timer is left', async () => {
    const { clock, bursts, submit } = setUp();
    const results = [submit(), submit(), submit('b'), submit('b')];
    bursts.close();
    expect(await Promise.all(results)).toEqual(['a 1', 'a 2', 'b 3', 'b 4']);
    expect(await Promise.all([submit(), submit()])).toEqual(['a 5', 'a 6']);
    expect(clock.pending).toBe(0);
  });

  it('is waited for by who wants something at its end, and else by nobody', async () => {
    const { clock, submit } = setUp();
    await submit();
    expect([clock.pending, clock.awaited]).toEqual([1, 0]);
    const second = submit();
    expect([clock.pending, clock.awaited]).toEqual([1, 1]);
    await clock.run(WINDOW_MS);
    await second;
    expect([clock.pending, clock.awaited]).toEqual([1, 0]);
  });

  it('does not wait for a window that was opened later, when a timer is late', async () => {
    let now = 0;
    let due = (): void => {};
    const clock = {
      monotonic: () => now,
      wall: () => now,
      schedule: (_: number, run: () => void) => ((due = run), () => {}),
    };
    const done: string[] = [];
    const run = async (wanted: readonly string[]) => (done.push(...wanted), wanted);
    const bursts = new Bursts<string, string>(clock, WINDOW_MS, (_, later) => later, run);
    await Promise.all([bursts.submit('a', 'a1'), bursts.submit('b', 'b1')]);
    const waiting = bursts.submit('b', 'b2');
    now = WINDOW_MS;
    await bursts.submit('a', 'a2');
    due();
    expect(await waiting).toBe('b2');
    expect(done).toEqual(['a1', 'b1', 'a2', 'b2']);
  });

  it('does all that is wanted, once, in the order in which it was wanted of a target, and keeps nothing', async () => {
    const step = fc.record({
      target: fc.constantFrom('a', 'b', 'c', 'd'),
      pauseMs: fc.constantFrom(0, 0, 0, 1, 20, 60),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { clock, bursts, runs, submit } = setUp();
        const wanted = new Map<string, number[]>();
        const results: Promise<string>[] = [];
        for (const [i, { target, pauseMs }] of steps.entries()) {
          wanted.set(target, [...(wanted.get(target) ?? []), i + 1]);
          results.push(submit(target));
          if (pauseMs > 0) await clock.run(pauseMs);
        }
        await clock.run(2 * WINDOW_MS);
        const done = new Map<string, number[]>();
        for (const { target, ids } of runs.flat()) done.set(target, [...(done.get(target) ?? []), ...ids]);
        expect(done).toEqual(wanted);
        const told = await Promise.all(results);
        steps.forEach(({ target }, i) => expect(told[i]).toMatch(new RegExp(`^${target} (.*,)?${i + 1}(,.*)?$`)));
        expect(clock.pending).toBe(0);
        expect((bursts as unknown as { slots: Map<string, unknown> }).slots.size).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});

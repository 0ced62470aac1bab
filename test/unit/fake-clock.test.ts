import { FakeClock } from 'nestjs-cache-guard/testing';
import { describe, expect, it } from 'vitest';
import { elapsedSince, instant } from '../../lib/core/clock.js';

describe('FakeClock', () => {
  it('stands still until it is told to move, and then moves both times', () => {
    const clock = new FakeClock(5_000);
    expect([clock.monotonic(), clock.wall()]).toEqual([0, 5_000]);
    clock.advance(250);
    expect([clock.monotonic(), clock.wall()]).toEqual([250, 5_250]);
  });

  it('runs timers in the order of their time, then of their setting, each at its time', () => {
    const clock = new FakeClock();
    const ran: string[] = [];
    for (const [name, ms] of [
      ['c', 30],
      ['a', 10],
      ['late', 41],
      ['b1', 20],
      ['b2', 20],
    ] as const) {
      clock.schedule(ms, () => ran.push(`${name}@${clock.monotonic()}`));
    }
    clock.advance(40);
    expect(ran).toEqual(['a@10', 'b1@20', 'b2@20', 'c@30']);
    expect(clock.pending).toBe(1);
    clock.advance(1);
    expect(ran.at(-1)).toBe('late@41');
    expect(clock.pending).toBe(0);
  });

  it('runs a timer once, and not when it was cancelled', () => {
    const clock = new FakeClock();
    const ran: string[] = [];
    clock.schedule(10, () => ran.push('kept'));
    const cancel = clock.schedule(10, () => ran.push('cancelled'));
    cancel();
    cancel();
    clock.advance(100);
    expect(ran).toEqual(['kept']);
  });

  it('lets a timer cancel another, and set others that come due meanwhile', () => {
    const clock = new FakeClock();
    const ran: number[] = [];
    const cancel = clock.schedule(20, () => ran.push(-1));
    const again = (): void => {
      ran.push(clock.monotonic());
      cancel();
      clock.schedule(10, again);
    };
    clock.schedule(10, again);
    clock.advance(35);
    expect(ran).toEqual([10, 20, 30]);
  });

  it('never comes to an end of time that does not pass', () => {
    const clock = new FakeClock();
    let ran = 0;
    const again = (): void => {
      ran++;
      clock.schedule(0, again);
    };
    again();
    clock.advance(3);
    expect(ran).toBe(4);
  });

  it('lets promises go on between timers when it runs', async () => {
    const clock = new FakeClock();
    const sleep = (ms: number): Promise<void> => new Promise((resolve) => clock.schedule(ms, resolve));
    const woke: number[] = [];
    const work = async (): Promise<void> => {
      for (let i = 0; i < 3; i++) {
        await sleep(10);
        woke.push(clock.monotonic());
      }
    };
    const done = work();
    await clock.run(35);
    await done;
    expect(woke).toEqual([10, 20, 30]);
    expect(clock.monotonic()).toBe(35);
  });

  it('sets the wall clock without passing time', () => {
    const clock = new FakeClock(5_000);
    let ran = false;
    clock.schedule(100, () => (ran = true));
    const start = instant(clock);
    clock.jumpWall(1_000);
    expect(elapsedSince(start, clock)).toBe(1_000);
    clock.jumpWall(-3_000);
    expect([clock.monotonic(), clock.wall(), elapsedSince(start, clock)]).toEqual([0, 3_000, 0]);
    expect(ran).toBe(false);
  });
});

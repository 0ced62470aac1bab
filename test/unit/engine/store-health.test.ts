import { setImmediate } from 'node:timers/promises';
import { ChaosStore, FakeClock } from 'nestjs-cache-guard/testing';
import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../lib/adapters/memory/memory-store.js';
import type { CacheGuardEvent } from '../../../lib/core/events.js';
import { LIVE_MS, type BeatReply, type BeatRequest } from '../../../lib/core/store.js';
import { Trust } from '../../../lib/core/trust.js';
import { EventHub } from '../../../lib/engine/event-hub.js';
import { BEAT_MS, StoreHealth } from '../../../lib/engine/store-health.js';

/** A store's answer to a beat, or that there is none. */
type Answer = BeatReply | 'away';

interface Bench {
  readonly health: StoreHealth;
  readonly clock: FakeClock;
  readonly store: ChaosStore;
  readonly trust: Trust;
  readonly requests: BeatRequest[];
  readonly pending: { size: number };
  readonly carried: { times: number; done: boolean };
  answer: Answer;
  /** Ends beats that are under way when it is set; without it, beats are answered at once. */
  held: Promise<void> | undefined;
  readonly states: () => string[];
  /** Lets a few beats pass. */
  readonly beats: (count?: number) => Promise<void>;
}

const ALONE: BeatReply = { live: 1, unsettled: 0 };

function setup(remote = true): Bench {
  const clock = new FakeClock();
  const hub = new EventHub();
  const trust = new Trust(clock);
  const events: CacheGuardEvent[] = [];
  hub.on((event) => events.push(event));
  const requests: BeatRequest[] = [];
  const inner = new MemoryStore({ clock });
  inner.beat = async (request?: BeatRequest) => {
    requests.push(request!);
    const { answer } = bench;
    await bench.held;
    if (answer === 'away') throw new Error('away');
    return answer;
  };
  const store = new ChaosStore(inner, remote);
  store.onSignal((signal) => {
    if (signal.kind === 'heard') trust.heard(signal.beat);
  });
  const pending = { size: 0 };
  const carried = { times: 0, done: true };
  const carryOut = async (): Promise<boolean> => {
    carried.times++;
    if (carried.done) pending.size = 0;
    return carried.done;
  };
  const ids = { random: () => 0.5 };
  const bench: Bench = {
    health: new StoreHealth({ store, clock, ids, hub, trust, pending, carryOut }),
    clock,
    store,
    trust,
    requests,
    pending,
    carried,
    answer: ALONE,
    held: undefined,
    states: () => events.flatMap((event) => (event.type === 'store-state' ? [event.state] : [])),
    beats: (count = 1) => clock.run(count * BEAT_MS),
  };
  return bench;
}

/** One that was away for a second and has just been found again, in a fleet of `live`. */
async function settling(live: number): Promise<Bench> {
  const bench = setup();
  bench.answer = { live, unsettled: 0 };
  await bench.health.start();
  bench.answer = 'away';
  await bench.beats(4);
  bench.answer = { live, unsettled: live - 1 };
  while (!bench.states().includes('settling')) await bench.clock.run(10);
  return bench;
}

describe('StoreHealth', () => {
  it('asks a store that answers four times a second, with numbers that grow by one', async () => {
    const { health, beats, requests, states } = setup();
    await health.start();
    await beats(8);
    expect(requests.map(({ beat }) => beat)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(requests.every(({ settled, outage }) => settled && outage === undefined)).toBe(true);
    expect(health.away).toBe(false);
    expect(states().filter((state) => state !== 'up')).toEqual([]);
  });

  it('asks more often while it is away, so that its return is noticed soon', async () => {
    const bench = setup();
    await bench.health.start();
    bench.answer = 'away';
    await bench.beats(4);
    const before = bench.requests.length;
    await bench.clock.run(1_000);
    expect(bench.requests.length - before).toBeGreaterThanOrEqual(9);
  });

  it('a lone process is back as soon as the store has answered', async () => {
    const bench = await settling(1);
    await bench.clock.run(120);
    expect(bench.states().slice(-3)).toEqual(['away', 'settling', 'up']);
  });

  it('doubts all that was cached, and after the return what began before it, until all have settled', async () => {
    const bench = setup();
    bench.answer = { live: 2, unsettled: 0 };
    await bench.health.start();
    const now = (): number => bench.clock.wall();
    expect(bench.health.doubts(now() - 1, now())).toBe(false);
    bench.answer = 'away';
    await bench.beats(4);
    expect(bench.health.doubts(now(), now())).toBe(true);
    bench.answer = { live: 2, unsettled: 1 };
    while (!bench.states().includes('settling')) await bench.clock.run(10);
    const backMs = now();
    await bench.clock.run(500);
    expect([bench.health.doubts(backMs - 20, now()), bench.health.doubts(backMs + 20, now())]).toEqual([true, false]);
    bench.answer = { live: 2, unsettled: 0 };
    await bench.clock.run(120);
    expect(bench.states().at(-1)).toBe('up');
    expect(bench.health.doubts(backMs - 20, now())).toBe(false);
  });

  it('asks who has settled since the return', async () => {
    const bench = await settling(2);
    await bench.clock.run(500);
    const { backForMs } = bench.requests.at(-1)!.outage!;
    expect(backForMs).toBeGreaterThan(380);
    expect(backForMs).toBeLessThanOrEqual(500);
  });

  it('waits for processes that died with the store only as long as a process counts as alive', async () => {
    const bench = await settling(4);
    await bench.clock.run(LIVE_MS - 50);
    expect(bench.states().at(-1)).toBe('settling');
    await bench.clock.run(200);
    expect(bench.states().at(-1)).toBe('up');
  });

  it('waits for processes that were alive before the outage though they have not beaten since', async () => {
    const bench = await settling(3);
    bench.answer = { live: 1, unsettled: 2 };
    await bench.clock.run(500);
    expect(bench.states().at(-1)).toBe('settling');
    expect(bench.health.live).toBe(3);
  });

  it('a process that began while the store was away waits for those that it never heard of', async () => {
    const bench = setup();
    bench.answer = 'away';
    await bench.health.start();
    bench.answer = ALONE;
    await bench.clock.run(1_000);
    expect(bench.states().at(-1)).toBe('settling');
    await bench.clock.run(LIVE_MS);
    expect(bench.states().at(-1)).toBe('up');
  });

  it('carries out what is pending before it says that it has settled', async () => {
    const bench = setup();
    await bench.health.start();
    bench.answer = 'away';
    await bench.beats(2);
    bench.pending.size = 3;
    await bench.beats(2);
    expect(bench.carried.times).toBe(0);
    bench.carried.done = false;
    bench.answer = { live: 2, unsettled: 1 };
    await bench.clock.run(500);
    expect(bench.carried.times).toBeGreaterThan(1);
    expect(bench.requests.slice(-3).map(({ settled }) => settled)).toEqual([false, false, false]);
    bench.carried.done = true;
    await bench.clock.run(240);
    expect(bench.requests.at(-1)).toMatchObject({ settled: true });
  });

  it('is back though something cannot be carried out: the store answers, and that is known to be out of date', async () => {
    const bench = setup();
    await bench.health.start();
    bench.answer = 'away';
    await bench.beats(2);
    bench.pending.size = 1;
    bench.carried.done = false;
    bench.answer = ALONE;
    await bench.clock.run(LIVE_MS + 1_000);
    expect(bench.health.away).toBe(false);
    expect(bench.health.doubts(bench.clock.wall() - 10, bench.clock.wall())).toBe(false);
  });

  it('an answer to a beat from before a loss does not tell of the return', async () => {
    const bench = setup();
    await bench.health.start();
    let answer = (): void => {};
    bench.held = new Promise((resolve) => (answer = resolve));
    await bench.beats(2);
    bench.health.lost();
    answer();
    await setImmediate();
    expect(bench.states().at(-1)).toBe('away');
    bench.held = undefined;
    await bench.clock.run(120);
    expect(bench.states().at(-1)).toBe('settling');
  });

  it('a second loss while it settles begins anew', async () => {
    const bench = await settling(2);
    await bench.clock.run(LIVE_MS - 500);
    bench.health.lost();
    expect(bench.states().at(-1)).toBe('away');
    expect(bench.health.doubts(bench.clock.wall(), bench.clock.wall())).toBe(true);
    await bench.clock.run(1_000);
    expect(bench.states().at(-1)).toBe('settling');
    await bench.clock.run(LIVE_MS);
    expect(bench.states().at(-1)).toBe('up');
  });

  it('carries out a single invalidation that failed without an outage, within a second', async () => {
    const bench = setup();
    await bench.health.start();
    bench.pending.size = 1;
    bench.health.nudge();
    await bench.clock.run(1_000);
    expect(bench.carried.times).toBe(1);
    expect(bench.states().filter((state) => state !== 'up')).toEqual([]);
  });

  it('a store in this process is asked for nothing, and tried again while something is pending', async () => {
    const { health, clock, requests, pending, carried } = setup(false);
    await health.start();
    await clock.run(5_000);
    expect([requests.length, clock.pending]).toEqual([0, 0]);
    pending.size = 1;
    carried.done = false;
    health.nudge();
    await clock.run(1_000);
    expect(carried.times).toBeGreaterThan(1);
    carried.done = true;
    await clock.run(1_000);
    expect([requests.length, clock.pending]).toEqual([0, 0]);
  });

  it('says when memory may serve as fresh, and when no longer', async () => {
    const bench = setup();
    await bench.health.start();
    expect(bench.trust.alive).toBe(true);
    bench.store.deaf = true;
    await bench.beats(8);
    expect(bench.trust.alive).toBe(false);
    expect(bench.health.away).toBe(false);
  });

  it('leaves no timer when it is closed, whatever is under way', async () => {
    const bench = setup();
    await bench.health.start();
    let answer = (): void => {};
    bench.held = new Promise((resolve) => (answer = resolve));
    await bench.beats(2);
    bench.health.close();
    answer();
    await setImmediate();
    expect(bench.clock.pending).toBe(0);
    await bench.beats(4);
    expect(bench.clock.pending).toBe(0);
  });
});

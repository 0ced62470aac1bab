import { FakeClock } from 'nestjs-cache-guard/testing';
import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../lib/adapters/memory/memory-store.js';
import { encodeEntry } from '../../lib/core/entry.js';
import type { AcquireReply, AcquireRequest } from '../../lib/core/store.js';

let tokens = 0;

function request(key: string, over: Partial<AcquireRequest> = {}): AcquireRequest {
  return {
    key,
    token: `t${++tokens}`,
    generations: [],
    generationTtlMs: 60_000,
    seenId: undefined,
    leaseMs: 1_000,
    mode: 'exclusive',
    honourBackoff: false,
    ...over,
  };
}

async function granted(store: MemoryStore, over: AcquireRequest): Promise<Extract<AcquireReply, { kind: 'granted' }>> {
  const reply = await store.acquire(over);
  if (reply.kind !== 'granted') throw new Error(`expected a grant, got ${reply.kind}`);
  return reply;
}

async function fill(store: MemoryStore, key: string): Promise<void> {
  const wanted = request(key);
  const { epoch, nowMs } = await granted(store, wanted);
  const beganMs = Math.floor(nowMs);
  const times = {
    beganMs,
    softMs: beganMs + 60_000,
    hardMs: beganMs + 60_000,
    loadMs: 0,
    whileRevalidateMs: 0,
    ifErrorMs: 0,
  };
  const bytes = encodeEntry({
    id: '00000000000000aa',
    flags: 0,
    codec: 1,
    version: undefined,
    etag: undefined,
    epoch,
    schema: 1,
    stamps: [],
    provenance: 'test',
    payload: Buffer.from(key),
    ...times,
  });
  const { hardMs } = times;
  const { outcome } = await store.commit({ ...wanted, epoch, kind: 'fill', bytes, hardMs, versionWindowMs: 0 });
  expect(outcome).toBe('committed');
}

describe('MemoryStore', () => {
  it('keeps the most recently used entries', async () => {
    const store = new MemoryStore({ clock: new FakeClock(), maxEntries: 3 });
    for (const key of ['a', 'b', 'c']) await fill(store, key);
    await store.read('a', []);
    await fill(store, 'd');
    const kept = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (key) => (await store.read(key, [])).bytes !== undefined),
    );
    expect(kept).toEqual([true, false, true, true]);
  });

  it('keeps what is remembered of keys within bounds', async () => {
    const store = new MemoryStore({ clock: new FakeClock(), maxEntries: 10 });
    const holders = Array.from({ length: 1_001 }, (_, i) => request(`k${i}`, { generations: [`t:d:s.${i}`] }));
    for (const holder of holders) await granted(store, holder);
    expect(await store.renew('k0', holders[0]!.token, 1_000)).toBe(false);
    expect(await store.renew('k1', holders[1]!.token, 1_000)).toBe(true);
  });

  it('refuses a bound that is none', () => {
    expect(() => new MemoryStore({ clock: new FakeClock(), maxEntries: -1 })).toThrow(TypeError);
  });

  it('has an epoch that can be chosen', async () => {
    const store = new MemoryStore({ clock: new FakeClock(), epoch: 77 });
    expect((await store.read('a', [])).epoch).toBe(77);
    expect((await granted(store, request('a'))).epoch).toBe(77);
  });

  it('starts with the wall clock, in whole milliseconds', async () => {
    const clock = new FakeClock(1_000_000);
    const store = new MemoryStore({ clock });
    clock.advance(1.75);
    expect(store.now()).toBe(1_000_001);
    expect((await store.read('a', [])).nowMs).toBe(1_000_001);
  });

  it('orders what happens while the clock stands still', async () => {
    const store = new MemoryStore({ clock: new FakeClock() });
    const atMs: number[] = [];
    store.onSignal((signal) => signal.kind === 'invalidated' && atMs.push(signal.atMs));
    const times: number[] = [];
    for (let i = 0; i < 50; i++) {
      times.push((await granted(store, request('a'))).nowMs);
      await store.invalidate('a', 'expire');
      times.push(atMs.at(-1)!);
    }
    expect(times).toEqual([...new Set(times)].toSorted((a, b) => a - b));
    expect(store.now()).toBeGreaterThanOrEqual(Math.floor(times.at(-1)!));
  });

  it('goes by the wall clock when the machine slept', () => {
    const clock = new FakeClock(0);
    const store = new MemoryStore({ clock });
    clock.jumpWall(3_600_000);
    expect(store.now()).toBe(3_600_000);
  });

  it('neither goes back nor stands still when the wall clock is set back', () => {
    const clock = new FakeClock(10_000);
    const store = new MemoryStore({ clock });
    clock.jumpWall(3_600_000);
    expect(store.now()).toBe(3_610_000);
    clock.jumpWall(-3_600_000);
    expect(store.now()).toBe(3_610_000);
    clock.advance(500);
    expect(store.now()).toBe(3_610_500);
    clock.jumpWall(-10_000);
    clock.advance(500);
    expect(store.now()).toBe(3_611_000);
  });

  it('tells every listener before the caller knows, and never from within the call', async () => {
    const store = new MemoryStore({ clock: new FakeClock() });
    const order: string[] = [];
    store.onSignal(() => order.push('first'));
    store.onSignal(() => order.push('second'));
    const done = store.invalidate('a', 'expire').then(() => order.push('resolved'));
    order.push('called');
    await done;
    expect(order).toEqual(['called', 'first', 'second', 'resolved']);
  });

  it('sweeps many entries without holding up the process', async () => {
    const store = new MemoryStore({ clock: new FakeClock() });
    for (let i = 0; i < 1_000; i++) await fill(store, `d:::s.${i}`);
    let turns = 0;
    const turn = (): void => {
      turns++;
      timer = setImmediate(turn);
    };
    let timer = setImmediate(turn);
    expect(await store.sweep('d', () => true)).toBe(1_000);
    clearImmediate(timer);
    expect(turns).toBeGreaterThan(1);
  });

  it('ends a sweep when it is closed', async () => {
    const store = new MemoryStore({ clock: new FakeClock() });
    for (let i = 0; i < 600; i++) await fill(store, `d:::s.${i}`);
    const sweep = store.sweep('d', () => true);
    await Promise.all([expect(sweep).rejects.toMatchObject({ code: 'CG_STORE_UNAVAILABLE' }), store.close()]);
  });
});

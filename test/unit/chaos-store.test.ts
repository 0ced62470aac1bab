import { ChaosStore, FakeClock } from 'nestjs-cache-guard/testing';
import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../lib/adapters/memory/memory-store.js';
import type { Signal } from '../../lib/core/store.js';

const KEY = 'offers:::s.gold';
const TAG = 't:offers:s.gold';
const refused = { code: 'CG_STORE_UNAVAILABLE' };

function setup(): {
  inner: MemoryStore;
  store: ChaosStore;
  heard: Signal[];
  advance: () => Promise<void>;
  value: () => Promise<unknown>;
} {
  const inner = new MemoryStore({ clock: new FakeClock() });
  const store = new ChaosStore(inner);
  const heard: Signal[] = [];
  store.onSignal((signal) => heard.push(signal));
  return {
    inner,
    store,
    heard,
    advance: () => store.advance(TAG, 'expire', 1_000),
    value: async () => (await inner.read(KEY, [TAG])).generations.get(TAG),
  };
}

describe('ChaosStore', () => {
  it('does what the inner store does, and counts', async () => {
    const { store, advance, value, heard } = setup();
    await store.open();
    await advance();
    expect(await value()).toBeDefined();
    expect(heard).toHaveLength(1);
    expect(store.calls).toMatchObject({ advance: 1, read: 0 });
    expect(store.now(KEY)).toBeGreaterThan(0);
  });

  it('fails as many calls as it was told, of the operation it was told', async () => {
    const { store, advance, value } = setup();
    const fault = store.fail('advance', 2);
    await expect(advance()).rejects.toMatchObject(refused);
    await fault.struck;
    await expect(advance()).rejects.toMatchObject(refused);
    expect(await value()).toBeUndefined();
    await store.read(KEY, []);
    await advance();
    expect(await value()).toBeDefined();
  });

  it('loses a reply: what was asked for is done', async () => {
    const { store, advance, value } = setup();
    store.loseReply('advance');
    await expect(advance()).rejects.toMatchObject(refused);
    expect(await value()).toBeDefined();
  });

  it('delays a call until it is released', async () => {
    const { store, advance, value } = setup();
    const fault = store.delay('advance');
    const slow = advance();
    await fault.struck;
    expect(await value()).toBeUndefined();
    fault.release();
    await slow;
    expect(await value()).toBeDefined();
  });

  it('delays a reply: what was asked for is done before the caller hears of it', async () => {
    const { store, advance, value } = setup();
    const fault = store.delayReply('advance');
    let answered = false;
    const slow = advance().then(() => (answered = true));
    await fault.struck;
    expect(await value()).toBeDefined();
    expect(answered).toBe(false);
    fault.release();
    await slow;
  });

  it('hangs until it is closed', async () => {
    const { store, advance, inner } = setup();
    const fault = store.hang('advance');
    const slow = advance();
    await fault.struck;
    await Promise.all([expect(slow).rejects.toMatchObject(refused), store.close()]);
    await expect(inner.read(KEY, [])).rejects.toMatchObject(refused);
  });

  it('lets faults strike in the order in which they were planned', async () => {
    const { store, advance, value } = setup();
    store.fail('advance');
    store.loseReply('advance');
    await expect(advance()).rejects.toMatchObject(refused);
    expect(await value()).toBeUndefined();
    await expect(advance()).rejects.toMatchObject(refused);
    expect(await value()).toBeDefined();
    await advance();
  });

  it('goes down, and heals: then also what waits goes on', async () => {
    const { store, advance } = setup();
    const fault = store.delay('advance');
    const slow = advance();
    await fault.struck;
    store.down();
    for (let i = 0; i < 3; i++) await expect(advance()).rejects.toMatchObject(refused);
    await expect(store.read(KEY, [])).rejects.toMatchObject(refused);
    store.heal();
    await Promise.all([slow, advance()]);
    await store.read(KEY, []);
  });

  it('drops signals while it is deaf', async () => {
    const { store, advance, heard } = setup();
    store.deaf = true;
    await advance();
    expect(heard).toEqual([]);
    store.deaf = false;
    await advance();
    expect(heard).toHaveLength(1);
  });
});

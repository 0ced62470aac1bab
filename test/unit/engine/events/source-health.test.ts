import { FakeClock } from 'nestjs-cache-guard/testing';
import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../../lib/adapters/memory/memory-store.js';
import type { CacheGuardEvent } from '../../../../lib/core/events.js';
import type { Policy } from '../../../../lib/core/policy.js';
import { EventHub } from '../../../../lib/engine/event-hub.js';
import { SourceHealth } from '../../../../lib/engine/events/source-health.js';
import { gate } from '../../../promises/support/source.js';

const POLICY = { domain: 'quotes', freshBy: { source: 'ledger', fallbackTtlMs: 1, withinMs: 1_000 } } as Policy;

/** One that follows a source which is alive. */
async function live() {
  const clock = new FakeClock();
  const hub = new EventHub();
  const states: string[] = [];
  hub.on((event: CacheGuardEvent) => event.type === 'event-source-state' && states.push(event.state));
  const ids = { process: 'p', random: () => 0.5 };
  const store = new MemoryStore({ clock });
  await store.open();
  const parts = { store, clock, hub, health: { away: false }, ids };
  const health = new SourceHealth(parts as never, { list: () => [POLICY] }, () => true);
  health.start();
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 500) {
      health.said('ledger', 0, ['quotes']);
      await clock.run(500);
    }
  };
  await pass(2_000);
  return { health, states, pass, isLive: () => health.inForce(POLICY) === POLICY };
}

const broken = () => Promise.reject(new Error('broken'));

describe('a gap', () => {
  it('is over once what it concerns is invalidated', async () => {
    const { health, states, isLive } = await live();
    const hold = gate();
    const closing = health.gap('ledger', () => hold.opened);
    expect(isLive()).toBe(false);
    hold.open();
    await closing;
    expect(isLive()).toBe(true);
    expect(states).toEqual(['live', 'lagging', 'live']);
  });

  it('that could not be dealt with is not over, until who tells again has more luck', async () => {
    const { health, pass, isLive } = await live();
    await expect(health.gap('ledger', broken)).rejects.toThrow('broken');
    expect(isLive()).toBe(false);
    await pass(2_000);
    expect(isLive()).toBe(false);
    await health.gap('ledger', async () => {});
    expect(isLive()).toBe(true);
  });

  it('that could not be dealt with, and that nobody tells again, does not stay for ever', async () => {
    const { health, pass, isLive } = await live();
    await expect(health.gap('ledger', broken)).rejects.toThrow('broken');
    await pass(8_000);
    expect(isLive()).toBe(false);
    await pass(4_000);
    expect(isLive()).toBe(true);
  });

  it('is not over because another one of the same source is', async () => {
    const { health, isLive } = await live();
    const hold = gate();
    const other = health.gap('ledger', () => hold.opened);
    await expect(health.gap('ledger', broken)).rejects.toThrow('broken');
    hold.open();
    await other;
    expect(isLive()).toBe(false);
  });
});

import assert from 'node:assert/strict';
import { Scenario, type ContractCase } from './scenario.js';

/** Fails once, whatever backs off; resolves to how long attempts that honour it now stay away. */
async function fail(s: Scenario, backoff: { baseMs: number; maxMs: number }): Promise<number> {
  const { token } = await s.granted();
  await s.store.release({ key: s.key, token, backoff });
  const reply = await s.acquire({ honourBackoff: true });
  assert.ok(reply.kind === 'backing-off');
  return reply.remainingMs;
}

/** About `ms`; what is lost is the time that the calls took. */
function assertRemaining(remainingMs: number, ms: number): void {
  assert.ok(remainingMs > ms / 2 && remainingMs <= ms, `${remainingMs} ms remain of ${ms} ms`);
}

export const backoffCases: readonly ContractCase[] = [
  {
    name: 'back-off: each failure doubles it, up to the maximum',
    async run(harness) {
      const s = await Scenario.on(harness);
      const backoff = { baseMs: 10 * s.unit, maxMs: 70 * s.unit };
      for (const units of [10, 20, 40, 70, 70]) assertRemaining(await fail(s, backoff), units * s.unit);
    },
  },
  {
    name: 'back-off: it refuses only those who honour it, and grants them nothing',
    async run(harness) {
      const s = await Scenario.on(harness);
      await fail(s, { baseMs: 100 * s.unit, maxMs: 100 * s.unit });
      const token = s.token();
      await s.refused('backing-off', { token, honourBackoff: true });
      await s.refused('backing-off', { token, honourBackoff: true, mode: 'shared' });
      assert.equal(await s.store.renew(s.key, token, s.unit), false);
      await s.granted();
    },
  },
  {
    name: 'back-off: it ends by itself, and the next failure is still one of the series',
    async run(harness) {
      const s = await Scenario.on(harness);
      const maxMs = 100 * s.unit;
      assertRemaining(await fail(s, { baseMs: s.unit, maxMs }), s.unit);
      await s.pass(2);
      const { token } = await s.granted({ honourBackoff: true });
      await s.store.release({ key: s.key, token, backoff: { baseMs: 10 * s.unit, maxMs } });
      const reply = await s.acquire({ honourBackoff: true });
      assert.ok(reply.kind === 'backing-off');
      assertRemaining(reply.remainingMs, 20 * s.unit);
    },
  },
  {
    name: 'back-off: a commit ends it and the series',
    async run(harness) {
      const s = await Scenario.on(harness);
      const backoff = { baseMs: 20 * s.unit, maxMs: 100 * s.unit };
      await fail(s, backoff);
      await fail(s, backoff);
      await s.filled();
      const { token } = await s.granted({ honourBackoff: true });
      await s.store.release({ key: s.key, token, backoff: undefined });
      assertRemaining(await fail(s, backoff), 20 * s.unit);
    },
  },
  {
    name: 'back-off: an invalidation does not end it, and a voided attempt adds nothing to it',
    async run(harness) {
      const s = await Scenario.on(harness);
      const backoff = { baseMs: 20 * s.unit, maxMs: 100 * s.unit };
      await fail(s, backoff);
      const voided = await s.granted();
      await s.store.invalidate(s.key, 'expire');
      await s.store.release({ key: s.key, token: voided.token, backoff });
      const reply = await s.acquire({ honourBackoff: true });
      assert.ok(reply.kind === 'backing-off');
      assertRemaining(reply.remainingMs, 20 * s.unit);
    },
  },
];

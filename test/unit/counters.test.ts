import { describe, expect, it } from 'vitest';
import type { CacheGuardEvent, CacheGuardListener, HitEvent, InvalidationEvent } from '../../lib/core/events.js';
import { CacheGuardMetrics } from '../../lib/telemetry/metrics.js';

function make() {
  const listeners: CacheGuardListener[] = [];
  const metrics = new CacheGuardMetrics({ on: (listener) => listeners.push(listener) });
  const emit = (...events: CacheGuardEvent[]) => {
    for (const event of events) for (const listener of listeners) listener(event);
  };
  return { metrics, emit };
}

const domain = 'offers';
const hit = (tier: HitEvent['tier'], state: HitEvent['state'] = 'fresh'): HitEvent => ({
  type: 'hit',
  domain,
  key: 'k',
  state,
  tier,
  negative: false,
  ageMs: 1,
  staleMs: 0,
});
const invalidation = (outcome: InvalidationEvent['outcome'], count: number): InvalidationEvent => ({
  type: 'invalidation',
  domain,
  scope: 'key',
  mode: 'remove',
  outcome,
  count,
});

describe('the counters of a domain', () => {
  it('tell hits of the memory tier apart', () => {
    const { metrics, emit } = make();
    emit(hit('l1'), hit('l2'), hit('l1', 'stale'));
    expect(metrics.snapshot()[domain]).toMatchObject({ hits: { fresh: 2, stale: 1 }, l1Hits: 2 });
  });

  it('count invalidations by what became of them, and openings of the breaker', () => {
    const { metrics, emit } = make();
    emit(
      invalidation('pending', 2),
      invalidation('carried-out', 2),
      invalidation('coarsened', 10_000),
      invalidation('failed', 1),
      { type: 'loader-breaker', domain, state: 'open' },
      { type: 'loader-breaker', domain, state: 'closed' },
    );
    expect(metrics.snapshot()[domain]).toMatchObject({
      invalidations: { pending: 2, 'carried-out': 2, coarsened: 10_000, failed: 1 },
      breakerOpened: 1,
    });
  });
});

describe('the counters of the store', () => {
  it('follow its outages and the trust in memory', () => {
    const { metrics, emit } = make();
    expect(metrics.store()).toEqual({ away: false, outages: 0, awayMs: 0, l1Trusted: false, trustLosses: 0 });
    emit(
      { type: 'l1-trust', trusted: true },
      { type: 'store-state', state: 'away', awayMs: 0 },
      { type: 'l1-trust', trusted: false },
    );
    expect(metrics.store()).toEqual({ away: true, outages: 1, awayMs: 0, l1Trusted: false, trustLosses: 1 });
    emit(
      { type: 'store-state', state: 'settling', awayMs: 2_000 },
      { type: 'store-state', state: 'up', awayMs: 2_500 },
      { type: 'l1-trust', trusted: true },
    );
    expect(metrics.store()).toEqual({ away: false, outages: 1, awayMs: 2_500, l1Trusted: true, trustLosses: 1 });
  });

  it('are no domain', () => {
    const { metrics, emit } = make();
    emit({ type: 'advice', code: 'evicting', text: 'x' }, { type: 'l1-trust', trusted: true });
    expect(metrics.snapshot()).toEqual({});
  });

  it('are on the Prometheus page, without labels', async () => {
    const { metrics, emit } = make();
    emit({ type: 'store-state', state: 'up', awayMs: 1_500 }, { type: 'store-state', state: 'away', awayMs: 0 });
    for (let look = 0; look < 2; look++) {
      const { body } = await metrics.prometheus();
      expect(body.split('\n').filter((line) => /^cache_guard_(store|l1_trust|outages|away)/.test(line))).toEqual([
        'cache_guard_store_up 0',
        'cache_guard_l1_trusted 0',
        'cache_guard_outages_total 1',
        'cache_guard_away_seconds_total 1.5',
        'cache_guard_l1_trust_losses_total 0',
      ]);
    }
    emit(hit('l1'), { type: 'loader-breaker', domain, state: 'open' });
    const { body } = await metrics.prometheus();
    expect(body).toContain('cache_guard_l1_hits_total{domain="offers"} 1');
    expect(body).toContain('cache_guard_breaker_opened_total{domain="offers"} 1');
  });
});

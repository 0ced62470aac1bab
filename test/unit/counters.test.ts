import { describe, expect, it } from 'vitest';
import type {
  CacheGuardEvent,
  CacheGuardListener,
  DomainEventsEvent,
  HitEvent,
  InvalidationEvent,
  ReconciliationEvent,
  WarmingEvent,
} from '../../lib/core/events.js';
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

const source = 'stream';
const reconciliation = (state: ReconciliationEvent['state'], drifted: number): ReconciliationEvent => ({
  type: 'reconciliation',
  domain,
  state,
  checked: 100,
  drifted,
  repaired: drifted,
  unchecked: 1,
  oldestDriftMs: 1_000 * drifted,
  error: undefined,
});
const warming = (state: WarmingEvent['state'], done: number): WarmingEvent => ({
  type: 'warming',
  domain,
  name: 'boot',
  state,
  done,
  failed: 1,
  skipped: 2,
  total: undefined,
  error: undefined,
});
const delivered = (outcome: DomainEventsEvent['outcome'], count: number): DomainEventsEvent => ({
  type: 'domain-events',
  source,
  outcome,
  count,
  reason: undefined,
});

describe('what is done behind the readers', () => {
  it('is counted when it has ended', () => {
    const { metrics, emit } = make();
    emit(reconciliation('running', 1), warming('running', 7));
    expect(metrics.snapshot()[domain]).toMatchObject({ reconciled: {}, warmed: {}, oldestDriftMs: 0 });
    emit(reconciliation('done', 3), reconciliation('failed', 2), warming('done', 10), warming('stopped', 5));
    for (const reason of ['fresh', 'fresh', 'no-method'] as const)
      emit({ type: 'refresh-skipped', domain, key: 'k', reason });
    expect(metrics.snapshot()[domain]).toMatchObject({
      reconciliations: { done: 1, failed: 1 },
      reconciled: { checked: 200, drifted: 5, repaired: 5, unchecked: 2 },
      oldestDriftMs: 2_000,
      warmings: { done: 1, stopped: 1 },
      warmed: { done: 15, failed: 2, skipped: 4 },
      refreshesSkipped: { fresh: 2, 'no-method': 1 },
    });
  });

  it('is on the Prometheus page, by domain and outcome', async () => {
    const { metrics, emit } = make();
    emit(reconciliation('done', 3), warming('done', 10), {
      type: 'refresh-skipped',
      domain,
      key: 'k',
      reason: 'fresh',
    });
    for (let look = 0; look < 2; look++) {
      const { body } = await metrics.prometheus();
      expect(body.split('\n').filter((line) => /^cache_guard_(refreshes|reconcil|oldest|warm)/.test(line))).toEqual([
        'cache_guard_refreshes_skipped_total{domain="offers",reason="fresh"} 1',
        'cache_guard_reconciliations_total{domain="offers",outcome="done"} 1',
        'cache_guard_reconciled_total{domain="offers",outcome="checked"} 100',
        'cache_guard_reconciled_total{domain="offers",outcome="drifted"} 3',
        'cache_guard_reconciled_total{domain="offers",outcome="repaired"} 3',
        'cache_guard_reconciled_total{domain="offers",outcome="unchecked"} 1',
        'cache_guard_oldest_drift_seconds{domain="offers"} 3',
        'cache_guard_warmings_total{domain="offers",outcome="done"} 1',
        'cache_guard_warmed_total{domain="offers",outcome="done"} 10',
        'cache_guard_warmed_total{domain="offers",outcome="failed"} 1',
        'cache_guard_warmed_total{domain="offers",outcome="skipped"} 2',
      ]);
    }
  });
});

describe('the counters of event sources', () => {
  it('follow what is delivered, what is lost, and how late it is', () => {
    const { metrics, emit } = make();
    expect(metrics.sources()).toEqual({});
    emit(
      delivered('applied', 5),
      delivered('applied', 2),
      delivered('poison', 1),
      { ...delivered('unmatched', 1), source: 'other' },
      { type: 'dead-letter', source, reason: 'r' },
      { type: 'event-gap', source, reason: 'r' },
      { type: 'event-source-error', source, error: new Error('x') },
      { type: 'event-lag', source, lagMs: 2_000 },
      { type: 'event-lag', source, lagMs: 500 },
      { type: 'event-source-state', source, state: 'lagging', domains: ['offers', 'cards'] },
      { type: 'event-source-state', source, state: 'live', domains: ['offers'] },
    );
    expect(metrics.sources()).toEqual({
      stream: {
        delivered: { applied: 7, poison: 1 },
        deadLetters: 1,
        gaps: 1,
        errors: 1,
        lagMs: 500,
        states: { offers: 'live', cards: 'lagging' },
      },
      other: { delivered: { unmatched: 1 }, deadLetters: 0, gaps: 0, errors: 0, lagMs: undefined, states: {} },
    });
    expect(metrics.snapshot()).toEqual({});
  });

  it('are on the Prometheus page, by source', async () => {
    const { metrics, emit } = make();
    const lines = async () => {
      const { body } = await metrics.prometheus();
      return body.split('\n').filter((line) => /^cache_guard_(event|dead)/.test(line));
    };
    expect(await lines()).toEqual([]);
    emit(
      delivered('applied', 5),
      { type: 'dead-letter', source, reason: 'r' },
      { type: 'event-source-state', source, state: 'silent', domains: ['offers'] },
    );
    expect(await lines()).not.toContainEqual(expect.stringMatching(/lag_seconds/));
    emit(
      { type: 'event-lag', source, lagMs: 1_500 },
      { type: 'event-source-state', source, state: 'live', domains: ['cards'] },
    );
    for (let look = 0; look < 2; look++) {
      expect(await lines()).toEqual([
        'cache_guard_events_total{source="stream",outcome="applied"} 5',
        'cache_guard_dead_letters_total{source="stream"} 1',
        'cache_guard_event_gaps_total{source="stream"} 0',
        'cache_guard_event_source_errors_total{source="stream"} 0',
        'cache_guard_event_lag_seconds{source="stream"} 1.5',
        'cache_guard_event_source_live{source="stream",domain="offers"} 0',
        'cache_guard_event_source_live{source="stream",domain="cards"} 1',
      ]);
    }
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

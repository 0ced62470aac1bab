import { createRequire } from 'node:module';
import type * as PromClient from 'prom-client';
import { CacheGuardConfigError } from '../core/errors.js';
import type { CacheGuardEvent } from '../core/events.js';
import type { Counters, DomainCounters, StoreCounters } from './counters.js';
import type { SourceCounters } from './source-counters.js';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const STALE_SECONDS = [0.1, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];

type Labels = Readonly<Record<string, string>>;

interface Family {
  /** Default: a counter. */
  readonly kind?: 'Gauge';
  readonly name: string;
  readonly help: string;
  /** What tells the series of one domain apart, if anything. */
  readonly label?: string;
  read(counted: DomainCounters): number | Readonly<Partial<Record<string, number>>>;
}

/** Labels are domains and outcomes, never keys. The amplification factor of a fleet is `sum(loads_total) / sum(accepted_total)`. */
const FAMILIES: readonly Family[] = [
  { name: 'hits_total', help: 'Reads answered from what is kept', label: 'state', read: (c) => c.hits },
  { name: 'negative_hits_total', help: 'Reads answered by a kept absence', read: (c) => c.negativeHits },
  { name: 'l1_hits_total', help: 'Reads answered from the memory of the process', read: (c) => c.l1Hits },
  { name: 'misses_total', help: 'Reads not answered from the store', label: 'cause', read: (c) => c.misses },
  { name: 'loads_total', help: 'Calls of loaders', label: 'outcome', read: (c) => c.loads },
  { name: 'accepted_total', help: 'Loaded values that became the cached one', read: (c) => c.accepted },
  { name: 'written_total', help: 'Written values that became the cached one', read: (c) => c.written },
  { name: 'coalesced_total', help: 'Reads answered by the load of another read', read: (c) => c.coalesced },
  { name: 'leases_total', help: 'Leases asked for', label: 'outcome', read: (c) => c.leases },
  { name: 'fenced_total', help: 'Loaded values that were refused', label: 'reason', read: (c) => c.fenced },
  { name: 'uncacheable_total', help: 'Loaded values that may not be kept', read: (c) => c.uncacheable },
  { name: 'corrupt_total', help: 'Foreign or damaged bytes under a key', read: (c) => c.corrupt },
  {
    name: 'invalidations_total',
    help: 'Keys, tags and domains invalidated',
    label: 'outcome',
    read: (c) => c.invalidations,
  },
  { name: 'wait_timeouts_total', help: 'Reads that outlasted their budget', read: (c) => c.waitTimeouts },
  { name: 'overloads_total', help: 'Loads refused for want of room', read: (c) => c.overloads },
  { name: 'unpartitioned_total', help: 'Reads without a partition, not cached', read: (c) => c.unpartitioned },
  { name: 'no_principal_total', help: 'Private calls of nobody, not cached', read: (c) => c.withoutPrincipal },
  { name: 'bypasses_total', help: 'Calls of routes past the cache', label: 'reason', read: (c) => c.bypasses },
  { name: 'store_errors_total', help: 'Commands that the store did not answer', read: (c) => c.storeErrors },
  { name: 'breaker_opened_total', help: 'Openings of the breaker on the loader', read: (c) => c.breakerOpened },
  {
    name: 'refreshes_skipped_total',
    help: 'Refreshes after events that were not carried out',
    label: 'reason',
    read: (c) => c.refreshesSkipped,
  },
  {
    name: 'reconciliations_total',
    help: 'Comparisons with the source that have ended',
    label: 'outcome',
    read: (c) => c.reconciliations,
  },
  {
    name: 'reconciled_total',
    help: 'Entries that were compared with the source',
    label: 'outcome',
    read: (c) => c.reconciled,
  },
  {
    kind: 'Gauge',
    name: 'oldest_drift_seconds',
    help: 'Age of the oldest entry that had drifted, in the last comparison',
    read: (c) => c.oldestDriftMs / 1_000,
  },
  { name: 'warmings_total', help: 'Warmings that have ended', label: 'outcome', read: (c) => c.warmings },
  { name: 'warmed_total', help: 'Keys of warmings that have ended', label: 'outcome', read: (c) => c.warmed },
];

interface SourceFamily {
  readonly kind: 'Gauge' | 'Counter';
  readonly name: string;
  readonly help: string;
  readonly label?: string;
  read(counted: SourceCounters): number | undefined | Readonly<Partial<Record<string, number>>>;
}

/** Labels are sources, outcomes and domains. */
const SOURCE_FAMILIES: readonly SourceFamily[] = [
  {
    kind: 'Counter',
    name: 'events_total',
    help: 'Domain events that were delivered',
    label: 'outcome',
    read: (c) => c.delivered,
  },
  {
    kind: 'Counter',
    name: 'dead_letters_total',
    help: 'Events put aside after their last try',
    read: (c) => c.deadLetters,
  },
  { kind: 'Counter', name: 'event_gaps_total', help: 'Losses of events on their way', read: (c) => c.gaps },
  {
    kind: 'Counter',
    name: 'event_source_errors_total',
    help: 'Failures to reach or read a source',
    read: (c) => c.errors,
  },
  {
    kind: 'Gauge',
    name: 'event_lag_seconds',
    help: 'Age of the oldest event that was not dealt with',
    read: (c) => c.lagMs && c.lagMs / 1_000,
  },
  {
    kind: 'Gauge',
    name: 'event_source_live',
    help: '1 while the domain may rely on the source',
    label: 'domain',
    read: (c) =>
      Object.fromEntries(Object.entries(c.states).map(([domain, state]) => [domain, Number(state === 'live')])),
  },
];

interface StoreFamily {
  readonly kind: 'Gauge' | 'Counter';
  readonly name: string;
  readonly help: string;
  read(counted: StoreCounters): number;
}

/** Of the process, without labels. */
const STORE_FAMILIES: readonly StoreFamily[] = [
  { kind: 'Gauge', name: 'store_up', help: '1 while the store answers', read: (c) => Number(!c.away) },
  { kind: 'Gauge', name: 'l1_trusted', help: '1 while memory may serve as fresh', read: (c) => Number(c.l1Trusted) },
  { kind: 'Counter', name: 'outages_total', help: 'How often the store went away', read: (c) => c.outages },
  { kind: 'Counter', name: 'away_seconds_total', help: 'Length of ended outages', read: (c) => c.awayMs / 1_000 },
  { kind: 'Counter', name: 'l1_trust_losses_total', help: 'Losses of trust in memory', read: (c) => c.trustLosses },
];

/** `prom-client` if the application has it. */
function findPromClient(): typeof PromClient | undefined {
  try {
    return createRequire(import.meta.url)('prom-client') as typeof PromClient;
  } catch {
    return undefined;
  }
}

/** A Prometheus page of a guard's counters, load times and stale ages, in a registry of its own. */
export class PrometheusPage {
  private readonly registry: PromClient.Registry | undefined;
  private readonly loadSeconds: PromClient.Histogram | undefined;
  private readonly staleSeconds: PromClient.Histogram | undefined;

  constructor(counters: Counters) {
    const prom = findPromClient();
    if (!prom) return;
    this.registry = new prom.Registry();
    for (const family of FAMILIES) {
      const { kind = 'Counter', name, help, label } = family;
      const metric = new prom[kind]({
        name: `cache_guard_${name}`,
        help,
        labelNames: label ? ['domain', label] : ['domain'],
        registers: [],
        // Copied from the counters when somebody looks: a hit pays for one count, not for two.
        collect() {
          this.reset();
          for (const [domain, counted] of Object.entries(counters.snapshot())) {
            for (const [labels, value] of series({ domain }, label, family.read(counted))) this.inc(labels, value);
          }
        },
      });
      this.registry.registerMetric(metric);
    }
    for (const family of SOURCE_FAMILIES) {
      const { kind, name, help, label } = family;
      const metric = new prom[kind]({
        name: `cache_guard_${name}`,
        help,
        labelNames: label ? ['source', label] : ['source'],
        registers: [],
        collect() {
          this.reset();
          for (const [source, counted] of Object.entries(counters.sources())) {
            for (const [labels, value] of series({ source }, label, family.read(counted))) this.inc(labels, value);
          }
        },
      });
      this.registry.registerMetric(metric);
    }
    for (const family of STORE_FAMILIES) {
      const { kind, name, help } = family;
      const metric = new prom[kind]({
        name: `cache_guard_${name}`,
        help,
        registers: [],
        collect() {
          this.reset();
          this.inc(family.read(counters.store()));
        },
      });
      this.registry.registerMetric(metric);
    }
    const registers = [this.registry];
    const histogram = (name: string, help: string, buckets: number[]) =>
      new prom.Histogram({ name: `cache_guard_${name}`, help, labelNames: ['domain'], buckets, registers });
    this.loadSeconds = histogram('load_seconds', 'Time from the call of a loader to its end', SECONDS);
    this.staleSeconds = histogram(
      'stale_age_seconds',
      'How long past its soft expiry a value was served',
      STALE_SECONDS,
    );
  }

  /** To be handed to `CacheGuard.on`. */
  readonly listener = (event: CacheGuardEvent): void => {
    if (event.type === 'load') this.loadSeconds?.observe({ domain: event.domain }, event.ms / 1_000);
    if (event.type === 'hit' && event.staleMs > 0)
      this.staleSeconds?.observe({ domain: event.domain }, event.staleMs / 1_000);
  };

  /** @throws CacheGuardConfigError (`CG_MISSING_PEER`) without `prom-client` */
  async render(): Promise<{ readonly contentType: string; readonly body: string }> {
    if (!this.registry) {
      throw new CacheGuardConfigError(
        'CG_MISSING_PEER',
        'The Prometheus page needs prom-client: npm install prom-client',
      );
    }
    return { contentType: this.registry.contentType, body: await this.registry.metrics() };
  }
}

function* series(
  of: Labels,
  label: string | undefined,
  value: ReturnType<SourceFamily['read']>,
): Generator<[Labels, number]> {
  if (typeof value === 'number') yield [of, value];
  else for (const [name, count] of Object.entries(value ?? {})) yield [{ ...of, [label!]: name }, count ?? 0];
}

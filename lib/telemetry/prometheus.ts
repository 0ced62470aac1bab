import { createRequire } from 'node:module';
import type * as PromClient from 'prom-client';
import { CacheGuardConfigError } from '../core/errors.js';
import type { CacheGuardEvent } from '../core/events.js';
import type { Counters, DomainCounters, StoreCounters } from './counters.js';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const STALE_SECONDS = [0.1, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];

type Labels = Readonly<Record<string, string>>;

interface Family {
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
  { name: 'store_errors_total', help: 'Commands that the store did not answer', read: (c) => c.storeErrors },
  { name: 'breaker_opened_total', help: 'Openings of the breaker on the loader', read: (c) => c.breakerOpened },
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
      const { name, help, label } = family;
      const counter = new prom.Counter({
        name: `cache_guard_${name}`,
        help,
        labelNames: label ? ['domain', label] : ['domain'],
        registers: [],
        // Copied from the counters when somebody looks: a hit pays for one count, not for two.
        collect() {
          this.reset();
          for (const [domain, counted] of Object.entries(counters.snapshot())) {
            for (const [labels, value] of series(domain, label, family.read(counted))) this.inc(labels, value);
          }
        },
      });
      this.registry.registerMetric(counter);
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
  domain: string,
  label: string | undefined,
  value: ReturnType<Family['read']>,
): Generator<[Labels, number]> {
  if (typeof value === 'number') yield [{ domain }, value];
  else for (const [name, count] of Object.entries(value)) yield [{ domain, [label!]: name }, count ?? 0];
}

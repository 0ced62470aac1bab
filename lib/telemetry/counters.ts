import type { MissCause } from '../core/decide.js';
import type {
  BypassEvent,
  CacheGuardEvent,
  FenceReason,
  HitEvent,
  InvalidationEvent,
  LeaseEvent,
  LoadEvent,
  ReconciliationEvent,
  RefreshSkippedEvent,
  StoreStateEvent,
  TrustEvent,
  WarmingEvent,
} from '../core/events.js';
import { SourceTallies, type SourceCounters } from './source-counters.js';

type Tally<K extends string> = Readonly<Partial<Record<K, number>>>;

/** What happened in one domain since the start, in this process. Every field is a sum, unless it says otherwise: add them up over a fleet. */
export interface DomainCounters {
  /** Reads answered from what is kept, by state. */
  readonly hits: Tally<HitEvent['state']>;
  readonly negativeHits: number;
  /** Those of all hits that came from the memory of this process. */
  readonly l1Hits: number;
  readonly misses: Tally<MissCause>;
  /** Calls of loaders, by how they ended. */
  readonly loads: Tally<LoadEvent['outcome']>;
  /** Sum of load times, and the longest; milliseconds. */
  readonly loadMs: number;
  readonly longestLoadMs: number;
  /** Reads that were answered by a load that another read had started in this process. */
  readonly coalesced: number;
  readonly leases: Tally<LeaseEvent['outcome']>;
  /** Loaded values that did not become the cached one, by reason. */
  readonly fenced: Tally<FenceReason>;
  /** Loaded values that became the cached one. */
  readonly accepted: number;
  /** Values that became the cached one by write-through. */
  readonly written: number;
  readonly uncacheable: number;
  readonly corrupt: number;
  readonly invalidations: Tally<InvalidationEvent['outcome']>;
  readonly waitTimeouts: number;
  readonly overloads: number;
  readonly unpartitioned: number;
  /** Calls of cached routes that went past the cache, by reason. */
  readonly bypasses: Tally<BypassEvent['reason']>;
  readonly withoutPrincipal: number;
  readonly storeErrors: number;
  /** How often the breaker on the loader opened. */
  readonly breakerOpened: number;
  /** Refreshes after events that were not carried out, by reason. */
  readonly refreshesSkipped: Tally<RefreshSkippedEvent['reason']>;
  /** Comparisons with the source that have ended here, by how, and what they found; entries. */
  readonly reconciliations: Tally<Exclude<ReconciliationEvent['state'], 'running'>>;
  readonly reconciled: Tally<'checked' | 'drifted' | 'repaired' | 'unchecked'>;
  /** Age of the oldest entry that had drifted, in the last comparison that ended here; milliseconds. No sum. */
  readonly oldestDriftMs: number;
  /** Warmings that have ended here, by how, and what became of their keys. */
  readonly warmings: Tally<Exclude<WarmingEvent['state'], 'running'>>;
  readonly warmed: Tally<'done' | 'failed' | 'skipped'>;
}

/** How this process stands with its store. */
export interface StoreCounters {
  /** It does not answer now. */
  readonly away: boolean;
  /** How often it went away. */
  readonly outages: number;
  /** From each loss until it was in full use again; milliseconds, of the outages that have ended. */
  readonly awayMs: number;
  /** The memory tier may serve as fresh now. */
  readonly l1Trusted: boolean;
  /** How often it could no longer. */
  readonly trustLosses: number;
}

type Mutable = {
  -readonly [K in keyof DomainCounters]: DomainCounters[K] extends number ? number : Record<string, number>;
};

/**
 * Loads per accepted value: 1 when every load was worth it, more when a stampede, failures or fencing made the source work in vain.
 * Summed before it is divided, so that it is right for a fleet too; `undefined` before the first accepted value.
 */
export function amplification(counters: Iterable<Pick<DomainCounters, 'loads' | 'accepted'>>): number | undefined {
  let loads = 0;
  let accepted = 0;
  for (const counted of counters) {
    loads += total(counted.loads);
    accepted += counted.accepted;
  }
  return accepted === 0 ? undefined : loads / accepted;
}

/** The sum over all labels. */
export function total(tally: Tally<string>): number {
  return Object.values(tally).reduce<number>((sum, count) => sum + (count ?? 0), 0);
}

/** Counts a guard's events by domain. */
export class Counters {
  private readonly byDomain = new Map<string, Mutable>();
  private readonly ofSources = new SourceTallies();
  private ofStore: StoreCounters = { away: false, outages: 0, awayMs: 0, l1Trusted: false, trustLosses: 0 };

  /** To be handed to `CacheGuard.on`. */
  readonly listener = (event: CacheGuardEvent): void => this.count(event);

  /** A copy of what was counted so far, by domain. */
  snapshot(): Record<string, DomainCounters> {
    return structuredClone(Object.fromEntries(this.byDomain)) as Record<string, DomainCounters>;
  }

  store(): StoreCounters {
    return this.ofStore;
  }

  /** A copy of what came from event sources so far, by source. */
  sources(): Record<string, SourceCounters> {
    return this.ofSources.snapshot();
  }

  private count(event: CacheGuardEvent): void {
    if (event.domain === undefined) {
      if ('source' in event) this.ofSources.count(event);
      else if (event.type === 'store-state' || event.type === 'l1-trust')
        this.ofStore = afterChange(this.ofStore, event);
      return;
    }
    const counted = this.of(event.domain);
    switch (event.type) {
      case 'hit':
        add(counted.hits, event.state);
        if (event.negative) counted.negativeHits++;
        if (event.tier === 'l1') counted.l1Hits++;
        return;
      case 'miss':
        return add(counted.misses, event.cause);
      case 'load':
        counted.loadMs += event.ms;
        counted.longestLoadMs = Math.max(counted.longestLoadMs, event.ms);
        return add(counted.loads, event.outcome);
      case 'lease':
        return add(counted.leases, event.outcome);
      case 'fenced':
        return add(counted.fenced, event.reason);
      case 'accepted':
        if (event.via === 'put') counted.written++;
        else counted.accepted++;
        return;
      case 'invalidation':
        return add(counted.invalidations, event.outcome, event.count);
      case 'coalesced':
        return void counted.coalesced++;
      case 'uncacheable':
        return void counted.uncacheable++;
      case 'corrupt':
        return void counted.corrupt++;
      case 'wait-timeout':
        return void counted.waitTimeouts++;
      case 'overload':
        return void counted.overloads++;
      case 'unpartitioned':
        return void counted.unpartitioned++;
      case 'bypass':
        return add(counted.bypasses, event.reason);
      case 'no-principal':
        return void counted.withoutPrincipal++;
      case 'store-error':
        return void counted.storeErrors++;
      case 'loader-breaker':
        if (event.state === 'open') counted.breakerOpened++;
        return;
      case 'refresh-skipped':
        return add(counted.refreshesSkipped, event.reason);
      case 'reconciliation':
        if (event.state === 'running') return;
        counted.oldestDriftMs = event.oldestDriftMs;
        for (const what of ['checked', 'drifted', 'repaired', 'unchecked'] as const)
          add(counted.reconciled, what, event[what]);
        return add(counted.reconciliations, event.state);
      case 'warming':
        if (event.state === 'running') return;
        for (const what of ['done', 'failed', 'skipped'] as const) add(counted.warmed, what, event[what]);
        return add(counted.warmings, event.state);
      case 'unencodable':
        // Counted as uncacheable.
        return;
    }
  }

  private of(domain: string): Mutable {
    let counted = this.byDomain.get(domain);
    if (!counted) this.byDomain.set(domain, (counted = fresh()));
    return counted;
  }
}

function fresh(): Mutable {
  return {
    hits: {},
    negativeHits: 0,
    l1Hits: 0,
    misses: {},
    loads: {},
    loadMs: 0,
    longestLoadMs: 0,
    coalesced: 0,
    leases: {},
    fenced: {},
    accepted: 0,
    written: 0,
    uncacheable: 0,
    corrupt: 0,
    invalidations: {},
    waitTimeouts: 0,
    overloads: 0,
    unpartitioned: 0,
    bypasses: {},
    withoutPrincipal: 0,
    storeErrors: 0,
    breakerOpened: 0,
    refreshesSkipped: {},
    reconciliations: {},
    reconciled: {},
    oldestDriftMs: 0,
    warmings: {},
    warmed: {},
  };
}

function afterChange(counted: StoreCounters, event: StoreStateEvent | TrustEvent): StoreCounters {
  if (event.type === 'l1-trust') {
    const lost = counted.l1Trusted && !event.trusted;
    return { ...counted, l1Trusted: event.trusted, trustLosses: counted.trustLosses + (lost ? 1 : 0) };
  }
  const { state, awayMs } = event;
  return {
    ...counted,
    away: state === 'away',
    outages: counted.outages + (state === 'away' ? 1 : 0),
    awayMs: counted.awayMs + (state === 'up' ? awayMs : 0),
  };
}

function add(tally: Record<string, number>, label: string, count = 1): void {
  tally[label] = (tally[label] ?? 0) + count;
}

import type {
  DeadLetterEvent,
  DomainEventsEvent,
  EventGapEvent,
  EventLagEvent,
  EventSourceErrorEvent,
  EventSourceStateEvent,
} from '../core/events.js';

/** What came from one event source since the start, in this process. */
export interface SourceCounters {
  /** Domain events, by what became of them; one that comes again counts again. */
  readonly delivered: Readonly<Partial<Record<DomainEventsEvent['outcome'], number>>>;
  /** Events that were put aside after their last try. */
  readonly deadLetters: number;
  /** How often events were lost on their way. */
  readonly gaps: number;
  /** How often it could not be reached or read. */
  readonly errors: number;
  /** Age of the oldest event that was not dealt with, as last told; no sum. `undefined`: never told. */
  readonly lagMs: number | undefined;
  /** Whether the domains that it keeps fresh may rely on it now, by domain; no sum. */
  readonly states: Readonly<Record<string, EventSourceStateEvent['state']>>;
}

export type SourceEvent =
  DomainEventsEvent | DeadLetterEvent | EventGapEvent | EventLagEvent | EventSourceErrorEvent | EventSourceStateEvent;

const NOTHING: SourceCounters = { delivered: {}, deadLetters: 0, gaps: 0, errors: 0, lagMs: undefined, states: {} };

/** Counts what event sources deliver, by source. */
export class SourceTallies {
  private readonly bySource = new Map<string, SourceCounters>();

  count(event: SourceEvent): void {
    const { source } = event;
    this.bySource.set(source, after(this.bySource.get(source) ?? NOTHING, event));
  }

  snapshot(): Record<string, SourceCounters> {
    return structuredClone(Object.fromEntries(this.bySource));
  }
}

function after(counted: SourceCounters, event: SourceEvent): SourceCounters {
  switch (event.type) {
    case 'domain-events': {
      const { outcome, count } = event;
      return { ...counted, delivered: { ...counted.delivered, [outcome]: (counted.delivered[outcome] ?? 0) + count } };
    }
    case 'dead-letter':
      return { ...counted, deadLetters: counted.deadLetters + 1 };
    case 'event-gap':
      return { ...counted, gaps: counted.gaps + 1 };
    case 'event-source-error':
      return { ...counted, errors: counted.errors + 1 };
    case 'event-lag':
      return { ...counted, lagMs: event.lagMs };
    case 'event-source-state': {
      const changed = Object.fromEntries(event.domains.map((domain) => [domain, event.state]));
      return { ...counted, states: { ...counted.states, ...changed } };
    }
  }
}

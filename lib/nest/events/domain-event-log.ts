import { errorKind, isCacheGuardError, thrownText } from '../../core/errors.js';
import type {
  DomainEventsEvent,
  EventSourceStateEvent,
  FailedEvent,
  ReconciliationEvent,
  RefreshSkippedEvent,
  WarmingEvent,
} from '../../core/events.js';
import type { SourceEvent } from '../../telemetry/source-counters.js';

/** Where lines go. */
export interface LogWays {
  debug(text: string): void;
  log(text: string): void;
  /** As a warning: the first of a kind at once, then their number from time to time. */
  limited(kind: string, text: string): void;
  /** As a warning, one for each id. */
  once(id: string, text: string): void;
}

const NEVER_LOADED: Readonly<Partial<Record<RefreshSkippedEvent['reason'], string>>> = {
  'no-method': 'no method or loader is known for its keys',
  'not-recordable': 'the arguments of its calls cannot be recorded; give them in the rule',
  'no-arguments': 'the event gave no arguments, and none are recorded',
  private: 'they are private, and a load in the background has the permissions of nobody',
  'request-scoped': 'its method is of a class that is made for each request',
};

/** The log lines of event sources and of what follows from their events. Reasons may quote an event or a row: they appear at debug level only. */
export class DomainEventLog {
  constructor(private readonly ways: LogWays) {}

  source(event: SourceEvent): void {
    const { ways } = this;
    const of = `Event source '${event.source}'`;
    switch (event.type) {
      case 'domain-events':
        return this.delivered(event, of);
      case 'dead-letter':
        ways.debug(`${of}: put aside: ${event.reason}`);
        return ways.limited(
          'dead-letter',
          `${of}: an event was put aside after its last try${partsOf(event.failed)}.${invalidated(event.domains)}`,
        );
      case 'event-gap':
        ways.debug(`${of}: lost: ${event.reason}`);
        return ways.limited(
          'event-gap',
          `${of}: events were lost on their way; the domains that follow it are invalidated as a whole.`,
        );
      case 'event-source-error':
        ways.debug(`${of}: ${fullText(event.error)}`);
        if (isCacheGuardError(event.error, 'CG_RULES_DIFFER')) {
          return ways.limited(`other rules for event source '${event.source}'`, event.error.message);
        }
        return ways.limited('event-source-error', `${of} could not be reached or read (${safeText(event.error)}).`);
      case 'event-source-state':
        return this.state(event, of);
      case 'event-lag':
        return;
    }
  }

  refreshSkipped({ domain, key, reason }: RefreshSkippedEvent): void {
    const { ways } = this;
    ways.debug(`Key ${key}: not refreshed after an event (${reason})`);
    const why = NEVER_LOADED[reason];
    if (why !== undefined) {
      return ways.once(
        `refresh ${reason} ${domain}`,
        `Domain '${domain}': what events ask to refresh is invalidated only, because ${why}.`,
      );
    }
    if (reason === 'failed') ways.limited('refresh', `Domain '${domain}': a refresh after an event has failed.`);
    if (reason === 'queue-full')
      ways.limited('refresh queue', `Domain '${domain}': too many refreshes wait, no more are taken.`);
  }

  reconciliation(event: ReconciliationEvent): void {
    const { ways } = this;
    const { domain, state, checked, drifted, repaired, unchecked, oldestDriftMs, error } = event;
    if (state === 'running') return;
    const found = `${drifted} of ${checked} entries had drifted from the source`;
    if (state === 'failed') {
      ways.debug(`Domain '${domain}': reconciliation: ${fullText(error)}`);
      return ways.limited(
        'failed reconciliation',
        `Domain '${domain}': reconciliation has failed (${safeText(error)}); so far ${found}, ${repaired} are repaired.`,
      );
    }
    const text =
      `Domain '${domain}': ${found}, ${repaired} are repaired; the oldest was ${(oldestDriftMs / 1_000).toFixed(1)} s old` +
      `${unchecked > 0 ? `; ${unchecked} could not be compared` : ''}.`;
    if (drifted > 0) ways.limited('drift', text);
    else ways.debug(text);
  }

  warming({ name, domain, state, done, failed, skipped, error }: WarmingEvent): void {
    const { ways } = this;
    if (state === 'running') return;
    const of = `Warming '${name}' of domain '${domain}'`;
    const counts = `${done} loaded, ${skipped} were fresh, ${failed} failed`;
    if (error !== undefined) ways.debug(`${of}: ${fullText(error)}`);
    if (state === 'failed') {
      return ways.limited(`failed warming '${name}'`, `${of} has failed (${safeText(error)}); ${counts}.`);
    }
    const text = `${of} ${state === 'done' ? 'is done' : 'was stopped'}: ${counts}.`;
    if (failed > 0) return ways.limited(`warming '${name}'`, text);
    if (state === 'done' && done > 0) ways.log(text);
    else ways.debug(text);
  }

  private delivered({ outcome, count, reason, failed }: DomainEventsEvent, of: string): void {
    const { ways } = this;
    if (reason !== undefined) ways.debug(`${of}: ${count} × ${outcome}: ${reason}`);
    const what = count === 1 ? 'an event' : `${count} events`;
    const which = partsOf(failed);
    if (outcome === 'retry') ways.limited('event to be tried again', `${of}: ${what} could not be dealt with${which}.`);
    if (outcome === 'poison') ways.limited('poison event', `${of}: ${what} cannot be dealt with at all${which}.`);
  }

  private state({ source, state, domains }: EventSourceStateEvent, of: string): void {
    const which = domains.map((domain) => `'${domain}'`).join(', ');
    if (state === 'live') return this.ways.log(`${of} is live: ${which} may rely on it.`);
    const text = `${of} is ${state}: the fallback of ${which} is in force.`;
    // What is held back is told as a number: the kind says of whom and what.
    return this.ways.limited(`${state} event source '${source}'`, text);
  }
}

/** Of the event that failed, or of the first of several: whatever there is but its data. */
function partsOf(failed: FailedEvent | undefined): string {
  if (!failed) return '';
  const { eventType, eventId, rule, attempt, error } = failed;
  const parts = [
    eventId === undefined ? 'type and id unknown' : `${shown(eventType!)} ${shown(eventId)}`,
    rule === undefined ? undefined : `rule ${rule}`,
    attempt === undefined ? undefined : `attempt ${attempt}`,
    error,
  ];
  return ` (${parts.filter((part) => part !== undefined).join(', ')})`;
}

/** Who writes an event gives its id: it must neither end the line nor fill it. */
function shown(text: string): string {
  const short = text.length > 64 ? `${text.slice(0, 63)}…` : text;
  return `'${short.replaceAll(/\p{C}/gu, '?')}'`;
}

function invalidated(domains: readonly string[] = []): string {
  if (domains.length === 0) return '';
  return ` Invalidated as a whole for it: ${domains.map((domain) => `'${domain}'`).join(', ')}.`;
}

/** Our own errors name no data. */
function safeText(error: unknown): string {
  return isCacheGuardError(error) ? error.message : errorKind(error);
}

function fullText(error: unknown): string {
  return thrownText(error, { named: true });
}

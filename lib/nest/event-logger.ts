import { thrownText } from '../core/errors.js';
import { Logger } from '@nestjs/common';
import type { Clock } from '../core/clock.js';
import type { UncacheableReason } from '../core/composition.js';
import type {
  AdviceEvent,
  BypassEvent,
  CacheGuardEvent,
  InvalidationEvent,
  StoreStateEvent,
  UncacheableEvent,
  UnencodableEvent,
} from '../core/events.js';
import { DomainEventLog } from './events/domain-event-log.js';

const QUIET_MS = 30_000;
/** Origins are methods of the application, so there are few; the bound is for targets that make up an origin per call. */
const MAX_ORIGINS = 1_000;

const REASONS: Readonly<Partial<Record<UncacheableReason, string>>> = {
  'key-changed': 'an object that its key is made from was changed after the call; leave arguments as they are',
  'inner-critical': 'it was made from a value of a critical domain',
  'inner-private': 'it was made from a value of another partition, or one that is private',
  'inner-encrypted': 'it was made from a value of a domain that is encrypted, and its own is not',
  'inner-uncacheable': 'it was made from a value that could not be cached itself',
  'too-large': 'it is too large',
};

const NEVER_CACHED: Readonly<Partial<Record<BypassEvent['reason'], string>>> = {
  'request-object': 'takes the request and has no key; give it one',
  'response-object': 'takes the response; return the value instead',
  redirect: 'redirects',
};

/** What was held back since the last line of a kind. */
interface Quiet {
  held: number;
  readonly cancel: () => void;
}

/**
 * Puts into the log what somebody should look at. The first of a kind is logged at once, then their number at most every 30 s;
 * what is wrong with a method or a server is logged once, changes of the store's state and of breakers always. Keys appear at debug
 * level only, values never.
 */
export class CacheGuardEventLogger {
  private readonly logger = new Logger('CacheGuard');
  private readonly warned = new Set<string>();
  private readonly advised = new Set<AdviceEvent['code']>();
  private readonly quiet = new Map<string, Quiet>();
  private closed = false;
  private readonly domainEvents = new DomainEventLog({
    debug: (text) => this.logger.debug(text),
    log: (text) => this.logger.log(text),
    limited: (kind, text) => this.limited(kind, text),
    once: (id, text) => this.once(id, text),
  });

  constructor(private readonly clock: Clock) {}

  log(event: CacheGuardEvent): void {
    if ('source' in event) return this.domainEvents.source(event);
    switch (event.type) {
      case 'unencodable':
        return this.unencodable(event);
      case 'uncacheable':
        return this.uncacheable(event);
      case 'corrupt':
        this.logger.debug(`Key ${event.key}: ${event.detail}`);
        return this.limited('corrupt', `Domain '${event.domain}': damaged or foreign bytes were read as a miss.`);
      case 'store-error':
        return this.limited(
          'store-error',
          `Domain '${event.domain}': the store failed to ${event.operation} (${messageOf(event.error)}); requests go on without it.`,
        );
      case 'invalidation':
        return this.invalidation(event);
      case 'advice':
        return this.advice(event);
      case 'store-state':
        return this.storeState(event);
      case 'l1-trust':
        return this.logger.debug(
          event.trusted ? 'The memory tier may serve as fresh.' : 'The memory tier may not serve as fresh.',
        );
      case 'loader-breaker':
        if (event.state === 'open') {
          return this.logger.warn(
            `Domain '${event.domain}': its loader fails too often and is not called for a while.`,
          );
        }
        return this.logger.log(`Domain '${event.domain}': its loader is called again.`);
      case 'refresh-skipped':
        return this.domainEvents.refreshSkipped(event);
      case 'reconciliation':
        return this.domainEvents.reconciliation(event);
      case 'warming':
        return this.domainEvents.warming(event);
      case 'bypass':
        return this.bypass(event);
      case 'unpartitioned':
      case 'no-principal':
        if (event.error === undefined) return;
        return this.limited(
          event.type,
          `Domain '${event.domain}': the ${event.type === 'unpartitioned' ? 'partition' : 'principal'} function threw (${event.error}); the call was not cached.`,
        );
      case 'overload':
        this.logger.debug(`Key ${event.key}: refused by the ${event.bound} bound`);
        return this.limited(
          'overload',
          `Domain '${event.domain}': too many loads, the ${event.bound} bound refuses more.`,
        );
      default:
    }
  }

  /** Logs what was held back and ends the timers. */
  close(): void {
    this.closed = true;
    for (const [kind, { held, cancel }] of this.quiet) {
      cancel();
      this.summarize(kind, held);
    }
    this.quiet.clear();
  }

  private invalidation({ domain, scope, mode, outcome, count, rule }: InvalidationEvent): void {
    const what = `Domain '${domain}': ${count === 1 ? 'an invalidation' : `${count} invalidations`} (${scope}, ${mode})`;
    switch (outcome) {
      case 'applied':
        return;
      case 'pending':
        return this.limited(
          'pending invalidation',
          `${what} could not reach the store: kept in this process, and carried out first when the store is back.`,
        );
      case 'carried-out':
        return this.logger.debug(`${what} that had been kept: carried out.`);
      case 'coarsened':
        if (rule !== undefined) {
          return this.limited(
            `coarsened by ${rule}`,
            `Domain '${domain}': event rule ${rule} gave ${count} keys or tags for one event, too many: all of the domain is ` +
              'invalidated in their place. Give the loads a tag, and let the rule name that, or all: true.',
          );
        }
        return this.logger.warn(
          `Domain '${domain}': ${count} invalidations had been kept, too many: all of the domain is invalidated in their place.`,
        );
      case 'failed':
        // The last word on them, one line for each domain and scope.
        return this.logger.warn(
          `${what} still kept for the store: lost with this process; old values may be served until their TTL.`,
        );
    }
  }

  private advice({ code, text }: AdviceEvent): void {
    if (code === 'evicting') return this.limited(code, text);
    // In a cluster, what is wrong with one node is mostly wrong with all.
    if (this.advised.has(code)) return this.logger.debug(text);
    this.advised.add(code);
    // How most servers of a developer's machine are set up.
    if (code === 'no-memory-limit') this.logger.log(text);
    else this.logger.warn(text);
  }

  private storeState({ state, awayMs }: StoreStateEvent): void {
    const away = `after ${(awayMs / 1_000).toFixed(1)} s`;
    switch (state) {
      case 'away':
        return this.logger.warn(
          'The store does not answer: reads are answered by their loaders, invalidations are kept until it is back.',
        );
      case 'settling':
        return this.logger.log(
          `The store answers again ${away}: what was cached before is not fresh until all processes have carried out what they kept.`,
        );
      case 'up':
        return this.logger.log(`The store is in full use again ${away}.`);
    }
  }

  private unencodable({ domain, key, origin, path, detail }: UnencodableEvent): void {
    this.logger.debug(`Key ${key}: not encodable at ${path}`);
    this.once(
      `unencodable ${origin}`,
      `Domain '${domain}': what ${origin} returns cannot be cached as it is: ${path || 'the value'}: ${detail}. ` +
        'Set revive to restore class instances, or plain: true to flatten them.',
    );
  }

  private uncacheable({ domain, origin, reason, detail }: UncacheableEvent): void {
    const text = REASONS[reason];
    if (text === undefined) return;
    this.once(
      `${reason} ${origin}`,
      `Domain '${domain}': what ${origin} returns is not cached, because ${text} (${detail}).`,
    );
  }

  private bypass({ domain, origin, reason }: BypassEvent): void {
    const text = NEVER_CACHED[reason];
    if (text === undefined) return;
    this.once(`bypass ${origin}`, `Domain '${domain}': ${origin} is a route that is never cached, because it ${text}.`);
  }

  private once(id: string, message: string): void {
    if (this.warned.has(id) || this.warned.size >= MAX_ORIGINS) return;
    this.warned.add(id);
    this.logger.warn(message);
  }

  private limited(kind: string, message: string): void {
    const quiet = this.quiet.get(kind);
    if (quiet) {
      quiet.held++;
      return;
    }
    this.logger.warn(message);
    this.hold(kind);
  }

  private hold(kind: string): void {
    if (this.closed) return;
    const cancel = this.clock.schedule(QUIET_MS, () => {
      const held = this.quiet.get(kind)?.held ?? 0;
      this.quiet.delete(kind);
      if (held === 0) return;
      this.summarize(kind, held);
      this.hold(kind);
    });
    this.quiet.set(kind, { held: 0, cancel });
  }

  private summarize(kind: string, held: number): void {
    if (held > 0) this.logger.warn(`${held} more of kind '${kind}' in the last ${QUIET_MS / 1_000} s.`);
  }
}

function messageOf(error: unknown): string {
  return thrownText(error);
}

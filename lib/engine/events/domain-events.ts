import { readEvent, type PublishedEvent } from '../../core/domain-event.js';
import { CacheGuardConfigError } from '../../core/errors.js';
import { isRecord, OptionsChecker } from '../../core/field-checker.js';
import type { DeadLetterEvent, EventLagEvent, EventSourceErrorEvent } from '../../core/events.js';
import type { EventSink, EventSource, Failure, Verdict } from '../../core/event-source.js';
import type { RefreshJob, RefreshQueue } from '../../core/refresh-job.js';
import type { Rule } from '../../core/rules.js';
import type { CallMaker } from '../call-maker.js';
import type { Domains } from '../domains.js';
import type { Rooms } from '../rooms.js';
import { Actions } from './actions.js';
import { Following } from './following.js';
import { failedEvent, Intake } from './intake.js';
import { Refreshes } from './refreshes.js';
import { Remakes, type KeyLoader, type LoaderTarget } from './remakes.js';
import { Stakes } from './stakes.js';
import { WholeDomains } from './whole-domains.js';

const check: OptionsChecker = new OptionsChecker('CacheGuard.events');

/** The name under which rules know events that are published in the process. */
export const IN_PROCESS = 'in-process';

export interface DomainEventsOptions {
  readonly rules: readonly Rule[];
  /** What events want of one key within it becomes one action; milliseconds. */
  readonly mergeWindowMs: number;
  /** Default: the queue of this process. */
  readonly refreshes?: RefreshQueue;
}

/**
 * What became of a published event. `retry`: a rule or an action failed, and nothing will try again. `later`: the store is away; its
 * invalidations are kept in this process and carried out first on its return.
 */
export type PublishResult = Verdict;

/** Of a dead letter: custom sources may give any text. */
const MAX_REASON = 500;

const NOT_STARTED: Verdict = { kind: 'later', reason: 'the application has not started, or has shut down' };

/** Domain events and what the cache does about them. */
export class DomainEvents {
  private intake: Intake | undefined;
  private actions: Actions | undefined;
  private rules: readonly Rule[] = [];
  private followings: readonly Following[] = [];
  private stakes: Stakes;
  private queue: RefreshQueue;
  private readonly wholeDomains: WholeDomains;
  /** How values are made again when nobody asks for them. */
  readonly remakes = new Remakes();
  /** Makes them, in this process. */
  readonly refreshes: Refreshes;

  constructor(
    private readonly rooms: Rooms,
    private readonly domains: Domains,
    private readonly calls: CallMaker,
  ) {
    this.refreshes = new Refreshes(rooms, domains, calls, this.remakes);
    this.queue = this.refreshes;
    this.stakes = new Stakes([], domains);
    this.wholeDomains = new WholeDomains(rooms.parts.clock, domains, rooms.invalidations);
  }

  /** Applies the rules to an event of this process. Resolves once its actions are done; rejects for nothing. */
  async publish(event: PublishedEvent): Promise<PublishResult> {
    const [verdict] = await this.publishAll([event]);
    return verdict!;
  }

  /** As `publish`, for many at once. @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) for what is no list */
  async publishAll(events: readonly PublishedEvent[]): Promise<PublishResult[]> {
    if (!Array.isArray(events)) check.fail('publishAll', events, 'give a list of events');
    const verdicts = await this.deliver(IN_PROCESS, events);
    for (const [i, event] of events.map(readEvent).entries()) {
      if (!('malformed' in event)) this.noteWrite(event.type, verdicts[i]!);
    }
    return verdicts;
  }

  /** Who publishes an event has written what the rules say it concerns. */
  private noteWrite(type: string, { kind }: Verdict): void {
    for (const domain of this.stakes.domainsOf(IN_PROCESS, type)) {
      this.rooms.parts.sessions.wrote(domain, kind === 'done' ? 'applied' : 'pending', []);
    }
  }

  /**
   * For what receives events in ways of its own: as a source of that name would deliver them.
   *
   * @param tries how often they were delivered before, for events and logs
   */
  async deliver(source: string, events: readonly unknown[], tries = 0): Promise<Verdict[]> {
    if (!this.intake) return events.map(() => NOT_STARTED);
    return this.intake.take(
      source,
      events.map((event) => ({ event, tries })),
    );
  }

  /**
   * Says how the keys of a domain are loaded that no guarded method reads, for rules whose action is `refresh`.
   *
   * @throws CacheGuardConfigError (`CG_UNKNOWN_DOMAIN`, `CG_INVALID_OPTIONS` for a second one)
   */
  loader(target: string | LoaderTarget, load: KeyLoader): void {
    const given = typeof target === 'string' ? { domain: target } : target;
    if (!isRecord(given)) check.fail('loader', given, 'give the name of a domain, or an object with it');
    this.domains.policy(given.domain, given, 'events.loader');
    this.remakes.addLoader(given, load);
  }

  /**
   * What is published in this process is followed from now on.
   *
   * @throws CacheGuardConfigError (`CG_UNKNOWN_DOMAIN`, `CG_INVALID_RULE`)
   */
  configure({ rules, mergeWindowMs, refreshes = this.refreshes }: DomainEventsOptions): void {
    for (const rule of rules) this.check(rule);
    this.rules = rules;
    this.stakes = new Stakes(rules, this.domains);
    this.queue = refreshes;
    const recalled = rules.filter(({ action, givesArgs }) => action === 'refresh' && !givesArgs);
    this.rooms.parts.records.recordIn(recalled.map(({ domain }) => domain));
    const { parts, invalidations, writes } = this.rooms;
    const { domains, calls } = this;
    const { clock, hub, store, keys } = parts;
    const tag = keys.tag.bind(keys);
    this.actions = new Actions(
      { clock, calls, invalidations, writes, refreshes, now: (key) => store.now(key) },
      mergeWindowMs,
    );
    this.intake = new Intake({ rules, domains, calls, tag, ledger: store.ledger, actions: this.actions, hub });
  }

  /** Loads again what was invalidated without an event, as far as it is known how. Rejects as the queue does. */
  async refresh(jobs: readonly RefreshJob[]): Promise<void> {
    const known = jobs.filter(({ domain, name }) => this.remakes.get(domain, name));
    if (known.length > 0) await this.queue.enqueue(known);
  }

  /** Tells the guard's listeners what has become of events on a way of their own. */
  report(event: DeadLetterEvent | EventLagEvent | EventSourceErrorEvent): void {
    this.rooms.parts.hub.emit(event);
  }

  /**
   * Before an event is put aside: invalidates as a whole what it may have concerned, rarely however many events there are.
   *
   * @throws CacheGuardStoreError when the store has not confirmed that
   */
  giveUp(source: string, event: unknown): Promise<void> {
    return this.wholeDomains.seldom(this.stakes.concerned(source, event));
  }

  /** Tells that an event was put aside, after `giveUp`. */
  deadLettered(source: string, event: unknown, reason: string, failure: Failure = {}): void {
    const failed = failedEvent(event, failure);
    const domains = [...this.stakes.concerned(source, event)];
    this.rooms.parts.hub.emit({ type: 'dead-letter', source, reason: reason.slice(0, MAX_REASON), failed, domains });
  }

  /**
   * Begins to follow the sources; resolves when they are open, or have had 10 s for it.
   *
   * @param handled the names under which handlers of the application call `deliver`
   * @param work where refreshes come from that other processes have handed over
   * @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`, `CG_INVALID_RULE`)
   */
  async follow(sources: readonly EventSource[], handled: Iterable<string> = [], work?: EventSource): Promise<void> {
    this.checkNames(sources, handled);
    // A process without a rule for them would acknowledge what the others of its group have rules for.
    const followed = sources.filter(({ name, delivery }) => delivery === 'each' || this.stakes.typesOf(name).size > 0);
    const { clock } = this.rooms.parts;
    const followings = followed.map((source) => new Following(source, this.sinkOf(source), clock));
    this.followings = work ? [...followings, new Following(work, this.workSinkOf(work), clock)] : followings;
    try {
      await Promise.all(this.followings.map((following) => following.open()));
    } catch (error) {
      await Promise.all(this.followings.map((following) => following.close()));
      throw error;
    }
  }

  /** Resolves when every source has given back what it was dealing with, or its time for that is over. */
  async close(): Promise<void> {
    const closing = this.followings.map((following) => following.close());
    this.actions?.close();
    this.wholeDomains.close();
    // What it gives up, a source gives back.
    await this.refreshes.close();
    await Promise.all(closing);
    await this.queue.close?.();
    this.intake = undefined;
  }

  private workSinkOf({ name: source }: EventSource): EventSink {
    const { hub } = this.rooms.parts;
    return {
      types: [],
      deliver: (deliveries) => this.refreshes.take(deliveries),
      // What it asked for is loaded when somebody asks for it.
      giveUp: async () => {},
      deadLettered: (event, reason, failure) =>
        hub.emit({ type: 'dead-letter', source, reason, failed: failedEvent(event, failure ?? {}) }),
      lag: (lagMs) => hub.emit({ type: 'event-lag', source, lagMs }),
      trouble: (error) => hub.emit({ type: 'event-source-error', source, error }),
      // What waited is loaded when somebody asks for it.
      lost: async (reason) => hub.emit({ type: 'event-gap', source, reason }),
    };
  }

  private sinkOf({ name: source }: EventSource): EventSink {
    const { sourceHealth, parts } = this.rooms;
    const { hub } = parts;
    const borneOut = this.stakes.borneOutBy(source);
    return {
      types: [...this.stakes.typesOf(source)],
      rules: this.stakes.fingerprint(source),
      deliver: (deliveries) => this.intake!.take(source, deliveries),
      giveUp: (event) => this.giveUp(source, event),
      deadLettered: (event, reason, failure) => this.deadLettered(source, event, reason, failure),
      lag: (lagMs) => {
        hub.emit({ type: 'event-lag', source, lagMs });
        sourceHealth.said(source, lagMs, borneOut);
      },
      trouble: (error) => hub.emit({ type: 'event-source-error', source, error }),
      lost: async (reason) => {
        hub.emit({ type: 'event-gap', source, reason });
        await sourceHealth.gap(source, () => this.wholeDomains.atOnce(this.stakes.all(source)));
      },
    };
  }

  private check(rule: Rule): void {
    const policy = this.domains.policy(rule.domain, undefined, `event rule ${rule.place}`);
    if (rule.action === 'refresh' && policy.keep === 'nothing') {
      refuse(
        'CG_INVALID_RULE',
        `Event rule ${rule.place}: action = 'refresh' is refused, because domain '${rule.domain}' keeps nothing (stalePolicy 'no-store'); ` +
          'leave the rule out.',
      );
    }
    if (rule.scope !== 'key') return;
    const whose = policy.partition
      ? 'is partitioned'
      : this.domains.isPrivate(rule.domain, rule.name)
        ? 'is private'
        : undefined;
    if (!whose) return;
    refuse(
      'CG_INVALID_RULE',
      `Event rule ${rule.place}: key is refused, because what it names in domain '${rule.domain}' ${whose} and an event comes from nobody; ` +
        'use tags that the loads set, or all: true.',
    );
  }

  private checkNames(sources: readonly EventSource[], handled: Iterable<string>): void {
    const names = new Set([IN_PROCESS, ...handled]);
    for (const { name } of sources) {
      if (names.has(name))
        refuse('CG_INVALID_OPTIONS', `Two event sources are named '${name}'; give each a name of its own.`);
      names.add(name);
    }
    this.rooms.sourceHealth.check(new Set(sources.map(({ name }) => name)));
    for (const { from, place } of this.rules) {
      const unknown = [...(from ?? [])].find((name) => !names.has(name));
      if (unknown === undefined) continue;
      refuse(
        'CG_INVALID_RULE',
        `Event rule ${place}: from = '${unknown}' is refused; there is no event source of that name.`,
      );
    }
  }
}

function refuse(code: 'CG_INVALID_OPTIONS' | 'CG_INVALID_RULE', message: string): never {
  throw new CacheGuardConfigError(code, message, { field: 'events' });
}

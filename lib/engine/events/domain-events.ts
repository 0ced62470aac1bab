import type { PublishedEvent } from '../../core/domain-event.js';
import { CacheGuardConfigError } from '../../core/errors.js';
import type { EventSink, EventSource, Verdict } from '../../core/event-source.js';
import { domainGeneration } from '../../core/keys.js';
import type { RefreshQueue } from '../../core/refresh-job.js';
import type { Rule } from '../../core/rules.js';
import type { CallMaker } from '../call-maker.js';
import type { Domains } from '../domains.js';
import { defaultMode } from '../invalidations.js';
import type { Rooms } from '../rooms.js';
import { Actions } from './actions.js';
import { Intake } from './intake.js';

/** The name under which rules know events that are published in the process. */
export const IN_PROCESS = 'in-process';

export interface DomainEventsOptions {
  readonly rules: readonly Rule[];
  /** What events want of one key within it becomes one action; milliseconds. */
  readonly mergeWindowMs: number;
  readonly refreshes: RefreshQueue;
}

/**
 * What became of a published event. `retry`: a rule or an action failed, and nothing will try again. `later`: the store is away; its
 * invalidations are kept in this process and carried out first on its return.
 */
export type PublishResult = Verdict;

const NOT_STARTED: Verdict = { kind: 'later', reason: 'the application has not started, or has shut down' };

/** Domain events and what the cache does about them. */
export class DomainEvents {
  private intake: Intake | undefined;
  private actions: Actions | undefined;
  private rules: readonly Rule[] = [];
  private sources: readonly EventSource[] = [];

  constructor(
    private readonly rooms: Rooms,
    private readonly domains: Domains,
    private readonly calls: CallMaker,
  ) {}

  /** Applies the rules to an event of this process. Resolves once its actions are done; rejects for nothing. */
  async publish(event: PublishedEvent): Promise<PublishResult> {
    const [verdict] = await this.publishAll([event]);
    return verdict!;
  }

  /** As `publish`, for many at once. */
  async publishAll(events: readonly PublishedEvent[]): Promise<PublishResult[]> {
    return this.deliver(IN_PROCESS, events);
  }

  /** For what receives events in ways of its own: as a source of that name would deliver them. */
  async deliver(source: string, events: readonly unknown[]): Promise<Verdict[]> {
    if (!this.intake) return events.map(() => NOT_STARTED);
    return this.intake.take(
      source,
      events.map((event) => ({ event })),
    );
  }

  /**
   * What is published in this process is followed from now on.
   *
   * @throws CacheGuardConfigError (`CG_UNKNOWN_DOMAIN`, `CG_INVALID_RULE`)
   */
  configure({ rules, mergeWindowMs, refreshes }: DomainEventsOptions): void {
    for (const rule of rules) this.check(rule);
    this.rules = rules;
    const { parts, invalidations, writes } = this.rooms;
    const { domains, calls } = this;
    const { clock, hub, store } = parts;
    this.actions = new Actions({ clock, calls, invalidations, writes, refreshes }, mergeWindowMs);
    this.intake = new Intake({ rules, domains, calls, ledger: store.ledger, actions: this.actions, hub });
  }

  /**
   * Begins to follow the sources.
   *
   * @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`, `CG_INVALID_RULE`)
   */
  async follow(sources: readonly EventSource[]): Promise<void> {
    this.checkNames(sources);
    this.sources = sources;
    await Promise.all(sources.map((source) => source.open(this.sinkOf(source))));
  }

  /** Resolves when every source has given back what it was dealing with. */
  async close(): Promise<void> {
    const closing = this.sources.map((source) => source.close());
    this.actions?.close();
    await Promise.allSettled(closing);
    this.intake = undefined;
  }

  private sinkOf({ name: source }: EventSource): EventSink {
    const { hub } = this.rooms.parts;
    return {
      deliver: (deliveries) => this.intake!.take(source, deliveries),
      deadLettered: (_event, reason) => hub.emit({ type: 'dead-letter', source, reason }),
      lag: (lagMs) => hub.emit({ type: 'event-lag', source, lagMs }),
      trouble: (error) => hub.emit({ type: 'event-source-error', source, error }),
      lost: async (reason) => {
        hub.emit({ type: 'event-gap', source, reason });
        await this.invalidateFollowers(source);
      },
    };
  }

  private async invalidateFollowers(source: string): Promise<void> {
    const followers = this.rules.filter(({ from }) => !from || from.has(source)).map(({ domain }) => domain);
    await Promise.all(
      [...new Set(followers)].map((domain) => {
        const policy = this.domains.policy(domain);
        const generations = [domainGeneration(domain)];
        return this.rooms.invalidations.generations(policy, 'domain', generations, defaultMode(policy));
      }),
    );
  }

  private check(rule: Rule): void {
    const policy = this.domains.policy(rule.domain, undefined, `event rule ${rule.place}`);
    if (!policy.partition || rule.scope !== 'key') return;
    refuse(
      'CG_INVALID_RULE',
      `Event rule ${rule.place}: key is refused, because domain '${rule.domain}' is partitioned and an event comes from nobody's ` +
        'partition; use tags that the loads set, or all: true.',
    );
  }

  private checkNames(sources: readonly EventSource[]): void {
    const names = new Set([IN_PROCESS]);
    for (const { name } of sources) {
      if (names.has(name))
        refuse('CG_INVALID_OPTIONS', `Two event sources are named '${name}'; give each a name of its own.`);
      names.add(name);
    }
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

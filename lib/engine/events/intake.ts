import { identityOf, readEvent, type DomainEvent } from '../../core/domain-event.js';
import { CacheGuardError, errorKind, thrownText } from '../../core/errors.js';
import type { FailedEvent, InvalidationMode } from '../../core/events.js';
import type { Delivery, Failure, Verdict } from '../../core/event-source.js';
import { domainGeneration, type KeyPart } from '../../core/keys.js';
import type { Ledger } from '../../core/ledger.js';
import { fingerprintOf, isBadOutput, MAX_RULE_TARGETS, type Rule, type RuleTarget } from '../../core/rules.js';
import type { CallMaker } from '../call-maker.js';
import type { Domains } from '../domains.js';
import type { EventHub } from '../event-hub.js';
import type { KeyMaker } from '../key-maker.js';
import { modeOf } from '../invalidations.js';
import { nextTurn } from '../next-turn.js';
import type { ActionOutcome, Actions } from './actions.js';
import type { Wanted } from './wanted.js';

const DUPLICATE: Verdict = { kind: 'done', outcome: 'duplicate' };
const UNMATCHED: Verdict = { kind: 'done', outcome: 'unmatched' };
const APPLIED: Verdict = { kind: 'done', outcome: 'applied' };
const NO_FOLLOWERS: Followers = { rules: [], fingerprint: '' };

/** While so much is wanted that has not been done, no further event is begun. */
const MOST_WANTED = 10_000;
/** What is begun in one turn of the event loop of what an event wants. */
const AT_ONCE = 512;

export interface IntakeRooms {
  readonly rules: readonly Rule[];
  readonly domains: Domains;
  readonly calls: CallMaker;
  readonly tag: KeyMaker['tag'];
  readonly ledger: Ledger;
  readonly actions: Actions;
  readonly hub: EventHub;
}

interface Followers {
  readonly rules: readonly Rule[];
  /**
   * Of these rules: that an event was dealt with by others, of another source or application, says nothing about them.
   */
  readonly fingerprint: string;
}

interface Arrived {
  readonly event: DomainEvent;
  readonly identity: string;
  readonly rules: readonly Rule[];
}

/** From what a source delivers to what is done about it: reads, recognises repeats, applies the rules. */
export class Intake {
  private readonly byType = new Map<string, Rule[]>();
  private readonly followers = new Map<string, Followers>();
  /** What is being dealt with here: a repeat of it has the same fate. */
  private readonly underway = new Map<string, Promise<Verdict>>();
  /** What is wanted and not done. */
  private wanted = 0;
  /** Events that wait until less is. */
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly rooms: IntakeRooms) {
    for (const rule of rooms.rules) {
      for (const type of rule.on) this.byType.set(type, [...(this.byType.get(type) ?? []), rule]);
    }
  }

  /** Never rejects; verdicts in the order of the deliveries. */
  async take(source: string, deliveries: readonly Delivery[]): Promise<Verdict[]> {
    const verdicts: Promise<Verdict>[] = [];
    const fresh: { readonly arrived: Arrived; readonly settle: (verdict: Verdict) => void }[] = [];
    for (const { event: given } of deliveries) {
      const event = readEvent(given);
      if ('malformed' in event) {
        verdicts.push(Promise.resolve({ kind: 'poison', reason: event.malformed }));
        continue;
      }
      const { rules, fingerprint } = this.followersOf(source, event.type);
      if (rules.length === 0) {
        verdicts.push(Promise.resolve(UNMATCHED));
        continue;
      }
      const identity = identityOf(event) + fingerprint;
      const first = this.underway.get(identity);
      if (first) {
        verdicts.push(first.then((verdict) => (verdict.kind === 'done' ? DUPLICATE : verdict)));
        continue;
      }
      const verdict = new Promise<Verdict>((settle) => fresh.push({ arrived: { event, identity, rules }, settle }));
      this.underway.set(identity, verdict);
      verdicts.push(verdict);
    }
    if (fresh.length > 0) {
      const decided = await this.decide(fresh.map(({ arrived }) => arrived));
      fresh.forEach(({ arrived, settle }, i) => {
        this.underway.delete(arrived.identity);
        settle(decided[i]!);
      });
    }
    const all = await Promise.all(verdicts);
    this.tell(source, deliveries, all);
    return all;
  }

  private followersOf(source: string, type: string): Followers {
    const all = this.byType.get(type);
    if (!all) return NO_FOLLOWERS;
    const name = `${source.length}:${source}${type}`;
    let known = this.followers.get(name);
    if (!known) {
      const rules = all.filter(({ from }) => !from || from.has(source));
      const parts = rules.map(({ domain, name: space, place, action, scope, mode }) => [
        domain,
        space,
        place,
        action,
        scope,
        mode,
      ]);
      this.followers.set(name, (known = { rules, fingerprint: fingerprintOf(parts) }));
    }
    return known;
  }

  private async decide(arrived: readonly Arrived[]): Promise<Verdict[]> {
    // While the ledger is away nothing is known: to do something again is harmless, and what nobody delivers again would be lost.
    const known = await this.rooms.ledger.known(arrived.map(({ identity }) => identity)).catch(() => []);
    const verdicts = await Promise.all(arrived.map(async (one, i) => (known[i] ? DUPLICATE : this.apply(one))));
    const applied = arrived.filter((_, i) => verdicts[i] === APPLIED);
    // Unremembered, it is done again if it comes again, which is harmless.
    if (applied.length > 0) await this.rooms.ledger.remember(applied.map(({ identity }) => identity)).catch(() => {});
    return verdicts;
  }

  private async apply({ event, rules }: Arrived): Promise<Verdict> {
    if (this.wanted >= MOST_WANTED) await new Promise<void>((resolve) => this.waiting.push(resolve));
    const wanted: Wanted[] = [];
    const by: Rule[] = [];
    let verdict = APPLIED;
    for (const rule of rules) {
      try {
        // One by one: a list of a hundred thousand is too long for the arguments of one call.
        for (const one of this.wantedBy(rule, event)) {
          wanted.push(one);
          by.push(rule);
        }
      } catch (error) {
        // What the other rules want is done all the same: they may be another bounded context's.
        const reason = `rule ${rule.place}: ${messageOf(error)}`;
        if (verdict.kind === 'retry') continue;
        verdict = { kind: isBadOutput(error) ? 'poison' : 'retry', reason, ...failureOf(rule, error) };
      }
    }
    void this.isWanted(wanted.length);
    const outcomes = await this.done(wanted);
    void this.isWanted(-wanted.length);
    return outcomes.reduce((worst, outcome, i) => worse(worst, outcome, by[i]!), verdict);
  }

  private async done(wanted: readonly Wanted[]): Promise<ActionOutcome[]> {
    const doing: Promise<ActionOutcome>[] = [];
    for (let from = 0; from < wanted.length; from += AT_ONCE) {
      if (from > 0) await nextTurn();
      for (const one of wanted.slice(from, from + AT_ONCE)) doing.push(this.rooms.actions.do(one));
    }
    return Promise.all(doing);
  }

  private async isWanted(more: number): Promise<void> {
    this.wanted += more;
    if (this.waiting.length === 0) return;
    // Not all of them in one turn of the event loop.
    await nextTurn();
    if (this.wanted < MOST_WANTED) this.waiting.shift()?.();
  }

  private wantedBy(rule: Rule, event: DomainEvent): Wanted[] {
    const policy = this.rooms.domains.policy(rule.domain);
    const mode = modeOf(policy, rule.mode);
    const whole: Wanted = { scope: 'domain', policy, generation: domainGeneration(rule.domain), mode };
    if (rule.scope === 'domain') return [whole];
    const targets = rule.targets(event);
    if ('tooMany' in targets) {
      if (rule.action === 'update') throw refused(rule, targets.tooMany);
      this.tellCoarsened(rule, mode, targets.tooMany);
      return [whole];
    }
    if (rule.scope === 'tag') {
      const generations = new Set(targets.map(({ name }) => this.rooms.tag(rule.domain, name)));
      return [...generations].map((generation) => ({ scope: 'tag', policy, generation, mode }));
    }
    if (targets.length === 0) return [];
    const version = rule.version(event);
    const update = rule.action === 'update' ? { value: rule.value(event), version: version! } : undefined;
    const invalidate = rule.action === 'update' ? undefined : { mode, always: version === undefined, version };
    return targets.map(({ name: given, args }: RuleTarget) => {
      const keyInput = given as KeyPart;
      const { domain, name } = rule;
      return {
        scope: 'key',
        policy,
        key: this.rooms.calls.keyOrRefuse(policy, { domain, name, key: keyInput }),
        name,
        keyInput,
        invalidate,
        update,
        refresh: rule.action === 'refresh' ? { args } : undefined,
      };
    });
  }

  private tellCoarsened({ domain, place }: Rule, mode: InvalidationMode, count: number): void {
    this.rooms.hub.emit({
      type: 'invalidation',
      domain,
      scope: 'domain',
      mode,
      outcome: 'coarsened',
      count,
      rule: place,
    });
  }

  private tell(source: string, deliveries: readonly Delivery[], verdicts: readonly Verdict[]): void {
    const counts = new Map<string, number>();
    for (const verdict of verdicts) {
      const outcome = verdict.kind === 'done' ? verdict.outcome : verdict.kind;
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    }
    for (const [outcome, count] of counts) {
      const at = verdicts.findIndex((verdict) => verdict.kind === outcome);
      const first = verdicts[at];
      const { event, tries } = deliveries[at] ?? {};
      const told =
        first && first.kind !== 'done'
          ? { reason: first.reason, failed: failedEvent(event, { ...first, attempt: tries! + 1 }) }
          : { reason: undefined };
      this.rooms.hub.emit({ type: 'domain-events', source, outcome: outcome as never, count, ...told });
    }
  }
}

/** What may be told of an event that failed. */
export function failedEvent(given: unknown, { rule, error, attempt }: Failure): FailedEvent {
  const event = readEvent(given);
  const known = 'malformed' in event ? {} : { eventType: event.type, eventId: event.id };
  return { ...known, rule, error, attempt };
}

function failureOf({ place, domain }: Rule, error: unknown): Failure {
  return { rule: `${place} of domain '${domain}'`, error: errorKind(error) };
}

function refused({ domain, place }: Rule, count: number): CacheGuardError {
  return new CacheGuardError(
    'CG_INVALID_RULE',
    `Event rule ${place}: keys gave ${count}, and one event may update at most ${MAX_RULE_TARGETS}; let it invalidate tags that the ` +
      'loads set or all: true, or publish several events.',
    { domain, field: 'keys' },
  );
}

function worse(verdict: Verdict, outcome: ActionOutcome, rule: Rule): Verdict {
  if (outcome.kind === 'applied' || verdict.kind === 'retry') return verdict;
  if (outcome.kind === 'later') return { kind: 'later', reason: outcome.reason };
  return { kind: 'retry', reason: messageOf(outcome.error), ...failureOf(rule, outcome.error) };
}

function messageOf(error: unknown): string {
  return thrownText(error, { named: true }).slice(0, 200);
}

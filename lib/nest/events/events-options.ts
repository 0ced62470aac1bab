import type { Duration } from '../../core/durations.js';
import type { EventSource } from '../../core/event-source.js';
import { OptionsChecker } from '../../core/field-checker.js';
import { readRule, type EventRule, type Rule } from '../../core/rules.js';
import type { SourceEnvironment } from './source-environment.js';

/** An event source, or what makes one from what the module knows. */
export type EventSourceOption = EventSource | ((environment: SourceEnvironment) => EventSource | Promise<EventSource>);

/** `web`: hands work that nobody waits for to the workers. `worker`: does it. `both`: does its own and that of others. */
export type Role = 'web' | 'worker' | 'both';

/** Domain events that the cache follows. */
export interface EventsOptions {
  /** What is done about which events; modules add theirs with `forFeature`, methods with `@Follows`. */
  readonly rules?: readonly EventRule[];
  /** Where events come from, besides those that this process publishes itself. */
  readonly sources?: readonly EventSourceOption[];
  /** What events want of one key within this time becomes one action; at most `'10s'`. Default `'50ms'`. */
  readonly mergeWindow?: Duration;
}

export interface EventsSettings {
  readonly rules: readonly Rule[];
  readonly sources: readonly EventSourceOption[];
  readonly mergeWindowMs: number;
}

const FIELDS = ['rules', 'sources', 'mergeWindow'] satisfies (keyof EventsOptions)[];

/** What is held back for longer could as well be found by reconciliation; a stream would hand it to somebody else meanwhile. */
const MAX_MERGE_WINDOW_MS = 10_000;

const check: OptionsChecker = new OptionsChecker('CacheGuardModule');

/** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`, `CG_INVALID_RULE`) */
export function readEvents(given: EventsOptions | undefined): EventsSettings {
  const { rules = [], sources = [], mergeWindow } = check.record('events', given, FIELDS) ?? {};
  if (!Array.isArray(sources)) check.failSecret('events.sources', sources, 'give a list of event sources');
  return {
    rules: readRules(rules, 'events.rules'),
    sources: sources.map((source: EventSourceOption, i) => checked(source, `events.sources[${i}]`)),
    mergeWindowMs: check.duration('events.mergeWindow', mergeWindow, 50, 0, MAX_MERGE_WINDOW_MS),
  };
}

/** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`, `CG_INVALID_RULE`) */
export function readRules(rules: readonly EventRule[], place: string): Rule[] {
  if (!Array.isArray(rules)) check.fail(place, rules, 'give a list of rules');
  return rules.map((rule, i) => readRule(rule as EventRule, `${place}[${i}]`));
}

/** What a function makes can be looked at only once it has been called. */
function checked(given: EventSourceOption, place: string): EventSourceOption {
  if (typeof given !== 'function') return readSource(given, place);
  return async (environment) => readSource(await given(environment), place);
}

function readSource(source: EventSource, place: string): EventSource {
  // Sources hold connections, and those passwords.
  if (typeof source !== 'object' || source === null) {
    check.failSecret(
      place,
      source,
      'give an event source, such as redisStream({ stream }), or a function that makes one',
    );
  }
  check.name(`${place}.name`, source.name);
  if (!['shared', 'each'].includes(source.delivery)) {
    check.fail(`${place}.delivery`, source.delivery, "give 'shared' or 'each'");
  }
  check.needFns(place, source, { open: '(sink) => Promise', close: '() => Promise' });
  return source;
}

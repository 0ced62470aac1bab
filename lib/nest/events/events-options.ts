import { parseDuration, type Duration } from '../../core/durations.js';
import { CacheGuardConfigError, describeValue } from '../../core/errors.js';
import type { EventSource } from '../../core/event-source.js';
import { isRecord } from '../../core/field-checker.js';
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
  /** What events want of one key within this time becomes one action. Default `'50ms'`. */
  readonly mergeWindow?: Duration;
}

export interface EventsSettings {
  readonly rules: readonly Rule[];
  readonly sources: readonly EventSourceOption[];
  readonly mergeWindowMs: number;
}

const FIELDS = ['rules', 'sources', 'mergeWindow'] satisfies (keyof EventsOptions)[];

/** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`, `CG_INVALID_RULE`) */
export function readEvents(given: EventsOptions = {}): EventsSettings {
  if (!isRecord(given)) refuse('events', given, `give an object with ${FIELDS.join(', ')}`);
  for (const [field, value] of Object.entries(given)) {
    if (!FIELDS.includes(field as (typeof FIELDS)[number]))
      refuse(`events.${field}`, value, `the fields are ${FIELDS.join(', ')}`);
  }
  const { rules = [], sources = [], mergeWindow = 50 } = given;
  if (!Array.isArray(sources)) refuse('events.sources', sources, 'give a list of event sources');
  for (const [i, source] of (sources as readonly unknown[]).entries()) {
    if (!isSource(source))
      refuse(`events.sources[${i}]`, source, 'give an event source, such as redisStream({ stream })');
  }
  const mergeWindowMs = parseDuration(mergeWindow);
  if (mergeWindowMs === undefined)
    refuse('events.mergeWindow', mergeWindow, "give milliseconds or a text such as '50ms'");
  return { rules: readRules(rules, 'events.rules'), sources, mergeWindowMs };
}

/** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`, `CG_INVALID_RULE`) */
export function readRules(rules: readonly EventRule[], place: string): Rule[] {
  if (!Array.isArray(rules)) refuse(place, rules, 'give a list of rules');
  return rules.map((rule, i) => readRule(rule as EventRule, `${place}[${i}]`));
}

function isSource(source: unknown): boolean {
  if (typeof source === 'function') return true;
  const { name, open, close } = (source ?? {}) as Partial<EventSource>;
  return typeof name === 'string' && typeof open === 'function' && typeof close === 'function';
}

function refuse(field: string, value: unknown, mend: string): never {
  throw new CacheGuardConfigError(
    'CG_INVALID_OPTIONS',
    `CacheGuardModule: ${field} = ${describeValue(value)} is refused; ${mend}.`,
    { field },
  );
}

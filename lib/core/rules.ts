import { crc32 } from 'node:zlib';
import type { DomainEvent } from './domain-event.js';
import { CacheGuardConfigError, CacheGuardError, describeValue, isCacheGuardError } from './errors.js';
import type { InvalidationMode } from './events.js';
import { isRecord } from './field-checker.js';
import type { KeyPart } from './keys.js';
import { isPromise, type NoPromise } from './promises.js';
import { MAX_VERSION } from './version.js';

export type RuleAction = 'invalidate' | 'refresh' | 'update';

/** Of one event, a rule names at most so many keys or tags. Where it gives more, all of its domain is invalidated in their place. */
export const MAX_RULE_TARGETS = 10_000;

interface RuleCommon {
  /** The event types that it follows. */
  readonly on: string | readonly string[];
  readonly domain: string;
  /** The event sources that it follows, by name. Default: all. */
  readonly from?: string | readonly string[];
  /** As with `invalidate`. Default: mark stale where the domain allows stale serving, else remove. */
  readonly mode?: InvalidationMode;
}

interface ToKeys extends RuleCommon {
  /** The `name` of the guarded method that reads the keys. Default: the domain's own space. */
  readonly name?: string;
  /**
   * The version of the source's data that the event tells of, counted as the loads count it with `setVersion`. What is cached and as new
   * is left alone; loads that give an older one are not cached any more.
   */
  version?(event: DomainEvent): bigint | number | undefined;
  readonly tags?: never;
  readonly all?: never;
}

interface ToOneKey extends ToKeys {
  /** `undefined`: the event does not concern the domain. */
  key(event: DomainEvent): NoPromise<KeyPart> | undefined;
  readonly keys?: never;
}

interface ToManyKeys extends ToKeys {
  /** At most 10,000; of more, all of the domain is invalidated in their place, and `update` refuses the event. */
  keys(event: DomainEvent): readonly NoPromise<KeyPart>[];
  readonly key?: never;
}

/** `refresh` invalidates, and then loads the value again, once in the fleet, behind waiting people. */
interface Reloads {
  readonly action?: 'invalidate' | 'refresh';
  readonly value?: never;
}

/** The value comes with the event. An older event that comes later must not replace a newer one: hence the version. */
interface Updates {
  readonly action: 'update';
  value(event: DomainEvent<NoPromise>): NoPromise;
  version(event: DomainEvent): bigint | number;
}

interface ToTags extends RuleCommon {
  /** At most 10,000; of more, all of the domain is invalidated in their place. */
  tags(event: DomainEvent): readonly string[];
  readonly action?: 'invalidate';
  readonly name?: never;
  readonly key?: never;
  readonly keys?: never;
  readonly all?: never;
}

interface ToAll extends RuleCommon {
  /** Everything of the domain. */
  readonly all: true;
  readonly action?: 'invalidate';
  readonly name?: never;
  readonly key?: never;
  readonly keys?: never;
  readonly tags?: never;
}

/** What the cache does about events of a type: exactly one of `key`, `keys`, `tags` and `all`. */
export type EventRule = ((ToOneKey | ToManyKeys) & (Reloads | Updates)) | ToTags | ToAll;

export interface RuleTarget {
  /** A key or a tag, unchecked. */
  readonly name: unknown;
  /** The arguments with which the guarded method is called again, where the rule knows them. */
  readonly args?: readonly unknown[] | undefined;
}

/** A rule named more than `MAX_RULE_TARGETS`. */
export interface TooMany {
  readonly tooMany: number;
}

/** A rule with its defaults applied. */
export interface Rule {
  readonly on: ReadonlySet<string>;
  readonly domain: string;
  /** `undefined`: all. */
  readonly from: ReadonlySet<string> | undefined;
  readonly name: string | undefined;
  readonly action: RuleAction;
  readonly mode: InvalidationMode | undefined;
  readonly scope: 'key' | 'tag' | 'domain';
  /** Its targets say with which arguments their method is called. */
  readonly givesArgs?: boolean;
  /** Where it was written, for errors. */
  readonly place: string;
  /** The keys or tags that an event concerns; none for the whole domain. */
  targets(event: DomainEvent): readonly RuleTarget[] | TooMany;
  version(event: DomainEvent): bigint | undefined;
  value(event: DomainEvent): unknown;
}

// prettier-ignore
const KNOWN: ReadonlySet<string> = new Set([
  'on', 'domain', 'from', 'name', 'key', 'keys', 'tags', 'all', 'version', 'action', 'value', 'mode',
]);
const ACTIONS: readonly unknown[] = ['invalidate', 'refresh', 'update'] satisfies RuleAction[];
const MODES: readonly unknown[] = [undefined, 'expire', 'remove', 'purge'];

/**
 * @param place where it was written, e.g. `events.rules[2]`
 * @throws CacheGuardConfigError (`CG_INVALID_RULE`) naming the place, the field, the value and the mend
 */
export function readRule(given: EventRule, place: string): Rule {
  if (!isRecord(given))
    refuse(place, 'the rule', given, 'give an object with on, domain and one of key, keys, tags, all');
  // As written by somebody whom no compiler helped.
  const rule = given as unknown as Readonly<Record<string, unknown>>;
  for (const [field, value] of Object.entries(rule)) {
    if (!KNOWN.has(field)) refuse(place, field, value, `the fields are ${[...KNOWN].join(', ')}`);
  }
  const { domain, name, action = 'invalidate', mode } = rule;
  if (typeof domain !== 'string') refuse(place, 'domain', domain, 'name a registered domain');
  const on = names(place, 'on', rule['on'], 'an event type');
  const from = rule['from'] === undefined ? undefined : names(place, 'from', rule['from'], 'an event source');
  if (name !== undefined && (typeof name !== 'string' || name === '')) refuse(place, 'name', name, 'give a text');
  if (!ACTIONS.includes(action)) refuse(place, 'action', action, `use one of ${ACTIONS.join(', ')}`);
  if (!MODES.includes(mode)) refuse(place, 'mode', mode, 'use one of expire, remove, purge');
  for (const field of ['key', 'keys', 'tags', 'version', 'value']) {
    if (rule[field] !== undefined && typeof rule[field] !== 'function') {
      refuse(place, field, rule[field], 'give a function of the event');
    }
  }
  if (rule['all'] !== undefined && rule['all'] !== true) refuse(place, 'all', rule['all'], 'leave it out or give true');
  const chosen = ['key', 'keys', 'tags', 'all'].filter((field) => rule[field] !== undefined);
  if (chosen.length !== 1) {
    refuse(place, 'target', chosen.join(' and ') || undefined, 'give exactly one of key, keys, tags and all: true');
  }
  const functions = given as unknown as Functions;
  const { key, keys, tags, version, value } = functions;
  const scope = key || keys ? 'key' : tags ? 'tag' : 'domain';
  if (scope !== 'key') {
    for (const field of ['name', 'version', 'value']) {
      if (rule[field] !== undefined) refuse(place, field, rule[field], 'it goes with key or keys');
    }
    if (action !== 'invalidate') refuse(place, 'action', action, 'tags and all can be invalidated only');
  }
  if (action === 'update' && !value) refuse(place, 'value', value, 'update needs value: (event) => the value to cache');
  if (action !== 'update' && value) refuse(place, 'value', value, "it goes with action: 'update'");
  if (action === 'update' && !version) {
    refuse(
      place,
      'version',
      version,
      'update needs version: (event) => version, or a late event would bring back what is old',
    );
  }
  return {
    on,
    domain,
    from,
    name,
    action: action as RuleAction,
    mode: mode as InvalidationMode | undefined,
    scope,
    place,
    targets: (event) => targetsOf(functions, event),
    version: (event) => {
      const known = version && atOnce('version', version.call(functions, event));
      // A value without one could bring back what is old.
      return known === undefined && action !== 'update' ? undefined : versionOf(known);
    },
    value: (event) => value && atOnce('value', value.call(functions, event)),
  };
}

const BAD_OUTPUT = ['CG_UNUSABLE_KEY', 'CG_INVALID_VERSION', 'CG_INVALID_RULE'] as const;

/** A rule's function gave what cannot be used: the same event makes it give the same again. What such a function throws may pass. */
export function isBadOutput(error: unknown): boolean {
  return BAD_OUTPUT.some((code) => isCacheGuardError(error, code));
}

/** Short, and the same in every process, for rules that do the same. Functions are not part of it. */
export function fingerprintOf(parts: unknown): string {
  return crc32(JSON.stringify(parts)).toString(36);
}

interface Functions {
  readonly key?: (this: unknown, event: DomainEvent) => unknown;
  readonly keys?: (this: unknown, event: DomainEvent) => unknown;
  readonly tags?: (this: unknown, event: DomainEvent) => unknown;
  readonly version?: (this: unknown, event: DomainEvent) => unknown;
  readonly value?: (this: unknown, event: DomainEvent) => unknown;
}

function targetsOf(rule: Functions, event: DomainEvent): readonly RuleTarget[] | TooMany {
  if (rule.key) {
    const name = atOnce('key', rule.key(event));
    return name === undefined ? [] : [{ name }];
  }
  if (!rule.keys && !rule.tags) return [];
  const field = rule.keys ? 'keys' : 'tags';
  const list = atOnce(field, rule.keys ? rule.keys(event) : rule.tags!(event));
  // Before anything is done with one of them: it may be a list without end.
  if (Array.isArray(list) && list.length > MAX_RULE_TARGETS) return { tooMany: list.length };
  if (Array.isArray(list)) return list.map((name: unknown) => ({ name: atOnce(field, name) }));
  throw new CacheGuardError('CG_UNUSABLE_KEY', `${field} gave ${describeValue(list)}; give a list.`);
}

/** What a rule's function gave. @throws CacheGuardError (`CG_INVALID_RULE`) for a promise: whatever it will give, nobody waits for it */
export function atOnce<T>(field: string, given: T): T {
  if (!isPromise(given)) return given;
  const mend = 'rules are applied at once: make the function synchronous, and let the event bring what it needs';
  throw new CacheGuardError('CG_INVALID_RULE', `${field} gave a promise; ${mend}.`, { field });
}

function versionOf(given: unknown): bigint {
  const version = typeof given === 'number' && Number.isSafeInteger(given) ? BigInt(given) : given;
  if (typeof version === 'bigint' && version >= 0n && version <= MAX_VERSION) return version;
  throw new CacheGuardError(
    'CG_INVALID_VERSION',
    `version gave ${describeValue(given)}; give a bigint or a whole number, from 0 to 2^64 - 1.`,
  );
}

function names(place: string, field: string, given: unknown, what: string): ReadonlySet<string> {
  const list: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (list.length === 0 || !list.every((one) => typeof one === 'string' && one !== '')) {
    refuse(place, field, given, `give the name of ${what}, or a list of them`);
  }
  return new Set(list as readonly string[]);
}

function refuse(place: string, field: string, value: unknown, mend: string): never {
  throw new CacheGuardConfigError(
    'CG_INVALID_RULE',
    `Event rule ${place}: ${field} = ${describeValue(value)} is refused; ${mend}.`,
    { field },
  );
}

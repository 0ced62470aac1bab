import { isCacheGuardError } from '../core/errors.js';
import type { InvalidationMode } from '../core/events.js';
import type { Scope } from '../core/policy.js';
import { carryOut, deferred } from './after-write.js';
import { lastingKey, lastingKeys, lastingTags, requireWhose } from './call-keys.js';
import { checkOptions } from './decorator-options.js';
import type { GuardedMethodDecorator, KeyFunction, KeysFunction, TagsFunction } from './decorator-types.js';
import type { InvalidatesDefinition } from './metadata.js';
import { guardMethod, invalidDecoration, placeOf, type GuardedCall } from './method-wrapper.js';

interface InvalidatesCommon {
  readonly domain: string;
  /** Default: mark stale where the domain allows stale serving, else remove. */
  readonly mode?: InvalidationMode;
  /**
   * `success`: after the method has resolved. `settled`: also after it has rejected, for writes whose outcome is then unknown.
   * Default `success`.
   */
  readonly when?: 'success' | 'settled';
}

interface OneKey<Key> {
  /** Makes the key from the arguments. */
  readonly key: Key;
  /** The `name` of the guarded method that reads the key. Default: the domain's own space. */
  readonly name?: string;
  /** `'private'` where that method narrows its domain's scope: the caller's own value is meant. Default: the domain's. */
  readonly scope?: Scope;
  readonly keys?: never;
  readonly tags?: never;
  readonly all?: never;
}

interface ManyKeys<Keys> {
  /** Makes any number of keys from the arguments. */
  readonly keys: Keys;
  /** The `name` of the guarded method that reads the keys. Default: the domain's own space. */
  readonly name?: string;
  /** `'private'` where that method narrows its domain's scope: the caller's own values are meant. Default: the domain's. */
  readonly scope?: Scope;
  readonly key?: never;
  readonly tags?: never;
  readonly all?: never;
}

interface ByTags<Tags> {
  /** Makes tags from the arguments: everything of the domain that carries one of them. */
  readonly tags: Tags;
  readonly name?: never;
  readonly scope?: never;
  readonly key?: never;
  readonly keys?: never;
  readonly all?: never;
}

interface WholeDomain {
  /** Everything of the domain. */
  readonly all: true;
  readonly name?: never;
  readonly scope?: never;
  readonly key?: never;
  readonly keys?: never;
  readonly tags?: never;
}

/** What `@Invalidates` takes: exactly one of `key`, `keys`, `tags` and `all`. */
export type InvalidatesOptions<Key = KeyFunction, Keys = KeysFunction, Tags = TagsFunction> = InvalidatesCommon &
  (OneKey<Key> | ManyKeys<Keys> | ByTags<Tags> | WholeDomain);

/**
 * Invalidates cached values after a method that writes. Keys and tags are made from the arguments before the method runs, so
 * that a write never happens whose invalidation is impossible. May be stacked.
 *
 * Inside a transaction the module's `afterCommit` defers it. A store that is away never fails the write: the event
 * `invalidation` with outcome `failed` tells.
 *
 * @throws CacheGuardConfigError (`CG_INVALID_DECORATION`) when the class is defined. A call rejects with CacheGuardError
 * (`CG_UNUSABLE_KEY`) before the method has run, or with what the method throws.
 */
export function Invalidates<
  Key extends KeyFunction = never,
  Keys extends KeysFunction = never,
  Tags extends TagsFunction = never,
>(options: InvalidatesOptions<Key, Keys, Tags>): GuardedMethodDecorator<Key | Keys, Tags> {
  return (target, propertyKey, descriptor) => {
    checkOptions('@Invalidates', target, propertyKey, options);
    const { domain, key, keys, tags, all = false, name, scope, mode, when = 'success' } = options;
    const chosen = { domain, key, keys, tags, all, name, scope, mode, when };
    const definition: InvalidatesDefinition = { kind: 'invalidates', ...chosen };
    checkDefinition(definition, placeOf(target, propertyKey));
    guardMethod(target, propertyKey, descriptor, definition, (call) => write(call, definition));
  };
}

function checkDefinition({ key, keys, tags, all, name, scope, when }: InvalidatesDefinition, place: string): void {
  const chosen = [key, keys, tags, all || undefined].filter((choice) => choice !== undefined);
  if (chosen.length !== 1) {
    throw invalidDecoration('@Invalidates', place, 'give exactly one of key, keys, tags and all: true');
  }
  if (name !== undefined && !key && !keys) {
    throw invalidDecoration('@Invalidates', place, 'name goes with key or keys; tags and all reach every name');
  }
  if (scope !== undefined && !key && !keys) {
    throw invalidDecoration('@Invalidates', place, 'scope goes with key or keys; tags and all reach everybody');
  }
  if (when !== 'success' && when !== 'settled') {
    throw invalidDecoration('@Invalidates', place, "when is 'success' or 'settled'");
  }
}

async function write(call: GuardedCall, definition: InvalidatesDefinition): Promise<unknown> {
  const invalidate = prepare(call, definition);
  let result: unknown;
  try {
    result = await call.proceed();
  } catch (error) {
    // What returned no promise may have written all the same.
    if (definition.when === 'settled' || isCacheGuardError(error, 'CG_NOT_A_PROMISE')) {
      // The transaction may be rolled back, and what was written outside of it stays: now, and again if it commits.
      deferred(call, invalidate);
      await carryOut(call, invalidate);
    }
    throw error;
  }
  if (!deferred(call, invalidate)) await carryOut(call, invalidate);
  return result;
}

function prepare(call: GuardedCall, definition: InvalidatesDefinition): () => Promise<unknown> {
  const { guard } = call.engine;
  const { domain, key, keys, tags, name, scope, mode } = definition;
  if (tags) {
    const target = { domain, tags: lastingTags(call, domain, tags), mode };
    return async () => target.tags.length > 0 && guard.invalidateTags(target);
  }
  if (keys) {
    const whose = requireWhose(call, domain, scope);
    const target = { domain, keys: lastingKeys(call, domain, keys), name, mode, ...whose };
    return async () => target.keys.length > 0 && guard.invalidate(target);
  }
  if (key) {
    const whose = requireWhose(call, domain, scope);
    const target = { domain, key: lastingKey(call, domain, key), name, mode, ...whose };
    return () => guard.invalidate(target);
  }
  return () => guard.invalidateDomain(domain, { mode });
}

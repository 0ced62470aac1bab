import { isCacheGuardError } from '../core/errors.js';
import type { FreshnessOverrides } from '../core/policy.js';
import type { Revive, ValueOptions } from '../core/values.js';
import { METHOD_ARGS, type MethodTarget } from '../engine/call.js';
import type { PlannedCall } from '../engine/events/remakes.js';
import { keyErrorOf, keyOf, tagsOf } from './call-keys.js';
import type { GuardedMethodDecorator, KeyFunction, TagsFunction } from './decorator-types.js';
import { checkOptions } from './decorator-options.js';
import { keepingOf, spaceOf, type CachedDefinition } from './metadata.js';
import { guardMethod, type GuardedCall } from './method-wrapper.js';

/** What `@Cached` takes. */
export interface CachedOptions<Key = KeyFunction, Tags = TagsFunction, Revived = Revive<unknown>>
  extends FreshnessOverrides, Omit<ValueOptions, 'revive'> {
  /** The bounded context whose policy applies. */
  readonly domain: string;
  /**
   * Makes the key from the arguments; annotate its parameters with the types of the method's. Left out: the key is derived from
   * all arguments, in a space of the method's own.
   */
  readonly key?: Key;
  /**
   * A space of keys within the domain, by which `invalidate` and the other decorators reach it. Default: the domain's own space for
   * an explicit `key`, else `Class.method`, where the class is that of the object.
   */
  readonly name?: string;
  /** Says that other methods keep the same values under the same keys; to be set on each of them. Default `false`. */
  readonly shared?: boolean;
  /** Labels under which values can be invalidated together. */
  readonly tags?: Tags;
  readonly revive?: Revived;
}

/**
 * Keeps what a method resolves to, by the policy of a domain. `softTtl`, `hardTtl` and `stalePolicy` override it within its
 * freshness class; contradictions are refused at boot.
 *
 * The method must return a promise. Objects that were made without Nest, or in an application without the module, run uncached.
 *
 * @throws CacheGuardConfigError (`CG_INVALID_DECORATION`) when the class is defined. A call rejects with CacheGuardError
 * (`CG_UNUSABLE_KEY`, `CG_NOT_A_PROMISE`), with what the method throws, or with this library's time-out and overload errors.
 */
export function Cached<
  Key extends KeyFunction = never,
  Tags extends TagsFunction = never,
  Revived extends Revive<unknown> = Revive<unknown>,
>(options: CachedOptions<Key, Tags, Revived>): GuardedMethodDecorator<Key, Tags, Revived> {
  return (target, propertyKey, descriptor) => {
    checkOptions('@Cached', target, propertyKey, options);
    const { domain, key, name, shared = false, tags } = options;
    const definition: CachedDefinition = {
      kind: 'cached',
      domain,
      key,
      name,
      shared,
      tags,
      keeping: keepingOf(options),
    };
    guardMethod(target, propertyKey, descriptor, definition, (call) => read(call, definition));
  };
}

/** What loaders threw: an error about a key that passes through from a call inside the method is not about this method's key. */
const thrownInside = new WeakSet<object>();

async function read(call: GuardedCall, definition: CachedDefinition): Promise<unknown> {
  if (!call.engine.caching) return call.proceed();
  const { domain } = definition;
  const { target, load } = planRead(call, definition);
  try {
    return await call.engine.guard.getOrLoad(target, load);
  } catch (error) {
    if (!isCacheGuardError(error, 'CG_UNUSABLE_KEY') || thrownInside.has(error)) throw error;
    throw keyErrorOf(call, domain, definition.key, error);
  }
}

/** What such a call reads, and how it loads it. */
export function planRead(call: GuardedCall, definition: CachedDefinition): PlannedCall {
  const { domain } = definition;
  const target: MethodTarget = {
    domain,
    key: keyOf(call, domain, definition.key),
    name: spaceOf(definition, call.method),
    tags: tagsOf(call, domain, definition.tags),
    origin: call.method,
    [METHOD_ARGS]: call.args,
    ...definition.keeping,
  };
  return { target, load: () => remembering(call.proceed) };
}

async function remembering(proceed: () => Promise<unknown>): Promise<unknown> {
  try {
    return await proceed();
  } catch (error) {
    if (isCacheGuardError(error)) thrownInside.add(error);
    throw error;
  }
}

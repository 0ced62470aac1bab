import type { FreshnessOverrides } from '../core/policy.js';
import type { Revive, ValueOptions } from '../core/values.js';
import { keyErrorOf } from './call-keys.js';
import type { GuardedMethodDecorator, KeyFunction, ProjectFunction, TagsFunction } from './decorator-types.js';
import { checkOptions } from './decorator-options.js';
import { readHttpOptions } from './http/http-options.js';
import type { HttpRouteOptions } from './http/http-settings.js';
import { routeOf } from './http/route-of.js';
import { readRoute } from './http/route-read.js';
import { keepingOf, type CachedDefinition } from './metadata.js';
import { guardMethod, placeOf, type GuardedCall } from './method-wrapper.js';
import { hasNoKey, planRead, projected } from './planned-read.js';

/** What `@Cached` takes. */
export interface CachedOptions<
  Key = KeyFunction,
  Tags = TagsFunction,
  Revived = Revive<unknown>,
  Projected = ProjectFunction,
>
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
  /** How the method is cached as a route; for controllers only. */
  readonly http?: HttpRouteOptions;
  /** Labels under which values can be invalidated together. */
  readonly tags?: Tags;
  readonly revive?: Revived;
  /**
   * Redacts: makes of what the method gives what may be kept. That is what its callers get, on misses as on hits; the method's type must
   * promise no more.
   */
  readonly project?: Projected;
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
  Projected extends ProjectFunction = never,
>(
  options: CachedOptions<Key, Tags, Revived, Projected>,
): GuardedMethodDecorator<Key, Tags, Revived, Projected, ReturnType<Projected>> {
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
      http: readHttpOptions(placeOf(target, propertyKey), options.http),
      keeping: keepingOf(options),
    };
    guardMethod(target, propertyKey, descriptor, definition, (call) => read(call, definition));
  };
}

async function read(call: GuardedCall, definition: CachedDefinition): Promise<unknown> {
  if (!call.engine.caching) return projected(call, definition);
  const route = routeOf(call);
  if (route) return readRoute(call, definition, route);
  const { target, load } = planRead(call, definition);
  try {
    return await call.engine.guard.getOrLoad(target, load);
  } catch (error) {
    throw hasNoKey(error) ? keyErrorOf(call, definition.domain, definition.key, error) : error;
  }
}

import { keySegment } from '../core/keys.js';
import type { FreshnessOverrides } from '../core/policy.js';
import type { Revive, ValueOptions } from '../core/values.js';
import { loadContext } from '../engine/load-frames.js';
import { carryOut, deferred } from './after-write.js';
import { lastingKey, lastingTags, whoseKeys } from './call-keys.js';
import { checkOptions } from './decorator-options.js';
import type { GuardedMethodDecorator, KeyFunction, ProjectFunction, TagsFunction } from './decorator-types.js';
import { keepingOf, type RefreshesDefinition } from './metadata.js';
import { guardMethod, invalidDecoration, placeOf, type GuardedCall } from './method-wrapper.js';

/** What `@Refreshes` takes: `key`, `name` or both, so that it is plain which cached value is written. */
export interface RefreshesOptions<
  Key = KeyFunction,
  Tags = TagsFunction,
  Revived = Revive<unknown>,
  Projected = ProjectFunction,
>
  extends FreshnessOverrides, Omit<ValueOptions, 'revive'> {
  readonly domain: string;
  /** Makes the key from the arguments. Left out: the key is derived from all arguments, in the space called `name`. */
  readonly key?: Key;
  /** The `name` of the guarded method that reads the key. Default: the domain's own space. */
  readonly name?: string;
  readonly tags?: Tags;
  readonly revive?: Revived;
  /** Redacts: makes of what the method resolves to what may be kept. The method's callers get all of it. */
  readonly project?: Projected;
}

/**
 * What the method resolves to becomes the cached value (write-through). If anything overlapped it (an invalidation, another
 * write), or a transaction is open, the cached value is invalidated instead.
 *
 * @throws CacheGuardConfigError (`CG_INVALID_DECORATION`) when the class is defined. A call rejects with CacheGuardError
 * (`CG_UNUSABLE_KEY`) before the method has run, or with what the method throws.
 */
export function Refreshes<
  Key extends KeyFunction = never,
  Tags extends TagsFunction = never,
  Revived extends Revive<unknown> = Revive<unknown>,
  Projected extends ProjectFunction = never,
>(options: RefreshesOptions<Key, Tags, Revived, Projected>): GuardedMethodDecorator<Key, Tags, Revived, Projected> {
  return (target, propertyKey, descriptor) => {
    checkOptions('@Refreshes', target, propertyKey, options);
    const { domain, key, name, tags } = options;
    if (!key && name === undefined) {
      const place = placeOf(target, propertyKey);
      throw invalidDecoration('@Refreshes', place, 'give the key (or the name) of the cached value that it writes');
    }
    const definition: RefreshesDefinition = { kind: 'refreshes', domain, key, name, tags, keeping: keepingOf(options) };
    guardMethod(target, propertyKey, descriptor, definition, (call) => write(call, definition));
  };
}

async function write(call: GuardedCall, definition: RefreshesDefinition): Promise<unknown> {
  const { guard, caching } = call.engine;
  const { domain, name } = definition;
  const key = lastingKey(call, domain, definition.key);
  const tags = definition.tags && lastingTags(call, domain, definition.tags);
  const whose = whoseKeys(call, domain, definition.keeping.scope);
  if (!whose) return call.proceed();
  const invalidate = () => guard.invalidate({ domain, key, name, ...whose });

  // Asked before the method runs: what it resolves to inside a transaction may never be committed, so it is not published.
  if (deferred(call, invalidate)) return call.proceed();
  if (!caching) {
    const result = await call.proceed();
    await carryOut(call, invalidate);
    return result;
  }
  let written: { readonly value: unknown } | undefined;
  const target = { domain, key, name, tags, origin: call.method, ...definition.keeping, ...whose };
  try {
    return await guard.writeThrough(target, async () => {
      // The arguments may have been changed since the call: then another key is written.
      const now = lastingKey(call, domain, definition.key);
      const moved = keySegment(now) !== keySegment(key);
      if (moved) loadContext().doNotCache();
      written = { value: await call.proceed() };
      if (moved) await carryOut(call, () => guard.invalidate({ domain, key: now, name, ...whose }));
      return written.value;
    });
  } catch (error) {
    if (!written) throw error;
    // The write itself succeeded: whatever went wrong afterwards is not its caller's business.
    await carryOut(call, invalidate);
    return written.value;
  }
}

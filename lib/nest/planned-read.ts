import { isCacheGuardError, type CacheGuardError } from '../core/errors.js';
import type { KeyPart } from '../core/keys.js';
import { KEY_AGAIN, METHOD_ARGS, type MethodTarget } from '../engine/call.js';
import type { PlannedCall } from '../engine/events/remakes.js';
import { keyOf, tagsOf } from './call-keys.js';
import { spaceOf, type CachedDefinition } from './metadata.js';
import type { GuardedCall } from './method-wrapper.js';

/** What loaders threw: an error about a key that passes through from a call inside the method is not about this method's key. */
const thrownInside = new WeakSet<object>();

/**
 * What such a call reads, and how it loads it.
 *
 * @param key what it is kept under; left out: the key of any method
 * @param again makes that key once more, from what the arguments are by then
 */
export function planRead(
  call: GuardedCall,
  definition: CachedDefinition,
  key: KeyPart = keyOf(call, definition.domain, definition.key),
  again: () => unknown = () => keyOf(call, definition.domain, definition.key),
): PlannedCall & { readonly target: MethodTarget } {
  const { domain } = definition;
  const changeable = call.args.some((arg) => typeof arg === 'object' && arg !== null);
  const target: MethodTarget = {
    domain,
    key,
    name: spaceOf(definition, call.method),
    tags: tagsOf(call, domain, definition.tags),
    origin: call.method,
    [METHOD_ARGS]: call.args,
    [KEY_AGAIN]: changeable ? again : undefined,
    ...definition.keeping,
  };
  return { target, load: () => remembering(call.proceed) };
}

/** Uncached, a call gives what it would give cached. */
export async function projected(
  { proceed }: GuardedCall,
  { keeping: { project } }: CachedDefinition,
): Promise<unknown> {
  const value = await proceed();
  return project ? project(value) : value;
}

async function remembering(proceed: () => Promise<unknown>): Promise<unknown> {
  try {
    return await proceed();
  } catch (error) {
    if (isCacheGuardError(error)) thrownInside.add(error);
    throw error;
  }
}

/** Whether the engine, or the key function, could make no key of the call: its load has not run. */
export function hasNoKey(error: unknown): error is CacheGuardError {
  return isCacheGuardError(error, 'CG_UNUSABLE_KEY') && !thrownInside.has(error);
}

import { CacheGuardError, isCacheGuardError } from '../core/errors.js';
import { DerivedKey, keySegment, tagGeneration, type KeyPart } from '../core/keys.js';
import { askPartition } from '../core/partition.js';
import type { Scope } from '../core/policy.js';
import { isPrincipal } from '../core/principals.js';
import type { AnyMethod, KeyFunction, KeysFunction, TagsFunction } from './decorator-types.js';
import type { GuardedCall } from './method-wrapper.js';

/** The key of a call, unchecked: the engine refuses what is unusable. */
export function keyOf(call: GuardedCall, domain: string, key: KeyFunction | undefined): KeyPart {
  return key ? (compute(call, domain, 'key', key) as KeyPart) : new DerivedKey(call.declared);
}

/** The tags of a call, unchecked: the engine refuses what is unusable. */
export function tagsOf(
  call: GuardedCall,
  domain: string,
  tags: TagsFunction | undefined,
): readonly string[] | undefined {
  return tags ? (listOf(call, domain, 'tags', tags) as readonly string[]) : undefined;
}

/** A key to be used after the method has run: checked now, and safe from what the method does to its arguments. */
export function lastingKey(call: GuardedCall, domain: string, key: KeyFunction | undefined): KeyPart {
  return lasting(call, domain, key, keyOf(call, domain, key));
}

export function lastingKeys(call: GuardedCall, domain: string, keys: KeysFunction): readonly KeyPart[] {
  return listOf(call, domain, 'keys', keys).map((key) => lasting(call, domain, keys, key as KeyPart));
}

export function lastingTags(call: GuardedCall, domain: string, tags: TagsFunction): readonly string[] {
  const list = listOf(call, domain, 'tags', tags);
  refusing(call, domain, tags, () => list.forEach((tag) => tagGeneration(domain, tag)));
  return [...list] as string[];
}

/** Whether keys of the domain can be named here; not where it is partitioned and nobody says which partition this is. */
export function hasPartition({ engine }: GuardedCall, domain: string): boolean {
  const { partition } = engine.domains.policy(domain);
  return !partition || askPartition(partition).given !== undefined;
}

/** Whose keys are meant, asked before the method runs: it may end the session that the principal comes from. */
export interface Whose {
  readonly scope?: Scope;
  readonly principal?: string;
}

const EVERYBODYS: Whose = {};

/**
 * @param scope what the decorator says
 * @returns `undefined`: the keys are somebody's, and nobody says whose
 */
export function whoseKeys(call: GuardedCall, domain: string, scope: Scope | undefined): Whose | undefined {
  if (!hasPartition(call, domain)) return undefined;
  const inForce = call.engine.domains.policy(domain, { scope }, call.method).scope;
  if (inForce === 'public') return EVERYBODYS;
  const principal = principalOf(call);
  return principal === undefined ? undefined : { scope: inForce, principal };
}

function principalOf({ engine }: GuardedCall): string | undefined {
  try {
    const asked = engine.principal();
    return isPrincipal(asked) ? asked : undefined;
  } catch {
    return undefined;
  }
}

/** @throws CacheGuardError (`CG_UNUSABLE_KEY`) */
export function requireWhose(call: GuardedCall, domain: string, scope: Scope | undefined): Whose {
  const whose = whoseKeys(call, domain, scope);
  if (whose) return whose;
  const what = hasPartition(call, domain)
    ? `its keys in domain '${domain}' are private, but nobody says whose`
    : `domain '${domain}' is partitioned, but its partition function gave nothing`;
  throw unusable(call, domain, what, undefined);
}

/**
 * Adds the method to an error about its key that the engine raised.
 *
 * @param key the key function, if there is one
 */
export function keyErrorOf(
  call: GuardedCall,
  domain: string,
  key: AnyMethod | undefined,
  error: CacheGuardError,
): CacheGuardError {
  const advice = key ? '' : '; give the decorator an explicit key, such as key: (id: string) => id';
  return unusable(call, domain, error.message.replace(/\.$/, '') + advice, error);
}

function compute(call: GuardedCall, domain: string, option: string, make: AnyMethod): unknown {
  try {
    return (make as (...args: readonly unknown[]) => unknown)(...call.args);
  } catch (error) {
    throw unusable(call, domain, `its ${option} function threw`, error);
  }
}

function listOf(call: GuardedCall, domain: string, option: string, make: AnyMethod): readonly unknown[] {
  const list = compute(call, domain, option, make);
  if (!Array.isArray(list)) throw unusable(call, domain, `its ${option} function gave no array`, undefined);
  return list;
}

function lasting(call: GuardedCall, domain: string, make: AnyMethod | undefined, key: KeyPart): KeyPart {
  return refusing(call, domain, make, () => {
    const segment = keySegment(key);
    if (typeof key !== 'object') return key;
    const copy = DerivedKey.is(key) ? new DerivedKey(structuredClone(key.args)) : structuredClone(key);
    // A class instance comes back as a plain object, which is another key.
    return keySegment(copy) === segment ? copy : key;
  });
}

function refusing<T>(call: GuardedCall, domain: string, make: AnyMethod | undefined, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw isCacheGuardError(error, 'CG_UNUSABLE_KEY') ? keyErrorOf(call, domain, make, error) : error;
  }
}

function unusable(call: GuardedCall, domain: string, what: string, cause: unknown): CacheGuardError {
  return new CacheGuardError('CG_UNUSABLE_KEY', `The call of ${call.method} has no usable key: ${what}.`, {
    domain,
    method: call.method,
    cause,
  });
}

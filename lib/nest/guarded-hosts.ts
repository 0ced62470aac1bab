import type { AnyMethod } from './decorator-types.js';
import {
  definitionsOf,
  followsOf,
  type CachedDefinition,
  type FollowsDefinition,
  type GuardedDefinition,
} from './metadata.js';
import { placeOf } from './method-wrapper.js';

/** A function that is decorated with `@Follows`, and with `@Cached` unless that is missing. */
export interface FollowingMethod {
  readonly cached: CachedDefinition | undefined;
  readonly follows: readonly FollowsDefinition[];
}

/** A decorated method, as the objects of one class have it. */
export interface GuardedMethod {
  /** The prototype of the objects; it may extend the one that declares the method. */
  readonly host: object;
  readonly property: string | symbol;
  /** `Class.method`. */
  readonly place: string;
  /** The outermost of its functions that is decorated. */
  readonly handler: AnyMethod;
  /** Of this method and of those that it overrides, which `super` reaches. */
  readonly definitions: readonly GuardedDefinition[];
  /** As `definitions`, of the events that they follow. */
  readonly following: readonly FollowingMethod[];
}

/** The guarded methods of the objects with this prototype, own and inherited. Reads no property, so that no getter runs. */
export function guardedMethodsOf(host: object): readonly GuardedMethod[] {
  const found = new Map<
    string | symbol,
    { handler: AnyMethod; definitions: GuardedDefinition[]; following: FollowingMethod[] }
  >();
  for (let type: object | null = host; type && type !== Object.prototype; type = Reflect.getPrototypeOf(type)) {
    for (const key of Reflect.ownKeys(type)) {
      const method: unknown = Reflect.getOwnPropertyDescriptor(type, key)?.value;
      if (typeof method !== 'function') continue;
      const definitions = definitionsOf(method as AnyMethod);
      const follows = followsOf(method as AnyMethod);
      if (definitions.length + follows.length === 0) continue;
      const known = found.get(key) ?? { handler: method as AnyMethod, definitions: [], following: [] };
      known.definitions.push(...definitions);
      if (follows.length > 0) known.following.push({ cached: definitions.find(isCached), follows });
      found.set(key, known);
    }
  }
  return [...found].map(([property, { handler, definitions, following }]) => ({
    host,
    property,
    place: placeOf(host, property),
    handler,
    definitions,
    following,
  }));
}

export function isCached(definition: GuardedDefinition): definition is CachedDefinition {
  return definition.kind === 'cached';
}

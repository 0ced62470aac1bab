import type { AnyMethod } from './decorator-types.js';
import { definitionsOf, type GuardedDefinition } from './metadata.js';
import { placeOf } from './method-wrapper.js';

/** A decorated method, as the objects of one class have it. */
export interface GuardedMethod {
  /** The prototype of the objects; it may extend the one that declares the method. */
  readonly host: object;
  /** `Class.method`. */
  readonly place: string;
  /** Of this method and of those that it overrides, which `super` reaches. */
  readonly definitions: readonly GuardedDefinition[];
}

/** The guarded methods of the objects with this prototype, own and inherited. Reads no property, so that no getter runs. */
export function guardedMethodsOf(host: object): readonly GuardedMethod[] {
  const found = new Map<string | symbol, GuardedDefinition[]>();
  for (let type: object | null = host; type && type !== Object.prototype; type = Reflect.getPrototypeOf(type)) {
    for (const key of Reflect.ownKeys(type)) {
      const method: unknown = Reflect.getOwnPropertyDescriptor(type, key)?.value;
      const definitions = typeof method === 'function' ? definitionsOf(method as AnyMethod) : [];
      if (definitions.length > 0) found.set(key, [...(found.get(key) ?? []), ...definitions]);
    }
  }
  return [...found].map(([key, definitions]) => ({ host, place: placeOf(host, key), definitions }));
}

import type { AnyMethod } from './decorator-types.js';
import { definitionsOf, type GuardedDefinition } from './metadata.js';

/** A decorated method, as an object of `host` has it. */
export interface GuardedMethod {
  /** The class of the object, which may extend the one that declares the method. */
  readonly host: object;
  readonly hostName: string;
  readonly key: string | symbol;
  /** `Class.method`. */
  readonly place: string;
  /** Of this method and of those that it overrides, which `super` reaches. */
  readonly definitions: readonly GuardedDefinition[];
}

/** The guarded methods of the objects with this prototype, own and inherited. Reads no property, so that no getter runs. */
export function guardedMethodsOf(prototype: object): readonly GuardedMethod[] {
  const found = new Map<string | symbol, GuardedDefinition[]>();
  for (let type: object | null = prototype; type && type !== Object.prototype; type = Object.getPrototypeOf(type) as object | null) {
    for (const key of Reflect.ownKeys(type)) {
      const method: unknown = Object.getOwnPropertyDescriptor(type, key)?.value;
      const definitions = typeof method === 'function' ? definitionsOf(method as AnyMethod) : [];
      if (definitions.length > 0) found.set(key, [...(found.get(key) ?? []), ...definitions]);
    }
  }
  if (found.size === 0) return [];
  const { host, hostName } = hostOf(prototype);
  return [...found].map(([key, definitions]) => ({
    ...{ host, hostName, key, definitions },
    place: `${hostName}.${String(key)}`,
  }));
}

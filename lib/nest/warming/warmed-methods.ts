import type { ModulesContainer } from '@nestjs/core';
import type { CachedDefinition } from '../metadata.js';
import type { AnyMethod } from '../decorator-types.js';
import { guardedMethodsOf, isCached } from '../guarded-hosts.js';
import { invalidDecoration, placeOf } from '../method-wrapper.js';
import { warmedOf, type WarmedOptions } from './warmed.decorator.js';

/** A method with `@Warmed`, and the object to call it on. */
export interface WarmedMethodOfHost {
  readonly host: object;
  readonly method: string;
  readonly place: string;
  readonly options: WarmedOptions;
  readonly cached: CachedDefinition;
}

/** Those of an application's singletons. @throws CacheGuardConfigError (`CG_INVALID_DECORATION`) */
export function warmedMethods(modules: ModulesContainer): WarmedMethodOfHost[] {
  const wrappers = [...modules.values()].flatMap(({ providers, controllers }) =>
    [providers, controllers].flatMap((found) => [...found.values()]),
  );
  const hosts = new Set<object>();
  for (const wrapper of wrappers) {
    const { metatype, inject } = wrapper;
    const singleton = !wrapper.isTransient && wrapper.isDependencyTreeStatic();
    if (singleton && isObject(wrapper.instance)) hosts.add(wrapper.instance);
    const prototype: unknown = !singleton && !inject && typeof metatype === 'function' ? metatype.prototype : undefined;
    for (const [key] of isObject(prototype) ? optionsOf(prototype) : []) {
      throw invalidDecoration(
        '@Warmed',
        placeOf(prototype as object, key),
        'its class must be a singleton, so that there is an object to call it on',
      );
    }
  }
  return [...hosts].flatMap((host) => {
    const found = optionsOf(Reflect.getPrototypeOf(host));
    return [...found].map(([key, options]) => {
      const place = placeOf(host, key);
      const cached = cachedOf(host, key);
      if (!cached || typeof key !== 'string') throw invalidDecoration('@Warmed', place, 'it has no @Cached');
      return { host, method: key, place, options, cached };
    });
  });
}

/** What `@Cached` says of a method of an object; `undefined`: nothing. */
export function cachedOf(host: object, key: string | symbol): CachedDefinition | undefined {
  const place = placeOf(host, key);
  const methods = guardedMethodsOf(Reflect.getPrototypeOf(host) ?? host);
  return methods.find((method) => method.place === place)?.definitions.find(isCached);
}

/** Reads no property, so that no getter runs. */
function optionsOf(prototype: object | null): Map<string | symbol, WarmedOptions> {
  const found = new Map<string | symbol, WarmedOptions>();
  const seen = new Set<string | symbol>();
  for (let type = prototype; type && type !== Object.prototype; type = Reflect.getPrototypeOf(type)) {
    for (const key of Reflect.ownKeys(type)) {
      const method: unknown = Reflect.getOwnPropertyDescriptor(type, key)?.value;
      const options = typeof method === 'function' && !seen.has(key) ? warmedOf(method as AnyMethod) : undefined;
      seen.add(key);
      if (options) found.set(key, options);
    }
  }
  return found;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

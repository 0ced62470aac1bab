import { Inject, Injectable, Logger } from '@nestjs/common';
import { ModulesContainer, type DiscoveryService } from '@nestjs/core';
import { Domains } from '../engine/domains.js';
import { bindEngine, EngineSlot } from './engine-binding.js';
import { guardedMethodsOf, type GuardedMethod } from './guarded-hosts.js';
import { checkGuardedMethods } from './policy-check.js';
import { ENGINE_SLOT } from './tokens.js';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];

/** Finds the guarded methods of an application, checks them, and binds objects that Nest did not construct. */
@Injectable()
export class CacheGuardExplorer {
  private readonly logger = new Logger('CacheGuard');
  private readonly known = new Map<object, readonly GuardedMethod[]>();

  constructor(
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(Domains) private readonly domains: Domains,
    @Inject(ENGINE_SLOT) private readonly slot: EngineSlot,
  ) {}

  /**
   * @throws CacheGuardConfigError (`CG_UNKNOWN_DOMAIN`, `CG_INVALID_POLICY`, `CG_NAME_CLASH`)
   */
  explore(): void {
    const wrappers = [...this.modules.values()].flatMap(({ providers, controllers, injectables, middlewares }) =>
      [providers, controllers, injectables, middlewares].flatMap((found) => [...found.values()]),
    );
    for (const wrapper of wrappers) this.visit(wrapper);
    checkGuardedMethods([...this.known.values()].flat(), this.domains);
  }

  private visit(wrapper: Wrapper): void {
    if (isClassProvider(wrapper)) {
      this.note(wrapper.metatype.prototype as object);
    } else if (isFactory(wrapper) && !isSingleton(wrapper)) {
      this.bindProducts(wrapper);
    }
    for (const instance of instancesOf(wrapper)) {
      const prototype = isObject(instance) ? Reflect.getPrototypeOf(instance) : null;
      if (prototype && this.note(prototype)) this.bind(instance as object, wrapper);
    }
  }

  /** @returns whether objects with this prototype have guarded methods */
  private note(prototype: object): boolean {
    let methods = this.known.get(prototype);
    if (!methods) this.known.set(prototype, (methods = guardedMethodsOf(prototype)));
    return methods.length > 0;
  }

  private bind(instance: object, { token }: Wrapper): void {
    if (bindEngine(instance, this.slot)) return;
    this.logger.warn(
      `The provider ${nameOf(token)} is an object that another application in this process uses too; its methods are cached ` +
        'there. Make one object for each application.',
    );
  }

  /** Objects that a factory makes later, for a request or a consumer, are bound as they are made. */
  private bindProducts(wrapper: Wrapper & { metatype: Factory }): void {
    const factory = wrapper.metatype;
    const guarded = new WeakMap<object, boolean>();
    const bound = (instance: unknown): unknown => {
      const prototype = isObject(instance) ? Reflect.getPrototypeOf(instance) : null;
      if (!prototype) return instance;
      if (!guarded.has(prototype)) guarded.set(prototype, guardedMethodsOf(prototype).length > 0);
      if (guarded.get(prototype)) bindEngine(instance as object, this.slot);
      return instance;
    };
    wrapper.metatype = function (this: unknown, ...dependencies: unknown[]): unknown {
      const made: unknown = Reflect.apply(factory, this, dependencies);
      return made instanceof Promise ? made.then(bound) : bound(made);
    };
  }
}

type Factory = (...dependencies: never[]) => unknown;

function isClassProvider(wrapper: Wrapper): wrapper is Wrapper & { metatype: { prototype: object } } {
  return !wrapper.inject && typeof wrapper.metatype === 'function' && isObject(wrapper.metatype.prototype);
}

function isFactory(wrapper: Wrapper): wrapper is Wrapper & { metatype: Factory } {
  return Array.isArray(wrapper.inject) && typeof wrapper.metatype === 'function' && !wrapper.isAlias;
}

function isSingleton(wrapper: Wrapper): boolean {
  return !wrapper.isTransient && wrapper.isDependencyTreeStatic();
}

/** What exists at boot; Nest keeps bare prototypes in the place of objects that are made per request. */
function instancesOf(wrapper: Wrapper): unknown[] {
  if (wrapper.isTransient) return wrapper.getStaticTransientInstances().map((host) => host?.instance as unknown);
  return wrapper.isDependencyTreeStatic() ? [wrapper.instance as unknown] : [];
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function nameOf(token: unknown): string {
  return typeof token === 'function' ? token.name : String(token);
}

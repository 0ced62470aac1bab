import { Inject, Injectable, Logger } from '@nestjs/common';
import { ModulesContainer, type DiscoveryService } from '@nestjs/core';
import { CacheGuard } from '../engine/cache-guard.js';
import { Domains } from '../engine/domains.js';
import { bindEngine, EngineSlot } from './engine-binding.js';
import { eventsOf } from './events/events-of.js';
import { feedSourcesOf } from './events/feed.js';
import { followRules, methodRemake } from './events/follow-rules.js';
import { RuleBook } from './events/rule-book.js';
import { guardedMethodsOf, isCached, type GuardedMethod } from './guarded-hosts.js';
import { RoutePlans } from './http/route-plans.js';
import { spaceOf } from './metadata.js';
import { checkGuardedMethods } from './policy-check.js';
import { ENGINE_SLOT } from './tokens.js';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];

/**
 * Finds the guarded methods of an application, checks them, and binds objects that Nest did not construct. Tells the engine which events
 * they follow, and how they are run again.
 */
@Injectable()
export class CacheGuardExplorer {
  private readonly logger = new Logger('CacheGuard');
  private readonly known = new Map<object, readonly GuardedMethod[]>();
  /** By prototype; those of providers and controllers. */
  private readonly singletons = new Map<object, Set<object>>();

  constructor(
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(Domains) private readonly domains: Domains,
    @Inject(ENGINE_SLOT) private readonly slot: EngineSlot,
    @Inject(CacheGuard) private readonly guard: CacheGuard,
    @Inject(RuleBook) private readonly rules: RuleBook,
    @Inject(RoutePlans) private readonly routes: RoutePlans,
  ) {}

  /**
   * @throws CacheGuardConfigError (`CG_UNKNOWN_DOMAIN`, `CG_INVALID_POLICY`, `CG_NAME_CLASH`, `CG_INVALID_DECORATION`,
   * `CG_INVALID_RULE`)
   */
  explore(): void {
    for (const { providers, controllers, injectables, middlewares } of this.modules.values()) {
      for (const found of [providers, controllers])
        for (const wrapper of found.values()) this.visit(wrapper, this.singletons);
      // Nest makes enhancers and middlewares for each module that uses them, mostly of one state, and whoever writes them cannot help
      // it: to refuse several of them would leave no way to cache there.
      for (const found of [injectables, middlewares]) for (const wrapper of found.values()) this.visit(wrapper);
    }
    const methods = [...this.known.values()].flat();
    const objectsOf = (prototype: object) => this.singletons.get(prototype)?.size ?? 0;
    checkGuardedMethods(methods, this.domains, objectsOf, this.routes);
    this.rules.add(methods.flatMap(followRules));
  }

  /** To be called when the application's objects have registered their loaders. A warning, because other processes may know how. */
  tellUnloaded(): void {
    for (const { action, domain, name, place } of this.rules.list()) {
      if (action !== 'refresh' || eventsOf(this.guard)?.remakes.get(domain, name) !== undefined) continue;
      const space = name === undefined ? 'without a name' : `name '${name}'`;
      this.logger.warn(
        `Event rule ${place}: action = 'refresh' of domain '${domain}', ${space}: this process has neither a @Cached method nor a loader ` +
          'for these keys, which are only invalidated unless another process has; correct the name, or register guard.events.loader.',
      );
    }
  }

  /** @param singletons where to note them */
  private visit(wrapper: Wrapper, singletons?: Map<object, Set<object>>): void {
    if (isClassProvider(wrapper)) {
      const prototype = wrapper.metatype.prototype as object;
      this.note(prototype);
      if (!isSingleton(wrapper)) this.remakeWith(prototype, undefined);
    } else if (isFactory(wrapper) && !isSingleton(wrapper)) {
      this.bindProducts(wrapper);
    }
    for (const instance of instancesOf(wrapper)) {
      const prototype = isObject(instance) ? Reflect.getPrototypeOf(instance) : null;
      if (!prototype || !this.note(prototype)) continue;
      if (!this.bind(instance as object, wrapper) || !isSingleton(wrapper)) continue;
      this.remakeWith(prototype, instance as object);
      singletons?.set(prototype, (singletons.get(prototype) ?? new Set()).add(instance as object));
    }
  }

  /** @returns whether objects with this prototype have guarded methods */
  private note(prototype: object): boolean {
    let methods = this.known.get(prototype);
    if (!methods) {
      this.known.set(prototype, (methods = guardedMethodsOf(prototype)));
      this.rules.handle(feedSourcesOf(prototype));
    }
    return methods.length > 0;
  }

  /** @param instance of the prototype; `undefined`: there is one in a request only */
  private remakeWith(prototype: object, instance: object | undefined): void {
    for (const { place, definitions } of this.known.get(prototype)!) {
      const own = definitions.find(isCached);
      const remake = instance && own ? methodRemake(own, instance) : ({ kind: 'request-scoped' } as const);
      if (own) eventsOf(this.guard)?.remakes.add(own.domain, spaceOf(own, place), remake);
    }
  }

  private bind(instance: object, { token }: Wrapper): boolean {
    if (bindEngine(instance, this.slot)) return true;
    this.logger.warn(
      `The provider ${nameOf(token)} is an object that another application in this process uses too; its methods are cached ` +
        'there. Make one object for each application.',
    );
    return false;
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

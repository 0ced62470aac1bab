import { Inject, Optional } from '@nestjs/common';
import type { CacheGuard } from '../engine/cache-guard.js';
import type { Domains } from '../engine/domains.js';
import type { RequestScopes } from './http/request-scope.js';
import type { RoutePlans } from './http/route-plans.js';
import type { AfterCommit } from './options.js';
import { ENGINE_SLOT } from './tokens.js';

/** What a guarded method works with. */
export interface BoundEngine {
  readonly guard: CacheGuard;
  readonly domains: Domains;
  /** Who has called; as the application's function gives it, which may be anything. */
  readonly principal: () => unknown;
  /** In which handler's call we are. */
  readonly scopes: RequestScopes;
  /** What is known of its routes. */
  readonly routes: RoutePlans;
  readonly afterCommit: AfterCommit | undefined;
  /** Whether `@Cached` methods are cached, or run their bodies. */
  readonly caching: boolean;
}

/**
 * One per application. Guarded objects are bound to the slot and not to the engine, because objects exist before the
 * engine is started, and some outlive it.
 */
export class EngineSlot {
  private engine: BoundEngine | undefined;
  private ended = false;

  /** `undefined` before there is an engine, and after it was closed. */
  get current(): BoundEngine | undefined {
    return this.engine;
  }

  get closed(): boolean {
    return this.ended;
  }

  set(engine: BoundEngine): void {
    this.engine = engine;
  }

  close(): void {
    this.engine = undefined;
    this.ended = true;
  }
}

const BINDING = Symbol('CacheGuard:binding');

/** Objects that take no property of their own: frozen or sealed ones. */
const sealed = new WeakMap<object, EngineSlot>();

interface Host {
  [BINDING]?: EngineSlot | undefined;
}

/**
 * Makes Nest inject the slot into every object of the class (and of classes that extend it), whatever its scope. Property
 * injection leaves constructors alone, and a symbol cannot collide.
 */
export function declareBinding(prototype: object): void {
  if (BINDING in prototype) return;
  Object.defineProperty(prototype, BINDING, {
    configurable: true,
    enumerable: false,
    get: () => undefined,
    // Nest assigns; an own enumerable property would show in logs, comparisons and serialised instances.
    set(this: object, slot: EngineSlot) {
      attach(this, slot);
    },
  });
  Inject(ENGINE_SLOT)(prototype, BINDING);
  // A guarded class must also work in a test or an app without the module.
  Optional()(prototype, BINDING);
}

function attach(instance: object, slot: EngineSlot): void {
  const attached = Reflect.defineProperty(instance, BINDING, {
    value: slot,
    writable: true,
    configurable: true,
    enumerable: false,
  });
  if (!attached) sealed.set(instance, slot);
}

function slotOf(instance: object): EngineSlot | undefined {
  return sealed.get(instance) ?? (instance as Host)[BINDING];
}

/** @returns `false`: the object belongs to another application that still runs, and stays there. */
export function bindEngine(instance: object, slot: EngineSlot): boolean {
  const known = slotOf(instance);
  if (known === slot) return true;
  if (known && !known.closed) return false;
  attach(instance, slot);
  return true;
}

/** The engine of the application that made the object; `undefined` for an object that was made without Nest. */
export function engineOf(instance: unknown): BoundEngine | undefined {
  if (typeof instance !== 'object' || instance === null) return undefined;
  return slotOf(instance)?.current;
}

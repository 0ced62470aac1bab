import { CacheGuardConfigError, CacheGuardError } from '../core/errors.js';
import type { AnyMethod } from './decorator-types.js';
import { declareBinding, engineOf, type BoundEngine } from './engine-binding.js';
import { addDefinition, definitionsOf, type GuardedDefinition } from './metadata.js';

/** One call of a guarded method on an object that has an engine. */
export interface GuardedCall {
  readonly engine: BoundEngine;
  /** `Class.method`; the class is that of the object, so that classes with a common base are told apart. */
  readonly method: string;
  /** The object and the property that the method was called by. */
  readonly self: object;
  readonly property: string | symbol;
  readonly args: readonly unknown[];
  /** The arguments that the method declares, as far as they can be told; what a derived key is made from. */
  readonly declared: readonly unknown[];
  /** Runs the method's body. */
  readonly proceed: () => Promise<unknown>;
}

/**
 * Puts `run` in front of the method's body. The function that takes the body's place keeps its name, length, properties and
 * metadata, so that it makes no difference whether routes, guards or pipes are decorated above or below.
 *
 * @throws CacheGuardConfigError (`CG_INVALID_DECORATION`)
 */
export function guardMethod(
  prototype: object,
  propertyKey: string | symbol,
  descriptor: PropertyDescriptor | undefined,
  definition: GuardedDefinition,
  run: (call: GuardedCall) => Promise<unknown>,
): void {
  const decorator = decoratorName(definition);
  const place = placeOf(prototype, propertyKey);
  if (typeof prototype === 'function') {
    throw invalidDecoration(
      decorator,
      `${prototype.name}.${String(propertyKey)}`,
      'static methods have no engine; decorate an instance method',
    );
  }
  const original: unknown = descriptor?.value;
  if (!descriptor || typeof original !== 'function') {
    throw invalidDecoration(decorator, place, 'only methods can be guarded, no accessors and no properties');
  }
  const body = original as AnyMethod;
  for (const other of definitionsOf(body)) {
    if (!mayStack(definition, other)) {
      throw invalidDecoration(decorator, place, `it already has ${decoratorName(other)}; keep one of the two`);
    }
  }
  const noParameters = declaresNoParameters(body);
  const make: MakeCall = (self, args) => {
    const engine = engineOf(self);
    if (!engine) return undefined;
    const method = placeOf(self as object, propertyKey);
    const declared = noParameters ? [] : args;
    return {
      engine,
      method,
      self: self as object,
      property: propertyKey,
      args,
      declared,
      proceed: () => callBody(body, self, args, method),
    };
  };
  const wrapper = function (this: unknown, ...args: readonly unknown[]): unknown {
    const call = make(this, args);
    return call ? run(call) : Reflect.apply(body, this, args);
  };
  calls.set(definition, make);
  takeAppearance(wrapper, body);
  addDefinition(wrapper, definition);
  if (noParameters) withoutParameters.add(wrapper);
  descriptor.value = wrapper;
  declareBinding(prototype);
}

type MakeCall = (self: unknown, args: readonly unknown[]) => GuardedCall | undefined;

const calls = new WeakMap<GuardedDefinition, MakeCall>();

/** A call of the method that was decorated so, on an object of its class; `undefined` when that has no engine. */
export function callOn(definition: GuardedDefinition, self: object, args: readonly unknown[]): GuardedCall | undefined {
  return calls.get(definition)?.(self, args);
}

async function callBody(body: AnyMethod, self: unknown, args: readonly unknown[], method: string): Promise<unknown> {
  const result: unknown = Reflect.apply(body, self, args);
  if (typeof (result as PromiseLike<unknown> | null | undefined)?.then !== 'function') {
    throw new CacheGuardError(
      'CG_NOT_A_PROMISE',
      `${method} is guarded but returned no promise; make it async, or turn an Observable into a promise with firstValueFrom().`,
      { method },
    );
  }
  return result;
}

function decoratorName({ kind }: GuardedDefinition): string {
  return { cached: '@Cached', invalidates: '@Invalidates', refreshes: '@Refreshes' }[kind];
}

/** One method has one cached value, and it either reads it or writes it. */
function mayStack(one: GuardedDefinition, other: GuardedDefinition): boolean {
  return (
    one.kind === 'invalidates' ||
    other.kind === 'invalidates' ||
    (one.kind === 'refreshes' && other.kind === 'refreshes')
  );
}

export function invalidDecoration(decorator: string, place: string, mend: string): CacheGuardConfigError {
  return new CacheGuardConfigError('CG_INVALID_DECORATION', `${decorator} on ${place} is refused; ${mend}.`, {
    method: place,
  });
}

/** `Class.method`, the class being that of the object. */
export function placeOf(instance: object, propertyKey: string | symbol): string {
  const { constructor: type } = instance as { constructor?: { name?: string } };
  return `${type?.name || '(anonymous class)'}.${String(propertyKey)}`;
}

const withoutParameters = new WeakSet<AnyMethod>();

/**
 * Frameworks hand over more than a method declares (Nest gives request, response and next to a route handler without
 * parameter decorators); that is no part of the call. Told from the source text, because `length` does not count optional parameters.
 */
function declaresNoParameters(body: AnyMethod): boolean {
  if (withoutParameters.has(body)) return true;
  if (body.length > 0) return false;
  const source = Function.prototype.toString.call(body);
  // A proxied or bound method shows nothing of what it takes.
  return /^(?:async\s+)?[\w$]+\s*\(\s*\)/.test(source) && !/\barguments\b|\[native code\]/.test(source);
}

function takeAppearance(wrapper: AnyMethod, body: AnyMethod): void {
  for (const property of Reflect.ownKeys(body)) {
    const descriptor = Object.getOwnPropertyDescriptor(body, property);
    if (descriptor && property !== 'prototype') Reflect.defineProperty(wrapper, property, descriptor);
  }
  for (const key of Reflect.getMetadataKeys(body) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, body), wrapper);
  }
}

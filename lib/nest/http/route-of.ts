import type { ExecutionContext } from '@nestjs/common';
import type { AnyMethod } from '../decorator-types.js';
import { definitionsOf } from '../metadata.js';
import type { GuardedCall } from '../method-wrapper.js';

/** A call of a guarded method as the handler of a request. */
export interface RouteCall {
  readonly context: ExecutionContext;
  /** Whether it is certain that it is the handler's: nothing is cached where nobody can tell. */
  readonly known: boolean;
}

/** `undefined` for every call that is not the handler's, also of a method that is a route. */
export function routeOf({ engine, self, property }: GuardedCall): RouteCall | undefined {
  const context = engine.scopes.current?.context;
  if (!context || context.getType() !== 'http' || !(self instanceof context.getClass())) return undefined;
  const handler = context.getHandler() as AnyMethod;
  if (isSame(Reflect.get(self, property) as AnyMethod, handler)) return { context, known: true };
  return isStranger(handler, self) ? { context, known: false } : undefined;
}

/** Tracing tools put a function of their own in the place of a handler, with its metadata. */
function isSame(method: AnyMethod, handler: AnyMethod): boolean {
  if (method === handler) return true;
  const those = definitionsOf(handler);
  return definitionsOf(method).some((definition) => those.includes(definition));
}

const methods = new WeakSet<AnyMethod>();

/** Whether it is no method of the object, and shows of none that it stands for it. */
function isStranger(handler: AnyMethod, self: object): boolean {
  if (methods.has(handler) || definitionsOf(handler).length > 0) return false;
  for (let at: object | null = self; at; at = Reflect.getPrototypeOf(at)) {
    const own = Object.values(Object.getOwnPropertyDescriptors(at));
    if (!own.some(({ value }) => value === handler)) continue;
    methods.add(handler);
    return false;
  }
  return true;
}

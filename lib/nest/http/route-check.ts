import type { CacheGuardConfigError } from '../../core/errors.js';
import { isCached, type GuardedMethod } from '../guarded-hosts.js';
import { definitionsOf, type CachedDefinition } from '../metadata.js';
import { invalidDecoration } from '../method-wrapper.js';
import { warmedOf } from '../warming/warmed.decorator.js';
import { isRoute, type RoutePlan } from './route-plan.js';
import type { RoutePlans } from './route-plans.js';

/** What is wrong with a method as a route. */
export function routeProblems(
  { host, property, place, handler, following }: GuardedMethod,
  plans: RoutePlans,
): CacheGuardConfigError[] {
  const definition = definitionsOf(handler).find(isCached);
  if (!definition) return [];
  const refuse = (mend: string) => [invalidDecoration('@Cached', place, mend)];
  if (!isRoute(handler)) {
    return definition.http
      ? refuse('http is for routes, and this method is none; decorate it with @Get, or leave http out')
      : [];
  }
  const plan = plans.of(host.constructor, property, handler, definition);
  if (plan.whole.query.length > 0 && plan.settings.query.length === 0) {
    return refuse("its handler takes the whole query; name the parameters, such as http: { query: ['page'] }");
  }
  const called = following.length > 0 ? '@Follows' : warmedOf(handler) && '@Warmed';
  if (called && saysMore(plan, definition)) {
    return refuse(
      `${called} names its keys by arguments, and they have parts that are none (vary, query, several paths or versions); ` +
        'cache a method of a provider that the handler calls, and put it there',
    );
  }
  return [];
}

/** Whether keys of the route have parts that are not made from the handler's arguments, as far as that can be told. */
function saysMore({ settings, taken, severalPaths }: RoutePlan, { key }: CachedDefinition): boolean {
  const { headers, cookies, by, query } = settings;
  if (headers.length + cookies.length > 0 || by || severalPaths) return true;
  // Beside an explicit key, all that is declared counts.
  return query.some((name) => key !== undefined || !taken.query.has(name));
}

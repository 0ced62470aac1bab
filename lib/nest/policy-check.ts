import { CacheGuardConfigError, CacheGuardError } from '../core/errors.js';
import type { Domains } from '../engine/domains.js';
import { isCached, type GuardedMethod } from './guarded-hosts.js';
import { routeProblems } from './http/route-check.js';
import { isRoute } from './http/route-plan.js';
import type { RoutePlans } from './http/route-plans.js';
import { spaceOf, type CachedDefinition, type InvalidatesDefinition, type RefreshesDefinition } from './metadata.js';
import { invalidDecoration } from './method-wrapper.js';

/** One method of one class that keeps values in a space of keys. */
interface Claim {
  readonly method: GuardedMethod;
  readonly definition: CachedDefinition;
}

/**
 * Checks everything that is decorated against the registered policies.
 *
 * @param objectsOf how many singletons of an application have a prototype
 * @throws CacheGuardConfigError with the code of the first problem (`CG_UNKNOWN_DOMAIN`, `CG_INVALID_POLICY`, `CG_NAME_CLASH`,
 * `CG_INVALID_DECORATION`);
 * its message lists them all
 */
export function checkGuardedMethods(
  methods: readonly GuardedMethod[],
  domains: Domains,
  objectsOf: (prototype: object) => number,
  plans: RoutePlans,
): void {
  const problems = [
    ...policyProblems(methods, domains),
    ...nameClashes(methods),
    ...objectClashes(methods, objectsOf),
    ...uncachedFollowers(methods),
    ...scopeProblems(methods, domains),
    ...methods.flatMap((method) => routeProblems(method, plans)),
  ];
  const [first, ...others] = problems;
  if (!first) return;
  if (others.length === 0) throw first;
  const { domain, field, method } = first;
  const text = [`${problems.length} mistakes in guarded methods:`, ...problems.map(({ message }) => `- ${message}`)];
  throw new CacheGuardConfigError(first.code, text.join('\n'), { domain, field, method, cause: first });
}

function policyProblems(methods: readonly GuardedMethod[], domains: Domains): CacheGuardError[] {
  const problems: CacheGuardError[] = [];
  for (const { place, definitions } of methods) {
    for (const definition of definitions) {
      try {
        domains.policy(definition.domain, definition.kind === 'invalidates' ? undefined : definition.keeping, place);
      } catch (error) {
        if (!(error instanceof CacheGuardError)) throw error;
        const { code, message, domain, field } = error;
        problems.push(new CacheGuardConfigError(code, message, { domain, field, method: place }));
      }
    }
  }
  return problems;
}

function nameClashes(methods: readonly GuardedMethod[]): CacheGuardError[] {
  const problems: CacheGuardError[] = [];
  const spaces = new Map<string, Claim>();
  for (const method of methods) {
    const own = method.definitions.find((definition) => definition.kind === 'cached');
    if (!own) continue;
    const claim: Claim = { method, definition: own };
    const id = JSON.stringify([own.domain, spaceOf(own, method.place) ?? null]);
    const other = spaces.get(id);
    if (!other) spaces.set(id, claim);
    else if (!(own.shared && other.definition.shared)) problems.push(clash(other, claim));
  }
  return problems;
}

/** What an object knows besides the arguments is no part of the key: two of a class would give each other's values. */
function objectClashes(methods: readonly GuardedMethod[], objectsOf: (prototype: object) => number): CacheGuardError[] {
  return methods.flatMap(({ host, place, handler, definitions }) => {
    const count = objectsOf(host);
    const own = definitions.filter(isCached).find(({ shared }) => !shared);
    // Routes are told apart by their paths.
    if (!own || count < 2 || isRoute(handler)) return [];
    const text =
      `Cache domain '${own.domain}': ${count} objects of one class keep the values of ${place} under the same keys; provide the ` +
      'class once and export it, give each a subclass (whose method has a name of its own, where this one has a key or a name), or ' +
      'set shared: true if they all return the same values.';
    return [new CacheGuardConfigError('CG_NAME_CLASH', text, { domain: own.domain, field: 'shared', method: place })];
  });
}

/** Notes which methods are private, and finds those that write to their keys without saying so: they would miss them. */
function scopeProblems(methods: readonly GuardedMethod[], domains: Domains): CacheGuardError[] {
  const known = methods.filter(({ definitions }) => definitions.every(({ domain }) => domains.has(domain)));
  for (const { place, definitions } of known) {
    const own = definitions.find(isCached);
    if (own?.keeping.scope === 'private') domains.notePrivate(own.domain, spaceOf(own, place));
  }
  return known.flatMap(({ place, definitions }) =>
    definitions
      .filter((definition) => definition.kind !== 'cached' && missesOwner(definition, domains))
      .map(({ kind }) => {
        const mend = "the method that reads these keys is private; set scope: 'private' here too";
        return invalidDecoration(kind === 'refreshes' ? '@Refreshes' : '@Invalidates', place, mend);
      }),
  );
}

function missesOwner(definition: InvalidatesDefinition | RefreshesDefinition, domains: Domains): boolean {
  const { kind, domain, name } = definition;
  if (kind === 'invalidates' && !definition.key && !definition.keys) return false;
  const scope = kind === 'invalidates' ? definition.scope : definition.keeping.scope;
  const inForce = scope ?? domains.policy(domain).scope;
  return inForce === 'public' && domains.isPrivate(domain, name);
}

function uncachedFollowers(methods: readonly GuardedMethod[]): CacheGuardError[] {
  return methods
    .filter(({ following }) => following.some(({ cached }) => !cached))
    .map(({ place }) => invalidDecoration('@Follows', place, 'it has no @Cached, whose values could follow; add one'));
}

function clash(one: Claim, other: Claim): CacheGuardConfigError {
  const { domain } = one.definition;
  const [first, second] = [one.method.place, other.method.place];
  const methods =
    first === second ? `the methods ${first} of two classes with the same name` : `the methods ${first} and ${second}`;
  const space = one.definition.name === undefined ? '' : `, both called '${one.definition.name}'`;
  return new CacheGuardConfigError(
    'CG_NAME_CLASH',
    `Cache domain '${domain}': ${methods}${space} keep their values under the same keys; give each its own name, ` +
      'or set shared: true on both if they return the same values.',
    { domain, field: 'name', method: second },
  );
}

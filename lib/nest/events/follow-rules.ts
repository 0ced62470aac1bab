import { CacheGuardError, describeValue } from '../../core/errors.js';
import { DerivedKey } from '../../core/keys.js';
import { atOnce, readRule, type Rule } from '../../core/rules.js';
import type { Remake } from '../../engine/events/remakes.js';
import type { GuardedMethod } from '../guarded-hosts.js';
import { spaceOf, type CachedDefinition, type FollowsDefinition } from '../metadata.js';
import { callOn } from '../method-wrapper.js';
import { planRead } from '../planned-read.js';

/** The rules that the `@Follows` of a method stand for. @throws CacheGuardConfigError (`CG_INVALID_RULE`) */
export function followRules({ place, following }: GuardedMethod): Rule[] {
  return following.flatMap(({ cached, follows }) => follows.map((one) => ruleOf(place, cached!, one)));
}

function ruleOf(place: string, cached: CachedDefinition, { on, from, action, mode, version, args }: FollowsDefinition) {
  const { domain } = cached;
  const written = { on, from, domain, name: spaceOf(cached, place), action, mode, version, key: () => undefined };
  // What was left out is to be as if it had not been written.
  const given = Object.fromEntries(Object.entries(written).filter(([, value]) => value !== undefined));
  const rule: Rule = {
    ...readRule(given as never, `@Follows on ${place}`),
    givesArgs: true,
    targets: (event) => {
      const called: unknown = atOnce('args', args(event));
      if (called === undefined) return [];
      if (!Array.isArray(called)) {
        throw new CacheGuardError('CG_UNUSABLE_KEY', `args gave ${describeValue(called)}; give a list of arguments.`);
      }
      return [{ name: keyOf(cached, called), args: called }];
    },
  };
  return rule;
}

function keyOf({ key }: CachedDefinition, args: readonly unknown[]): unknown {
  return key ? (key as (...args: readonly unknown[]) => unknown)(...args) : new DerivedKey(args);
}

/** Runs a guarded method of an object again. */
export function methodRemake(definition: CachedDefinition, instance: object): Remake {
  return {
    kind: 'method',
    plan: (args) => {
      const call = callOn(definition, instance, args);
      if (!call) throw new TypeError('the object has no engine any more');
      return planRead(call, definition);
    },
  };
}

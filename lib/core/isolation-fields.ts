import type { FieldChecker } from './field-checker.js';
import type { DomainPolicyConfig, FreshnessOverrides, Policy, Scope } from './policy.js';

type Isolation = Pick<Policy, 'partition' | 'scope' | 'hashKeys' | 'maxKeysInFlightPerPrincipal'>;

/** The fields of a policy that say whose its values are. @throws CacheGuardConfigError (`CG_INVALID_POLICY`) */
export function isolationOf(
  check: FieldChecker,
  config: DomainPolicyConfig,
  overrides: FreshnessOverrides,
  reconciled: boolean,
): Isolation {
  const hashKeys = check.flag('hashKeys', config.hashKeys);
  if (hashKeys && reconciled && !config.encrypt) {
    const mend =
      'reconcile has the keys written down, to name them to the source: leave one of the two out, or set encrypt';
    check.fail('hashKeys', hashKeys, mend);
  }
  const bound = config.maxKeysInFlightPerPrincipal;
  return {
    partition: check.fn('partition', config.partition),
    scope: scopeOf(check, config.scope, overrides.scope, reconciled),
    hashKeys,
    maxKeysInFlightPerPrincipal: check.integer('maxKeysInFlightPerPrincipal', bound, 100, 1),
  };
}

function scopeOf(
  check: FieldChecker,
  domain: Scope | undefined,
  method: Scope | undefined,
  reconciled: boolean,
): Scope {
  const own = check.oneOf('scope', domain, ['public', 'private']);
  if (own === 'private' && reconciled) {
    check.fail('scope', own, 'reconcile has nobody to ask the source for: leave one of the two out');
  }
  const narrowed = method === undefined ? own : check.oneOf('scope', method, ['public', 'private']);
  if (own === 'private' && narrowed === 'public') {
    check.fail('scope', narrowed, 'what its domain keeps private stays so: leave it out, or choose another domain');
  }
  return narrowed;
}

import { CacheGuardConfigError, describeValue } from '../core/errors.js';
import type { DomainPolicies, DomainPolicyConfig, FreshnessOverrides, Policy } from '../core/policy.js';
import { resolvePolicy } from '../core/resolve-policy.js';

interface Registration {
  readonly config: DomainPolicyConfig;
  readonly policy: Policy;
  readonly source: string;
  readonly overridden: Map<string, Policy>;
}

/** The bounded contexts of one application and their policies. */
export class Domains {
  private readonly registrations = new Map<string, Registration>();

  /**
   * @param source who registers, for the message about a duplicate, e.g. `forRoot`
   * @throws CacheGuardConfigError (`CG_INVALID_POLICY`, `CG_DUPLICATE_DOMAIN`)
   */
  register(policies: DomainPolicies, source: string): void {
    for (const [domain, config] of Object.entries(policies)) {
      const known = this.registrations.get(domain);
      if (known) {
        throw new CacheGuardConfigError(
          'CG_DUPLICATE_DOMAIN',
          `Cache domain '${domain}' is registered twice, by ${known.source} and by ${source}; freshness = ` +
            `${describeValue(config.freshness)} of the second is refused; let one module own the domain, or choose another name.`,
          { domain, field: 'name' },
        );
      }
      this.registrations.set(domain, { config, policy: resolvePolicy(domain, config), source, overridden: new Map() });
    }
  }

  /**
   * The domain's policy, narrowed or widened by what one method or call sets.
   *
   * @throws CacheGuardConfigError (`CG_UNKNOWN_DOMAIN`, `CG_INVALID_POLICY`)
   */
  policy(domain: string, overrides?: FreshnessOverrides, place?: string): Policy {
    const known = this.registrations.get(domain);
    if (!known) {
      const names = [...this.registrations.keys()].map((name) => `'${name}'`).join(', ') || 'none';
      throw new CacheGuardConfigError(
        'CG_UNKNOWN_DOMAIN',
        `Unknown cache domain: domain = ${describeValue(domain)}${place ? ` (set by ${place})` : ''}; ` +
          `register it in forRoot or forFeature, or correct the name. Registered: ${names}.`,
        { domain, field: 'domain' },
      );
    }
    const { softTtl, hardTtl, stalePolicy } = overrides ?? {};
    if (softTtl === undefined && hardTtl === undefined && stalePolicy === undefined) return known.policy;
    const memo = JSON.stringify([softTtl, hardTtl, stalePolicy]);
    let policy = known.overridden.get(memo);
    if (!policy) {
      policy = resolvePolicy(domain, known.config, { softTtl, hardTtl, stalePolicy }, place);
      // Overrides that are computed per call must not grow the memory of the process.
      if (known.overridden.size < 256) known.overridden.set(memo, policy);
    }
    return policy;
  }

  has(domain: string): boolean {
    return this.registrations.has(domain);
  }

  list(): Policy[] {
    return [...this.registrations.values()].map(({ policy }) => policy);
  }
}

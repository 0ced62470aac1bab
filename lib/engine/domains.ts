import { CacheGuardConfigError, describeValue } from '../core/errors.js';
import type { DomainPolicies, DomainPolicyConfig, FreshnessOverrides, Policy } from '../core/policy.js';
import { resolvePolicy } from '../core/resolve-policy.js';

interface Registration {
  readonly config: DomainPolicyConfig;
  readonly policy: Policy;
  readonly source: string;
  readonly overridden: Map<string, Policy>;
}

/** What the application has given for its keys. */
export interface KeyMeans {
  readonly principal: boolean;
  readonly keySecret: boolean;
}

/** The bounded contexts of one application and their policies. */
export class Domains {
  private readonly registrations = new Map<string, Registration>();
  /** `undefined`: not known yet. */
  private means: KeyMeans | undefined;
  private readonly privateSpaces = new Set<string>();

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
      const policy = resolvePolicy(domain, config);
      this.checkMeans(policy, source);
      this.registrations.set(domain, { config, policy, source, overridden: new Map() });
    }
  }

  /**
   * To be told before anything is cached; policies that are registered later are checked as well.
   *
   * @throws CacheGuardConfigError (`CG_INVALID_POLICY`) for a policy that needs what is not there
   */
  haveMeans(means: KeyMeans): void {
    this.means = means;
    for (const { policy, source } of this.registrations.values()) this.checkMeans(policy, source);
  }

  private checkMeans({ domain, scope, hashKeys }: Policy, place: string | undefined): void {
    const { means } = this;
    const refuse = (field: string, value: unknown, mend: string): never => {
      const where = place ? ` (set by ${place})` : '';
      const message = `Cache domain '${domain}'${where}: ${field} = ${describeValue(value)} is refused; ${mend}.`;
      throw new CacheGuardConfigError('CG_INVALID_POLICY', message, { domain, field });
    };
    if (scope === 'private' && means?.principal === false) {
      refuse('scope', scope, 'give CacheGuardModule a principal function, so that it is known whose a value is');
    }
    if (hashKeys && means?.keySecret === false) refuse('hashKeys', hashKeys, 'give CacheGuardModule a keySecret');
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
    const { softTtl, hardTtl, stalePolicy, scope } = overrides ?? {};
    if (softTtl === undefined && hardTtl === undefined && stalePolicy === undefined && scope === undefined)
      return known.policy;
    const memo = JSON.stringify([softTtl, hardTtl, stalePolicy, scope]);
    let policy = known.overridden.get(memo);
    if (!policy) {
      policy = resolvePolicy(domain, known.config, { softTtl, hardTtl, stalePolicy, scope }, place);
      this.checkMeans(policy, place);
      // Overrides that are computed per call must not grow the memory of the process.
      if (known.overridden.size < 256) known.overridden.set(memo, policy);
    }
    return policy;
  }

  /** A method that narrows its domain's scope keeps its keys in this space. */
  notePrivate(domain: string, name: string | undefined): void {
    this.privateSpaces.add(spaceOf(domain, name));
  }

  /** Whether keys of this space have owners. */
  isPrivate(domain: string, name: string | undefined): boolean {
    return this.policy(domain).scope === 'private' || this.privateSpaces.has(spaceOf(domain, name));
  }

  /** Whether methods narrow the domain's scope. */
  isNarrowed(domain: string): boolean {
    return [...this.privateSpaces].some((space) => (JSON.parse(space) as string[])[0] === domain);
  }

  has(domain: string): boolean {
    return this.registrations.has(domain);
  }

  list(): Policy[] {
    return [...this.registrations.values()].map(({ policy }) => policy);
  }
}

function spaceOf(domain: string, name: string | undefined): string {
  return JSON.stringify([domain, name ?? null]);
}

import { Module, type DynamicModule } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { CacheGuardConfigError, describeValue } from '../core/errors.js';
import { OptionsChecker } from '../core/field-checker.js';
import type { DomainPolicies } from '../core/policy.js';
import type { EventRule } from '../core/rules.js';
import { Domains } from '../engine/domains.js';
import { readRules } from './events/events-options.js';
import { RuleBook } from './events/rule-book.js';
import { FEATURE_POLICIES, FEATURE_REGISTRATION } from './tokens.js';

/**
 * What `forFeature` imports: registers policies and nothing else. A class of its own, because the hooks and providers of
 * the root module must exist once.
 */
@Module({})
export class CacheGuardFeatureModule {}

/** What a bounded context may bring besides its policies. */
export interface FeatureOptions {
  /** What is done about which domain events. */
  readonly rules?: readonly EventRule[];
}

const check: OptionsChecker = new OptionsChecker('CacheGuardModule.forFeature');

/** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
export function featureModule(policies: DomainPolicies, options: FeatureOptions): DynamicModule {
  const { rules = [] } = check.options(options, ['rules']);
  return {
    module: CacheGuardFeatureModule,
    providers: [
      { provide: FEATURE_POLICIES, useValue: policies },
      {
        provide: FEATURE_REGISTRATION,
        // When the module is instantiated, and not in a hook: hooks are not called for modules that are loaded lazily.
        useFactory: (modules: ModulesContainer, domains?: Domains, book?: RuleBook) => {
          const importers = importersOf(modules, policies);
          register(policies, importers, domains);
          book?.add(readRules(rules, `forFeature in ${importers}: rules`));
          return true;
        },
        inject: [ModulesContainer, { token: Domains, optional: true }, { token: RuleBook, optional: true }],
      },
    ],
  };
}

function register(policies: DomainPolicies, importers: string, domains: Domains | undefined): void {
  const source = `CacheGuardModule.forFeature in ${importers || 'an unknown module'}`;
  if (!domains) {
    throw new CacheGuardConfigError(
      'CG_INVALID_OPTIONS',
      `${source} has no root to register with; import CacheGuardModule.forRoot or forRootAsync once, in the root module.`,
      { field: 'forFeature' },
    );
  }
  if (typeof policies !== 'object' || policies === null) {
    throw new CacheGuardConfigError(
      'CG_INVALID_OPTIONS',
      `${source}: policies = ${describeValue(policies)} is refused; give an object from domain names to policies.`,
      { field: 'forFeature' },
    );
  }
  domains.register(policies, source);
}

function importersOf(modules: ModulesContainer, policies: DomainPolicies): string {
  const isThis = (module: { providers: ReadonlyMap<unknown, { instance: unknown }> }): boolean =>
    module.providers.get(FEATURE_POLICIES)?.instance === policies;
  return [...modules.values()]
    .filter(({ imports }) => [...imports].some(isThis))
    .map(({ name }) => name)
    .join(', ');
}

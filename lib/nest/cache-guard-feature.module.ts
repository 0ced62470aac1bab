import { Module, type DynamicModule } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { CacheGuardConfigError, describeValue } from '../core/errors.js';
import type { DomainPolicies } from '../core/policy.js';
import { Domains } from '../engine/domains.js';
import { FEATURE_POLICIES, FEATURE_REGISTRATION } from './tokens.js';

/**
 * What `forFeature` imports: registers policies and nothing else. A class of its own, because the hooks and providers of
 * the root module must exist once.
 */
@Module({})
export class CacheGuardFeatureModule {}

export function featureModule(policies: DomainPolicies): DynamicModule {
  return {
    module: CacheGuardFeatureModule,
    providers: [
      { provide: FEATURE_POLICIES, useValue: policies },
      {
        provide: FEATURE_REGISTRATION,
        // When the module is instantiated, and not in a hook: hooks are not called for modules that are loaded lazily.
        useFactory: (modules: ModulesContainer, domains?: Domains) => {
          register(policies, importersOf(modules, policies), domains);
          return true;
        },
        inject: [ModulesContainer, { token: Domains, optional: true }],
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

import { CacheGuardModule, type CacheGuardModuleOptions, type DomainPolicies } from 'nestjs-cache-guard';
import { uniqueNamespace } from '../../support/namespace.js';

/** For whom the application of these tests works; `undefined`: nobody. */
export const acting: { user: string | undefined } = { user: undefined };

export const as = async <T>(who: string | undefined, run: () => Promise<T>): Promise<T> => {
  acting.user = who;
  return run();
};

export const domains = {
  accounts: { freshness: 'reference', stalePolicy: 'never', scope: 'private' },
  offers: { freshness: 'reference', stalePolicy: 'never' },
} as const satisfies DomainPolicies;

export const privateRoot = (over: Partial<CacheGuardModuleOptions> = {}) =>
  CacheGuardModule.forRoot({ namespace: uniqueNamespace(), principal: () => acting.user, domains, ...over });

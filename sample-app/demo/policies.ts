import type { DomainPolicies } from 'nestjs-cache-guard';
import type { Sizes } from './options.js';

/** The bounded contexts that the crowd reads from. */
export type Domain = 'offers' | 'catalog' | 'profiles' | 'balances' | 'branches';

const LONG_MS = 30_000;

/** How long a value is fresh. The unguarded cache uses the same times. */
export function freshForMs({ ttlMs }: Sizes): Record<Domain, number> {
  return { offers: ttlMs, catalog: ttlMs, profiles: LONG_MS, balances: LONG_MS, branches: LONG_MS };
}

export function policies(sizes: Sizes): DomainPolicies {
  const softTtl = freshForMs(sizes);
  const briefly = { freshness: 'experience', hardTtl: '2m', stalePolicy: 'while-revalidate' } as const;
  return {
    offers: { ...briefly, softTtl: softTtl.offers },
    // The keys live for eight loads here and for hundreds in earnest: to spread them as widely, the jitter is larger as well.
    catalog: { ...briefly, softTtl: softTtl.catalog, jitter: 0.5, bulkhead: { concurrency: 4 } },
    profiles: { ...briefly, softTtl: softTtl.profiles },
    balances: { freshness: 'critical', softTtl: softTtl.balances, stalePolicy: 'never' },
    branches: { freshness: 'reference', softTtl: softTtl.branches },
  };
}

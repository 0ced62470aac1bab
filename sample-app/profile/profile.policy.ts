import type { DomainPolicies } from 'nestjs-cache-guard';

export const profilePolicy: DomainPolicies = {
  profile: {
    freshness: 'reference',
    scope: 'private',
    softTtl: '15s',
    stalePolicy: { whileRevalidate: '15s', ifError: '1h' },
    owner: 'Customer Data',
    because: 'Addresses change a few times in a life; the page must greet people also while the source is down.',
  },
};

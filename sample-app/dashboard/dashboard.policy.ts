import type { DomainPolicies } from 'nestjs-cache-guard';

export const dashboardPolicy: DomainPolicies = {
  dashboard: {
    freshness: 'experience',
    scope: 'private',
    softTtl: '30s',
    owner: 'Web',
    because:
      'A greeting may be late. It is made from balances, though, and so inherits their promise: it is never kept.',
  },
};

import type { DomainPolicies } from 'nestjs-cache-guard';

export const transactionsPolicy: DomainPolicies = {
  transactions: {
    freshness: 'operational',
    scope: 'private',
    softTtl: '5s',
    hardTtl: '1m',
    stalePolicy: 'if-error',
    owner: 'Payments',
    because: 'A list that is a minute old beats an error page; in good times nobody sees more than five seconds.',
  },
};

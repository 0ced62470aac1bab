import type { DomainPolicies } from 'nestjs-cache-guard';

export const balancesPolicy: DomainPolicies = {
  balances: {
    freshness: 'critical',
    scope: 'private',
    softTtl: '2s',
    stalePolicy: 'never',
    owner: 'Core Ledger',
    because: 'People decide on payments by it: two seconds between bookings, and not one read after a booking.',
  },
};

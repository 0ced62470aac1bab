import type { DomainPolicies } from 'nestjs-cache-guard';

export const offersPolicy: DomainPolicies = {
  offers: {
    freshness: 'experience',
    softTtl: '10s',
    hardTtl: '2m',
    stalePolicy: 'while-revalidate',
    owner: 'Growth',
    because: 'An offer that is seconds late costs nothing; a slow start page costs customers.',
  },
};

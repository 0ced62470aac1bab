import { atRestMutations } from './at-rest-mutations.mjs';
import { awayMutations } from './away-mutations.mjs';
import { eventMutations } from './event-mutations.mjs';
import { httpMutations } from './http-mutations.mjs';
import { isolationMutations } from './isolation-mutations.mjs';
import { l1Mutations } from './l1-mutations.mjs';
import { largeEventMutations } from './large-event-mutations.mjs';
import { ownershipMutations } from './ownership-mutations.mjs';
import { policyMutations } from './policy-mutations.mjs';
import { protocolMutations } from './protocol-mutations.mjs';
import { sourceMutations } from './source-mutations.mjs';
import { waitMutations } from './wait-mutations.mjs';

export const mutations = [
  ...protocolMutations,
  ...policyMutations,
  ...l1Mutations,
  ...awayMutations,
  ...sourceMutations,
  ...eventMutations,
  ...largeEventMutations,
  ...waitMutations,
  ...atRestMutations,
  ...isolationMutations,
  ...ownershipMutations,
  ...httpMutations,
];

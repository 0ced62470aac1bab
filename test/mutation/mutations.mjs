import { policyMutations } from './policy-mutations.mjs';
import { protocolMutations } from './protocol-mutations.mjs';

export const mutations = [...protocolMutations, ...policyMutations];

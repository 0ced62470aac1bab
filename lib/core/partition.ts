import { errorKind } from './errors.js';
import type { DomainPolicyConfig } from './policy.js';

/** What a domain's `partition` says here. One that throws says nothing, as where nobody is logged in and it reads the tenant of his. */
export function askPartition(partition: NonNullable<DomainPolicyConfig['partition']>): {
  readonly given: unknown;
  readonly error: string | undefined;
} {
  try {
    return { given: partition(), error: undefined };
  } catch (thrown) {
    return { given: undefined, error: errorKind(thrown) };
  }
}

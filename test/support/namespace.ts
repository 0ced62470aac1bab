import { randomBytes } from 'node:crypto';

/** A namespace that no other test uses, for tests that share a Redis. */
export function uniqueNamespace(label = 'test'): string {
  return `${label}-${randomBytes(6).toString('hex')}`;
}

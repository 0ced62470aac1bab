import { expect } from 'vitest';
import { CacheGuardConfigError, describeValue } from '../../../lib/core/errors.js';
import type { DomainPolicyConfig, FreshnessOverrides, Policy } from '../../../lib/core/policy.js';
import { resolvePolicy } from '../../../lib/core/resolve-policy.js';

/** Also for what the types forbid: a configuration may come from a file. */
export const resolve = (config: unknown, overrides?: unknown, place?: string): Policy =>
  resolvePolicy('offers', config as DomainPolicyConfig, overrides as FreshnessOverrides, place);

export function refusal(run: () => unknown): CacheGuardConfigError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(CacheGuardConfigError);
    return error as CacheGuardConfigError;
  }
  throw new Error('was not refused');
}

export function expectRefusal(
  error: CacheGuardConfigError,
  field: string,
  value: unknown,
  mend: RegExp | string,
): void {
  expect(error).toMatchObject({ code: 'CG_INVALID_POLICY', domain: 'offers', field });
  expect(error.message).toContain("'offers'");
  expect(error.message).toContain(`${field} = ${describeValue(value)} is refused; `);
  expect(error.message.split(' is refused; ')[1]).toMatch(mend);
}

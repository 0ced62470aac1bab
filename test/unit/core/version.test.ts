import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CacheGuardError } from '../../../lib/core/errors.js';
import { checkVersion, MAX_VERSION } from '../../../lib/core/version.js';

describe('checkVersion', () => {
  it('accepts every bigint of 64 bits', () => {
    expect([0n, 1n, MAX_VERSION].map(checkVersion)).toEqual([0n, 1n, 2n ** 64n - 1n]);
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: MAX_VERSION }), (version) => checkVersion(version) === version));
  });

  it.each([-1n, MAX_VERSION + 1n, 1, 0, NaN, '1', '', null, undefined, true, [1n], Object(1n), { valueOf: () => 1n }])(
    'refuses %o',
    (version) => {
      const check = () => checkVersion(version);
      expect(check).toThrow(CacheGuardError);
      expect(check).toThrow(expect.objectContaining({ code: 'CG_INVALID_VERSION' }));
      expect(check).toThrow(/give a bigint from 0 to 2\^64 - 1/);
    },
  );
});

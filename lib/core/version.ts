import { CacheGuardError, describeValue } from './errors.js';

/** Versions are kept in 8 bytes, big-endian, so that the store compares them exactly, as bytes. */
export const MAX_VERSION = 2n ** 64n - 1n;

export function versionBytes(version: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(version);
  return bytes;
}

/**
 * @throws CacheGuardError (`CG_INVALID_VERSION`) unless `version` is a bigint from 0 to 2^64 - 1
 */
export function checkVersion(version: unknown): bigint {
  if (typeof version === 'bigint' && version >= 0n && version <= MAX_VERSION) return version;
  throw new CacheGuardError(
    'CG_INVALID_VERSION',
    `A version is ${describeValue(version)}; give a bigint from 0 to 2^64 - 1 (an etag, for equality only, is a text).`,
  );
}

import { CacheGuardConfigError } from '../../core/errors.js';

/**
 * What is thrown about a package that could not be loaded.
 *
 * @returns CacheGuardConfigError (`CG_MISSING_PEER`) when that very package is what could not be found, else the error itself
 */
export function missingPeer(error: unknown, name: string, user: string): unknown {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const missing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
  if (!missing || !String(message).includes(`'${name}'`)) return error;
  return new CacheGuardConfigError(
    'CG_MISSING_PEER',
    `${user} needs ${name}, which is not installed; run: npm install ${name}`,
    { field: 'events', cause: error },
  );
}

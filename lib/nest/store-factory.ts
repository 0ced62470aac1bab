import type { Clock } from '../core/clock.js';
import { CacheGuardConfigError } from '../core/errors.js';
import type { Ids } from '../core/ids.js';
import type { Store } from '../core/store.js';
import { makeBreaker } from '../adapters/breaker.js';
import { MemoryStore } from '../adapters/memory/memory-store.js';
import { EmbeddedFallback } from './embedded-fallback.js';
import type { Settings } from './options.js';

/**
 * The store that the options ask for. The Redis adapter is loaded only here, so that an application without Redis needs no ioredis.
 *
 * @throws CacheGuardConfigError (`CG_MISSING_PEER`)
 */
export async function makeStore(settings: Settings, clock: Clock, ids: Ids): Promise<Store> {
  const { namespace, connect, commandTimeoutMs, unsupportedRedis } = settings;
  const embedded = () => new MemoryStore({ clock });
  if (!connect) return embedded();
  const { RedisStore } = await import('../adapters/redis/redis-store.js').catch(explainMissingPeer);
  const remote = new RedisStore({ namespace, connect, clock, ids, commandTimeoutMs, makeBreaker });
  return new EmbeddedFallback({ remote, embedded, refuse: unsupportedRedis === 'refuse' });
}

/** @throws CacheGuardConfigError (`CG_MISSING_PEER`) when ioredis is what could not be found, else the error itself */
export function explainMissingPeer(error: unknown): never {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const missing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
  if (!missing || !String(message).includes("'ioredis'")) throw error;
  throw new CacheGuardConfigError(
    'CG_MISSING_PEER',
    'CacheGuardModule is configured for Redis, but ioredis is not installed; run: npm install ioredis',
    { field: 'redis', cause: error },
  );
}

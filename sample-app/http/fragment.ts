import type { CacheGuard, ServedValue } from 'nestjs-cache-guard';

/** A value with what the guard says about it: the page shows both. */
export interface Fragment<T> extends Pick<ServedValue, 'domain' | 'state' | 'ageMs' | 'staleMs'> {
  readonly value: T;
}

/** Reads through a guarded method and tells whether the value was fresh, stale or just loaded, and how old it was. */
export async function fragment<T>(cache: CacheGuard, domain: string, read: () => Promise<T>): Promise<Fragment<T>> {
  const { value, served } = await cache.trace(read);
  const { state = 'uncached', ageMs = 0, staleMs = 0 } = served.find((one) => one.domain === domain) ?? {};
  return { domain, state, ageMs: Math.round(ageMs), staleMs: Math.round(staleMs), value };
}

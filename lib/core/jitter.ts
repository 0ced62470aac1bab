/**
 * Shortens a TTL by a random share, so that entries written together do not expire together. Only ever shortens: the bound
 * that a policy states stays a bound.
 *
 * @param share at most this part is taken away, 0 to 0.5
 * @param random from 0 (inclusive) to 1 (exclusive)
 */
export function jittered(ttlMs: number, share: number, random: number): number {
  return Math.min(ttlMs, Math.max(1, Math.floor(ttlMs * (1 - share * random))));
}

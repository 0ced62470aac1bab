/**
 * A generation stands for "everything of a domain" or "everything that carries a tag". Invalidating it moves one number,
 * whatever the count of keys; an entry remembers the numbers that it saw when its load began.
 */
export interface Generation {
  /** Store time in microseconds of the last invalidation; strictly growing. */
  readonly value: number;
  /** The same for the last invalidation that forbids serving even as stale; 0 when there was none. */
  readonly removed: number;
}

/** A generation's name, unique in a namespace: `d:<domain>` or `t:<domain>:<tag>`. */
export type GenerationName = string;

/** Names and the values that were seen; `undefined` for one that the store does not (provably) know. */
export type Generations = ReadonlyMap<GenerationName, Generation | undefined>;

/** What an entry carries. */
export interface GenerationStamp {
  readonly name: GenerationName;
  readonly value: number;
}

export type Drift =
  | { readonly kind: 'none' }
  /** Invalidated (mark stale) at `atMs`, store time. */
  | { readonly kind: 'expired'; readonly atMs: number }
  /** Invalidated in a mode that forbids serving. */
  | { readonly kind: 'removed' }
  /** The store lost a generation: nobody can say whether it moved. */
  | { readonly kind: 'unknown' };

const NO_DRIFT: Drift = { kind: 'none' };

/** How the generations moved since an entry was stamped; the strictest of its stamps wins. */
export function driftOf(stamps: readonly GenerationStamp[], current: Generations): Drift {
  let unknown = false;
  let expiredAt = Infinity;
  for (const stamp of stamps) {
    const now = current.get(stamp.name);
    if (now === undefined) unknown = true;
    else if (now.removed > stamp.value) return { kind: 'removed' };
    else if (now.value > stamp.value) expiredAt = Math.min(expiredAt, now.value / 1000);
  }
  if (unknown) return { kind: 'unknown' };
  return expiredAt === Infinity ? NO_DRIFT : { kind: 'expired', atMs: Math.floor(expiredAt) };
}

/** Stamps for what a load saw when it began; a generation that could not be had is stamped 0, older than any. */
export function stampsOf(seen: Generations): GenerationStamp[] {
  return [...seen].map(([name, generation]) => ({ name, value: generation?.value ?? 0 }));
}

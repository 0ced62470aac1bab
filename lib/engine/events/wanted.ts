import type { InvalidationMode } from '../../core/events.js';
import type { GenerationName } from '../../core/generations.js';
import type { EntryKey, KeyPart } from '../../core/keys.js';
import type { Policy } from '../../core/policy.js';

/** What events want done to one key; that of several events about it is merged. */
export interface WantedKey {
  readonly scope: 'key';
  readonly policy: Policy;
  readonly key: EntryKey;
  /** As the rule named it. */
  readonly name: string | undefined;
  readonly keyInput: KeyPart;
  readonly invalidate: WantedInvalidation | undefined;
  readonly update: { readonly value: unknown; readonly version: bigint } | undefined;
  readonly refresh: { readonly args: readonly unknown[] | undefined } | undefined;
}

export interface WantedInvalidation {
  readonly mode: InvalidationMode;
  /** What is cached goes, however new it is: an event did not say of which version it tells. */
  readonly always: boolean;
  /** The newest version that the source is known to have: what is cached and older goes, and loads that give less are not cached. */
  readonly version: bigint | undefined;
}

export interface WantedGeneration {
  readonly scope: 'tag' | 'domain';
  readonly policy: Policy;
  readonly generation: GenerationName;
  readonly mode: InvalidationMode;
}

export type Wanted = WantedKey | WantedGeneration;

export function targetOf(wanted: Wanted): string {
  return wanted.scope === 'key' ? `k ${wanted.key}` : `g ${wanted.generation}`;
}

const STRICTNESS: readonly InvalidationMode[] = ['expire', 'remove', 'purge'];

function stricter(one: InvalidationMode, other: InvalidationMode): InvalidationMode {
  return STRICTNESS[Math.max(STRICTNESS.indexOf(one), STRICTNESS.indexOf(other))]!;
}

/** One for both; they are of one target. What it leaves is what one after the other would leave, or nothing cached at all. */
export function merged(earlier: Wanted, later: Wanted): Wanted {
  if (earlier.scope !== 'key' || later.scope !== 'key') {
    const { mode } = earlier as WantedGeneration;
    return { ...(later as WantedGeneration), mode: stricter(mode, (later as WantedGeneration).mode) };
  }
  const invalidate = mergedInvalidation(earlier.invalidate, later.invalidate);
  const newest = (later.update?.version ?? -1n) >= (earlier.update?.version ?? -1n) ? later.update : earlier.update;
  // What an invalidation without a version tells of may be newer than the value; what the value was newer than is still too old.
  const dropped = invalidate?.always && newest;
  return {
    ...later,
    invalidate: dropped ? { ...invalidate, version: newer(invalidate.version, newest.version) } : invalidate,
    update: dropped ? undefined : newest,
    // Arguments that are known spare a look at those that were recorded.
    refresh: later.refresh?.args ? later.refresh : (earlier.refresh ?? later.refresh),
  };
}

function mergedInvalidation(one: WantedKey['invalidate'], other: WantedKey['invalidate']): WantedKey['invalidate'] {
  if (!one || !other) return one ?? other;
  return {
    mode: stricter(one.mode, other.mode),
    always: one.always || other.always,
    version: newer(one.version, other.version),
  };
}

function newer(one: bigint | undefined, other: bigint | undefined): bigint | undefined {
  return one === undefined || (other !== undefined && other > one) ? other : one;
}

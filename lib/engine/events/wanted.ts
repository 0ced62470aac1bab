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
  /** `version`: what is cached and as new may stay; `undefined`: it goes in any case. */
  readonly invalidate: { readonly mode: InvalidationMode; readonly version: bigint | undefined } | undefined;
  readonly update: { readonly value: unknown; readonly version: bigint } | undefined;
  readonly refresh: { readonly args: readonly unknown[] | undefined } | undefined;
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
  return {
    ...later,
    invalidate,
    // What an invalidation without a version tells of may be newer than the value.
    update: invalidate && invalidate.version === undefined ? undefined : newest,
    refresh: later.refresh ?? earlier.refresh,
  };
}

function mergedInvalidation(one: WantedKey['invalidate'], other: WantedKey['invalidate']): WantedKey['invalidate'] {
  if (!one || !other) return one ?? other;
  const known = one.version !== undefined && other.version !== undefined;
  const version = known ? (one.version > other.version ? one.version : other.version) : undefined;
  return { mode: stricter(one.mode, other.mode), version };
}

import type { FreshnessClass, StalePolicy } from './policy.js';

/** What a class gives when a policy leaves a field out. Milliseconds; `undefined`: must be spelled out. */
export interface FreshnessPreset {
  readonly softTtlMs: number | undefined;
  readonly whileRevalidateMs: number;
  readonly ifErrorMs: number;
  readonly stalePolicy: StalePolicy | undefined;
  readonly negativeTtlMs: number | undefined;
  readonly mayBeStale: boolean;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** The classes, as code. Stale windows are counted from the soft TTL: `reference` is served stale up to an age of 1 h / 24 h. */
export const FRESHNESS_PRESETS: Readonly<Record<FreshnessClass, FreshnessPreset>> = {
  reference: {
    softTtlMs: 10 * MINUTE,
    whileRevalidateMs: 50 * MINUTE,
    ifErrorMs: 24 * HOUR - 10 * MINUTE,
    stalePolicy: { whileRevalidate: 50 * MINUTE, ifError: 24 * HOUR - 10 * MINUTE },
    negativeTtlMs: MINUTE,
    mayBeStale: true,
  },
  experience: {
    softTtlMs: 30 * SECOND,
    whileRevalidateMs: 90 * SECOND,
    ifErrorMs: 10 * MINUTE - 30 * SECOND,
    stalePolicy: { whileRevalidate: 90 * SECOND, ifError: 10 * MINUTE - 30 * SECOND },
    negativeTtlMs: 10 * SECOND,
    mayBeStale: true,
  },
  operational: {
    softTtlMs: undefined,
    whileRevalidateMs: 0,
    ifErrorMs: 0,
    stalePolicy: undefined,
    negativeTtlMs: undefined,
    mayBeStale: true,
  },
  critical: {
    softTtlMs: 2 * SECOND,
    whileRevalidateMs: 0,
    ifErrorMs: 0,
    stalePolicy: 'never',
    negativeTtlMs: undefined,
    mayBeStale: false,
  },
};

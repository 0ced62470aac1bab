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

/** Served stale until these ages, counted from the loader's call. */
function staleUntil(softTtlMs: number, revalidatingAgeMs: number, errorAgeMs: number) {
  const whileRevalidateMs = revalidatingAgeMs - softTtlMs;
  const ifErrorMs = errorAgeMs - softTtlMs;
  const stalePolicy = { whileRevalidate: whileRevalidateMs, ifError: ifErrorMs };
  return { softTtlMs, whileRevalidateMs, ifErrorMs, stalePolicy, mayBeStale: true };
}

/** The classes, as code. */
export const FRESHNESS_PRESETS: Readonly<Record<FreshnessClass, FreshnessPreset>> = {
  reference: { ...staleUntil(10 * MINUTE, HOUR, 24 * HOUR), negativeTtlMs: MINUTE },
  experience: { ...staleUntil(30 * SECOND, 2 * MINUTE, 10 * MINUTE), negativeTtlMs: 10 * SECOND },
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

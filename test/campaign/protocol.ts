import type { DomainPolicyConfig } from '../../lib/core/policy.js';
import type { DomainRules, Operation } from '../history/history.js';

/** How long one Redis command may take; what takes longer counts as unanswered. */
export const COMMAND_TIMEOUT_MS = 300;
export const KEYS_PER_DOMAIN = 60;
export const TAGS_PER_DOMAIN = 6;

const COMMON = {
  loadTimeout: '1500ms',
  waitBudget: '4s',
  softTimeout: '250ms',
  lease: { duration: '800ms' },
  bulkhead: { concurrency: 4, queue: 1_000 },
  hitForMiss: '1s',
  backoff: { base: '200ms', max: '1s' },
} as const;

/**
 * The bounded contexts of the campaign: with and without permission for stale values, with and without versions. Most values
 * are invalidated long before they expire: what an invalidation misses is seen.
 */
export const DOMAINS = {
  balances: { freshness: 'operational', softTtl: '10s', hardTtl: '15s', stalePolicy: 'never', ...COMMON },
  offers: { freshness: 'experience', softTtl: '3s', hardTtl: '10s', stalePolicy: 'while-revalidate', ...COMMON },
  rates: { freshness: 'operational', softTtl: '8s', hardTtl: '8s', stalePolicy: 'never', ...COMMON },
  news: { freshness: 'experience', softTtl: '2s', hardTtl: '6s', stalePolicy: 'if-error', ...COMMON },
} as const satisfies Record<string, DomainPolicyConfig>;

export type Domain = keyof typeof DOMAINS;

export const VERSIONED: readonly Domain[] = ['rates', 'news'];

/** What a process of the campaign is told to be. */
export interface MemberOptions {
  /** Of one life of the process. */
  readonly name: string;
  readonly namespace: string;
  readonly redisUrl: string;
  readonly origin: string;
  /** The file that it writes its history into. */
  readonly journal: string;
  readonly seed: number;
  /** Zero of the campaign's clock, on the clock that all processes share. */
  readonly zeroMs: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  /** Share of reads of a `never` domain that are answered with an old value, to see whether the checker notices. */
  readonly lies: number;
}

/** What a process knows once it has booted. */
export interface Booted {
  readonly rules: Readonly<Record<string, DomainRules>>;
}

/**
 * A line of a journal: an operation that is over; one that began, so that it is known even if its process dies; or that what began is
 * over. An invalidation that was pending is written once more when it has been carried out.
 */
export type Line = Operation | { readonly begun: number; readonly operation: Operation } | { readonly done: number };

export interface Tally {
  /** Reads that were given a value whose making is on record, by what they were told of it. */
  reads: Record<string, number>;
  /** Reads that were given no value, by their outcome. */
  others: Record<string, number>;
  loads: Record<string, number>;
  puts: Record<string, number>;
  invalidations: Record<string, number>;
  carriedOut: number;
  /** Commands that processes said had not been answered; and those of them that no fault explains. */
  unanswered: number;
  unexplained: number;
  /** Times that a process had no time, by itself or because it was stopped. */
  stalls: number;
}

export interface FoundBreach {
  readonly promise: number;
  readonly rule: string;
  readonly what: string;
  /** The shortest history that shows it. */
  readonly history: string;
}

/** What was found in a window of the history. */
export interface Verdict {
  readonly breaches: readonly FoundBreach[];
  /** Of everything that has been judged so far. */
  readonly tally: Tally;
  readonly tookMs: number;
  /** JSON lines. */
  readonly history: string | undefined;
}

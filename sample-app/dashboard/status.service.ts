import { Inject, Injectable } from '@nestjs/common';
import { amplification, CacheGuard, CacheGuardMetrics, total, type Policy } from 'nestjs-cache-guard';
import type { SampleConfig } from '../config.js';
import { Database } from '../source/database.js';
import { Source, type SourceMode } from '../source/source.js';
import { SAMPLE_CONFIG } from '../tokens.js';

/** A domain's policy, for people. */
export interface DomainPromise extends Pick<Policy, 'domain' | 'freshness' | 'softTtlMs' | 'hardTtlMs'> {
  readonly stale: string;
  readonly owner: string | null;
  readonly because: string | null;
}

export interface DomainCounts {
  readonly domain: string;
  readonly hits: number;
  readonly stale: number;
  readonly misses: number;
  readonly loads: number;
  readonly coalesced: number;
  readonly amplification: number | null;
  /** What the source counted itself. */
  readonly originLoads: number;
}

export interface Status {
  readonly instance: string;
  readonly store: string;
  readonly database: string;
  readonly source: { readonly mode: SourceMode; readonly delayMs: number };
  readonly counters: readonly DomainCounts[];
}

@Injectable()
export class StatusService {
  constructor(
    private readonly cache: CacheGuard,
    private readonly metrics: CacheGuardMetrics,
    private readonly source: Source,
    private readonly database: Database,
    @Inject(SAMPLE_CONFIG) private readonly config: SampleConfig,
  ) {}

  promises(): DomainPromise[] {
    return this.cache.policies().map((policy) => {
      const { domain, freshness, softTtlMs, hardTtlMs, owner = null, because = null } = policy;
      return { domain, freshness, softTtlMs, hardTtlMs, stale: describeStale(policy), owner, because };
    });
  }

  now(): Status {
    const counted = this.metrics.snapshot();
    const { instance, redisUrl, originDelayMs } = this.config;
    return {
      instance,
      store: redisUrl ? `Redis at ${new URL(redisUrl).host}` : 'memory of this process',
      database: this.database.label,
      source: { mode: this.source.mode, delayMs: originDelayMs },
      counters: this.cache.policies().map(({ domain }) => {
        const own = counted[domain];
        return {
          domain,
          hits: own?.hits.fresh ?? 0,
          stale: (own?.hits.stale ?? 0) + (own?.hits['stale-on-error'] ?? 0),
          misses: total(own?.misses ?? {}),
          loads: total(own?.loads ?? {}),
          coalesced: own?.coalesced ?? 0,
          amplification: (own && amplification([own])) ?? null,
          originLoads: this.source.loads(domain),
        };
      }),
    };
  }
}

function describeStale({ keep, whileRevalidateMs, ifErrorMs }: Policy): string {
  if (keep === 'nothing') return 'never kept';
  if (keep === 'validated') return 'never; the version is checked before every read';
  const windows = [
    whileRevalidateMs > 0 && `${duration(whileRevalidateMs)} while one refresh runs`,
    ifErrorMs > whileRevalidateMs && `${duration(ifErrorMs)} if the source fails or is slow`,
  ].filter((window) => window !== false);
  return windows.join(', ') || 'never';
}

function duration(ms: number): string {
  const units: readonly (readonly [string, number])[] = [
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1_000],
  ];
  const [unit, size] = units.find(([, length]) => ms >= length) ?? ['ms', 1];
  return `${Math.round((ms / size) * 10) / 10} ${unit}`;
}

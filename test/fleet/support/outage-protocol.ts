import type { DomainPolicies, Duration } from 'nestjs-cache-guard';
import type { ReadRecord, WriteRecord } from './protocol.js';

export interface OutageOptions {
  readonly name: string;
  readonly namespace: string;
  readonly origin: string;
  readonly redis:
    | { readonly url: string }
    | { readonly sentinels: { readonly host: string; readonly port: number }[]; readonly name: string };
  readonly domains: DomainPolicies;
  readonly commandTimeout: Duration;
}

export interface TrafficOptions {
  readonly ids: readonly string[];
  readonly domains: readonly string[];
  /** From the start of one read to the start of the next. */
  readonly everyMs: number;
}

/** One read that has ended. Times are on the clock that all processes share. */
export interface OutageRead {
  readonly domain: string;
  readonly id: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly state?: ReadRecord['state'];
  readonly version?: number;
  /** Code or message of its error. */
  readonly failure?: string;
}

export interface OutageReport {
  readonly process: string;
  readonly reads: OutageRead[];
  /** Calls of the loader, and the most of them at once, by domain. */
  readonly loads: Record<string, number>;
  readonly mostAtOnce: Record<string, number>;
  /** When the process was kept from its work. */
  readonly stalls: { readonly fromMs: number; readonly toMs: number }[];
  readonly states: { readonly state: 'away' | 'settling' | 'up'; readonly atMs: number }[];
  /** Invalidations that were kept, and those of them that were carried out. */
  pending: number;
  carriedOut: number;
}

export interface OutageWrite extends WriteRecord {
  readonly process: string;
  readonly pending: boolean;
}

import type { DomainPolicies } from 'nestjs-cache-guard';
import { startWorker, type FleetWorker } from '../../support/fleet-worker.js';
import { uniqueNamespace } from '../../support/namespace.js';
import type { OutageOptions, OutageRead, OutageReport, OutageWrite } from './outage-protocol.js';

export const SOFT_TIMEOUT_MS = 200;
export const BUDGET_MS = 2_000;
export const CONCURRENCY = 4;
export const IDS = Array.from({ length: 40 }, (_, i) => `q${i}`);

const PROCESSES = 4;
const READS_PER_SECOND = 400;

const common = {
  softTtl: '2s',
  jitter: 0,
  softTimeout: SOFT_TIMEOUT_MS,
  waitBudget: BUDGET_MS,
  bulkhead: { concurrency: CONCURRENCY, queue: 500 },
} as const;

/** One that may be stale and is kept in memory, and one that may not. */
export const OUTAGE_DOMAINS = {
  offers: { ...common, freshness: 'experience', hardTtl: '1h', stalePolicy: { whileRevalidate: '30m' } },
  balances: { ...common, freshness: 'critical' },
} as const satisfies DomainPolicies;

/** Processes that read all the time, and the test that does something to their Redis meanwhile. */
export class OutageFleet {
  private constructor(readonly workers: readonly FleetWorker[]) {}

  static async start(origin: string, redis: OutageOptions['redis']): Promise<OutageFleet> {
    const workers = await Promise.all(Array.from({ length: PROCESSES }, () => startWorker('outage', { execArgv: [] })));
    const booted = {
      namespace: uniqueNamespace('outage'),
      origin,
      redis,
      domains: OUTAGE_DOMAINS,
      commandTimeout: '1s',
    };
    await Promise.all(workers.map((worker, i) => worker.call('boot', { ...booted, name: `p${i + 1}` })));
    const everyMs = (1_000 * PROCESSES) / READS_PER_SECOND;
    const traffic = { ids: IDS, domains: Object.keys(OUTAGE_DOMAINS), everyMs };
    await Promise.all(workers.map((worker) => worker.call('start', traffic)));
    return new OutageFleet(workers);
  }

  /** Resolves when every process has come to know the store in that state since the given time. */
  async state(state: 'away' | 'settling' | 'up', sinceMs: number): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.call('state', state, sinceMs)));
  }

  /** By one process, one after the other. */
  async write(process: number, ids: readonly string[]): Promise<OutageWrite[]> {
    const writes: OutageWrite[] = [];
    for (const id of ids) writes.push(await this.workers[process]!.call<OutageWrite>('write', id));
    return writes;
  }

  /** Ends the traffic. */
  reports(): Promise<OutageReport[]> {
    return Promise.all(this.workers.map((worker) => worker.call<OutageReport>('stop')));
  }

  /** Those that would not end by themselves. */
  async stop(): Promise<string[]> {
    const ended = await Promise.all(this.workers.map(async (worker) => ((await worker.stop()) ? [] : [worker.log])));
    return ended.flat();
  }
}

export interface ProcessRead extends OutageRead {
  readonly process: string;
  /** Without the time in which its process could not work. */
  readonly waitMs: number;
}

export function readsOf(reports: readonly OutageReport[], domain: string): ProcessRead[] {
  return reports.flatMap(({ process, reads, stalls }) =>
    reads
      .filter((read) => read.domain === domain)
      .map((read) => ({ ...read, process, waitMs: read.endedMs - read.startedMs - stalledDuring(read, stalls) })),
  );
}

function stalledDuring({ startedMs, endedMs }: OutageRead, stalls: OutageReport['stalls']): number {
  const shares = stalls.map(({ fromMs, toMs }) => Math.min(endedMs, toMs) - Math.max(startedMs, fromMs));
  return shares.reduce((sum, ms) => sum + Math.max(0, ms), 0);
}

/** Reads after the return that were given as fresh what had been invalidated before it. */
export function freshButOld(
  reads: readonly ProcessRead[],
  writes: readonly OutageWrite[],
  returnedMs: number,
): object[] {
  return writes.flatMap(({ id, version }) =>
    reads.filter(
      (read) => read.id === id && read.state === 'fresh' && read.startedMs > returnedMs && read.version! < version,
    ),
  );
}

/** Reads of the process that asked for an invalidation, from then to the return, that were given what it had invalidated. */
export function ownButOld(reads: readonly ProcessRead[], writes: readonly OutageWrite[], returnedMs: number): object[] {
  return writes.flatMap(({ id, version, process, resolvedMs }) =>
    reads.filter(
      (read) =>
        read.id === id &&
        read.process === process &&
        read.startedMs > resolvedMs &&
        read.endedMs < returnedMs &&
        read.version! < version,
    ),
  );
}

export const waitOf = ({ waitMs }: ProcessRead): number => waitMs;

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/** What happened, for whoever reads the test's output. */
export function figures(title: string, reports: readonly OutageReport[]): string {
  const lines = Object.keys(OUTAGE_DOMAINS).map((domain) => {
    const reads = readsOf(reports, domain);
    const waits = reads.map(waitOf);
    const states = new Map<string, number>();
    for (const { state, failure } of reads) {
      const name = failure ?? state!;
      states.set(name, (states.get(name) ?? 0) + 1);
    }
    const [p50, p99, most] = [0.5, 0.99, 1].map((share) => percentile(waits, share).toFixed(1));
    const loads = reports.reduce((sum, { loads: made }) => sum + (made[domain] ?? 0), 0);
    const atOnce = reports.map(({ mostAtOnce }) => mostAtOnce[domain] ?? 0).join('/');
    const tally = [...states].map(([state, count]) => `${state} ${count}`).join(', ');
    return `  ${domain}: ${reads.length} reads (${tally}); wait p50 ${p50}, p99 ${p99}, most ${most} ms; ${loads} loads, most at once ${atOnce}`;
  });
  const kept = reports.map(({ pending, carriedOut }) => `${pending}/${carriedOut}`).join(' ');
  const stalled = reports.map(({ stalls }) =>
    Math.round(stalls.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0)),
  );
  lines.push(`  kept from its work by the machine, each: ${stalled.join('/')} ms`);
  return [title, ...lines, `  pending/carried out, by process: ${kept}`].join('\n');
}

import type { ConfirmedWrite } from './app.js';
import type { CrowdLog } from './crowd.js';
import type { Mode } from './scenarios.js';

/** One line of the table. */
export interface Row {
  readonly scenario: string;
  readonly mode: Mode;
  readonly reads: number;
  readonly originLoads: number;
  readonly mostConcurrentLoads: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Reads that began after a write was confirmed, got an older value, and were not told so; `undefined`: nobody wrote. */
  readonly wrongReads: number | undefined;
  /** Reads that were told that their value is stale. */
  readonly markedStale: number;
  readonly errors: number;
  readonly redisCommands: number;
}

export interface Observed {
  readonly scenario: string;
  readonly mode: Mode;
  readonly ids: readonly string[];
  readonly logs: readonly CrowdLog[];
  /** `undefined`: nobody writes in this scenario. */
  readonly writes: readonly ConfirmedWrite[] | undefined;
  readonly counts: { readonly loads: number; readonly mostAtOnce: number };
  readonly commands: number;
}

export function measure({ scenario, mode, ids, logs, writes, counts, commands }: Observed): Row {
  const took = Float64Array.from(logs.flatMap((log) => [...log.tookMs])).toSorted();
  const errors = sum(logs, (log) => log.errors.length);
  return {
    scenario,
    mode,
    reads: took.length + errors,
    originLoads: counts.loads,
    mostConcurrentLoads: counts.mostAtOnce,
    p50Ms: quantile(took, 0.5),
    p99Ms: quantile(took, 0.99),
    wrongReads: writes && sum(logs, (log) => wrongReads(log, ids, writes)),
    markedStale: sum(logs, (log) => log.marked.reduce((all, marked) => all + marked, 0)),
    errors,
    redisCommands: commands,
  };
}

function wrongReads(log: CrowdLog, ids: readonly string[], writes: readonly ConfirmedWrite[]): number {
  let wrong = 0;
  for (let read = 0; read < log.startedMs.length; read++) {
    const id = ids[log.id[read]!];
    const due = writes.reduce(
      (newest, write) =>
        write.id === id && write.confirmedMs < log.startedMs[read]! ? Math.max(newest, write.version) : newest,
      0,
    );
    if (log.version[read]! < due && log.marked[read] === 0) wrong += 1;
  }
  return wrong;
}

function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function sum(logs: readonly CrowdLog[], of: (log: CrowdLog) => number): number {
  return logs.reduce((total, log) => total + of(log), 0);
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Items } from './items.js';
import type { Domain } from './policies.js';

export interface CrowdPlan {
  readonly domain: Domain;
  readonly ids: readonly string[];
  readonly readers: number;
  /** 0: each reads once. */
  readonly windowMs: number;
}

/** Reads of one process, by column; times in milliseconds of `elapsedMs`. */
export interface CrowdLog {
  readonly startedMs: Float64Array;
  readonly tookMs: Float64Array;
  /** Index into the plan's ids. */
  readonly id: Float64Array;
  readonly version: Float64Array;
  /** 1: marked stale. */
  readonly marked: Float64Array;
  readonly errors: readonly string[];
}

/** Between two reads of one reader, at most. */
const PAUSE_MS = 200;

/** A clock that all processes of a machine share, and that nobody sets. */
export function elapsedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Releases the readers of this process at `startMs`. */
export async function runCrowd(items: Items, plan: CrowdPlan, startMs: number): Promise<CrowdLog> {
  const rows: number[][] = [];
  const errors: string[] = [];
  await until(startMs);
  const endMs = startMs + plan.windowMs;

  const reader = async (): Promise<void> => {
    do {
      const id = Math.floor(Math.random() * plan.ids.length);
      const startedMs = elapsedMs();
      try {
        const { version, marked } = await items.read(plan.domain, plan.ids[id]!);
        rows.push([startedMs, elapsedMs() - startedMs, id, version, marked ? 1 : 0]);
      } catch (error) {
        errors.push(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
      }
      if (plan.windowMs > 0) await sleep(Math.random() * PAUSE_MS);
    } while (elapsedMs() < endMs);
  };
  await Promise.all(Array.from({ length: plan.readers }, reader));

  const column = (index: number): Float64Array => Float64Array.from(rows, (row) => row[index]!);
  const [startedMs, tookMs, id, version, marked] = [column(0), column(1), column(2), column(3), column(4)];
  return { startedMs, tookMs, id, version, marked, errors };
}

/** Sleeps, then spins for the last moments: a timer alone is late by a millisecond or more. */
async function until(atMs: number): Promise<void> {
  await sleep(Math.max(0, atMs - elapsedMs() - 3));
  while (elapsedMs() < atMs);
}

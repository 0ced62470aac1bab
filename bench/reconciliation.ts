import 'reflect-metadata';
import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheGuard, CacheGuardModule, type ReconciliationReport } from 'nestjs-cache-guard';
import { startRedis } from '../test/support/redis-server.js';
import { valueOf } from './values.js';

/**
 * What people's reads feel of a reconciliation beside them, in the process that runs it: fresh hits from Redis, before and during a run,
 * turn by turn; then what a run needs of memory. `node reconciliation.js 5000` for another number of keys.
 */

const KEYS = Number(process.argv[2] ?? 100_000);
const ROUNDS = 5;
const READERS = 16;
const HOT_KEYS = 1_000;
const FILLERS = 64;
/** A forced collection takes longer than a batch. */
const BATCHES_PER_LOOK = 20;

@Module({})
class BenchModule {}

interface Latency {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
}

/** Refused while the run of the cadence is under way. */
async function firstRun(guard: CacheGuard): Promise<ReconciliationReport> {
  for (;;) {
    try {
      return await guard.reconcile('offers');
    } catch {
      await pause(50);
    }
  }
}

/** Readers that read one key after the other, until `over`. */
async function readUntil(guard: CacheGuard, over: () => boolean): Promise<Latency> {
  const tookMs: number[] = [];
  const began = performance.now();
  const reader = async (): Promise<void> => {
    while (!over()) {
      const key = Math.floor(Math.random() * HOT_KEYS);
      const from = performance.now();
      await guard.getOrLoad({ domain: 'offers', key }, async () => valueOf(String(key)));
      tookMs.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  const seconds = (performance.now() - began) / 1_000;
  const sorted = Float64Array.from(tookMs).toSorted();
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
  return { perSecond: sorted.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99), worstMs: at(1) };
}

async function fill(guard: CacheGuard, keys: number): Promise<void> {
  let next = 0;
  const filler = async (): Promise<void> => {
    while (next < keys) {
      const key = next++;
      await guard.getOrLoad({ domain: 'offers', key }, async (context) => {
        context.setVersion(1n);
        return valueOf(String(key));
      });
    }
  };
  await Promise.all(Array.from({ length: FILLERS }, filler));
}

const HEADS = ['reads/s', 'p50 ms', 'p99 ms', 'worst ms', 'keys/s'];

function line(what: string, cells: readonly string[]): void {
  console.log(what.padEnd(16) + cells.map((cell) => cell.padStart(10)).join(''));
}

function cellsOf({ perSecond, p50Ms, p99Ms, worstMs }: Latency): string[] {
  return [perSecond.toFixed(0), ...[p50Ms, p99Ms, worstMs].map((ms) => ms.toFixed(2))];
}

function median(latencies: readonly Latency[]): Latency {
  const of = (field: keyof Latency): number =>
    Float64Array.from(latencies, (one) => one[field]).toSorted()[Math.floor(latencies.length / 2)]!;
  return { perSecond: of('perSecond'), p50Ms: of('p50Ms'), p99Ms: of('p99Ms'), worstMs: of('worstMs') };
}

/** What is alive, MB. */
function aliveMb(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1024 / 1024;
}

async function main(): Promise<void> {
  const redis = await startRedis();
  let onBatch = (): void => {};
  const versions = async (keys: readonly unknown[]): Promise<bigint[]> => {
    onBatch();
    return keys.map(() => 1n);
  };
  const reconcile = { every: '1d', versions } as const;
  const offers = { freshness: 'reference', softTtl: '1d', hardTtl: '2d', stalePolicy: 'never', reconcile } as const;
  const root = CacheGuardModule.forRoot({ namespace: 'bench', redisUrl: redis.url, domains: { offers } });
  const app = await NestFactory.createApplicationContext({ module: BenchModule, imports: [root] }, { logger: false });
  const guard = app.get(CacheGuard);
  await fill(guard, KEYS);
  // It counts for the cadence: no other run comes in between then.
  let last = await firstRun(guard);

  console.log(`${KEYS} keys, ${READERS} readers, Node ${process.version}, ${cpus().length} CPUs\n`);
  line('', HEADS);
  const all: Record<'before' | 'during', Latency[]> = { before: [], during: [] };
  for (let i = 0; i < ROUNDS; i++) {
    const until = performance.now() + last.ms;
    const before = await readUntil(guard, () => performance.now() >= until);
    let running = true;
    const run = guard.reconcile('offers').finally(() => (running = false));
    const during = await readUntil(guard, () => !running);
    last = await run;
    line('before a run', cellsOf(before));
    line('during a run', [...cellsOf(during), ((last.checked / last.ms) * 1_000).toFixed(0)]);
    all.before.push(before);
    all.during.push(during);
  }
  console.log();
  line('before, median', cellsOf(median(all.before)));
  line('during, median', cellsOf(median(all.during)));

  const idleMb = aliveMb();
  let peakMb = idleMb;
  let batches = 0;
  onBatch = () => {
    if (batches++ % BATCHES_PER_LOOK === 0) peakMb = Math.max(peakMb, aliveMb());
  };
  const { checked, ms } = await guard.reconcile('offers');
  console.log(`\none more run, alone, with ${checked} keys checked (${ms.toFixed(0)} ms with the looks at memory):`);
  console.log(`alive before it ${idleMb.toFixed(1)} MB, at most ${(peakMb - idleMb).toFixed(1)} MB more during it`);
  await app.close();
  await redis.stop();
}

await main();

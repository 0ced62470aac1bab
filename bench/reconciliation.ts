import 'reflect-metadata';
import { cpus } from 'node:os';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheGuard, CacheGuardModule } from 'nestjs-cache-guard';
import { startRedis } from '../test/support/redis-server.js';
import { valueOf } from './values.js';

/**
 * What people's reads feel of a reconciliation beside them, in the process that runs it: fresh hits from Redis, with and without a run,
 * turn by turn. `node reconciliation.js 5000` for another number of keys.
 */

const KEYS = Number(process.argv[2] ?? 100_000);
const ROUNDS = 5;
const READERS = 16;
const HOT_KEYS = 1_000;
const FILLERS = 64;

@Module({})
class BenchModule {}

interface Latency {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
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

function line(what: string, { perSecond, p50Ms, p99Ms, worstMs }: Latency): string {
  const ms = [p50Ms, p99Ms, worstMs].map((one) => one.toFixed(2).padStart(9));
  return `${what.padEnd(12)}${perSecond.toFixed(0).padStart(10)}${ms.join('')}`;
}

async function main(): Promise<void> {
  const redis = await startRedis();
  const versions = async (keys: readonly unknown[]): Promise<bigint[]> => keys.map(() => 1n);
  const reconcile = { every: '1d', versions } as const;
  const offers = { freshness: 'reference', softTtl: '1d', hardTtl: '2d', stalePolicy: 'never', reconcile } as const;
  const root = CacheGuardModule.forRoot({ namespace: 'bench', redisUrl: redis.url, domains: { offers } });
  const app = await NestFactory.createApplicationContext({ module: BenchModule, imports: [root] }, { logger: false });
  const guard = app.get(CacheGuard);
  await fill(guard, KEYS);
  // It counts for the cadence: no other run comes in between then.
  while (!(await guard.reconcile('offers').catch(() => undefined)));

  console.log(`${KEYS} keys, ${READERS} readers, Node ${process.version}, ${cpus().length} CPUs\n`);
  console.log(
    `${''.padEnd(12)}${'reads/s'.padStart(10)}${['p50 ms', 'p99 ms', 'worst ms'].map((one) => one.padStart(9)).join('')}`,
  );
  for (let i = 0; i < ROUNDS; i++) {
    let running = true;
    const run = guard.reconcile('offers').finally(() => (running = false));
    const beside = await readUntil(guard, () => !running);
    const { ms, checked } = await run;
    const until = performance.now() + ms;
    const alone = await readUntil(guard, () => performance.now() >= until);
    console.log(line('alone', alone));
    console.log(line('beside a run', beside), `  (${checked} checked in ${ms.toFixed(0)} ms)`);
  }
  const heapMb = process.memoryUsage().heapUsed / 1024 / 1024;
  console.log(`\nheap at the end: ${heapMb.toFixed(0)} MB`);
  await app.close();
  await redis.stop();
}

await main();

import 'reflect-metadata';
import { cpus } from 'node:os';
import { startRedis } from '../test/support/redis-server.js';
import { openContenders, type Contender } from './contenders.js';
import { KEYS } from './values.js';

/**
 * Fresh hits: what a read costs when the value is there. All contenders in one process against one Redis, turn by turn in
 * short rounds, so that whatever else the machine does hits all of them; the table gives the median of the rounds.
 */

const ROUNDS = 5;
const ROUND_MS = 200;
const WARM_UP_MS = 150;
const CONCURRENCIES = [1, 32, 256] as const;

interface Round {
  readonly perSecond: number;
  readonly p99Ms: number;
  /** Of this process, the server's not included; what other processes do shows least in it. */
  readonly cpuUs: number;
}

/** Readers that read one key after the other, each a random one. */
async function round(contender: Contender, readers: number, forMs: number): Promise<Round> {
  const tookMs: number[] = [];
  const cpu = process.cpuUsage();
  const began = performance.now();
  const end = began + forMs;
  const reader = async (): Promise<void> => {
    for (let now = performance.now(); now < end;) {
      await contender.read(KEYS[Math.floor(Math.random() * KEYS.length)]!);
      const then = performance.now();
      tookMs.push(then - now);
      now = then;
    }
  };
  await Promise.all(Array.from({ length: readers }, reader));
  const seconds = (performance.now() - began) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const sorted = Float64Array.from(tookMs).toSorted();
  return {
    perSecond: sorted.length / seconds,
    p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
    cpuUs: (user + system) / sorted.length,
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function measure(list: readonly Contender[]): Promise<string[][]> {
  const lines: string[][] = [];
  for (const store of ['Redis', 'L1', 'memory'] as const) {
    const contenders = list.filter((contender) => contender.store === store);
    for (const readers of CONCURRENCIES) {
      for (const contender of contenders) await round(contender, readers, WARM_UP_MS);
      const rounds = new Map(contenders.map((contender) => [contender, [] as Round[]]));
      for (let i = 0; i < ROUNDS; i++) {
        for (const [contender, seen] of rounds) seen.push(await round(contender, readers, ROUND_MS));
      }
      for (const [{ name }, seen] of rounds) {
        const of = (field: keyof Round): number => median(seen.map((one) => one[field]));
        const perSecond = Math.round(of('perSecond')).toLocaleString('en-US');
        lines.push([store, String(readers), name, perSecond, of('p99Ms').toFixed(3), of('cpuUs').toFixed(1)]);
      }
    }
  }
  return lines;
}

const HITS = 5_000;

/** One reader, one hit after the other: what one costs in time, and in memory until the next collection. */
async function perHit({ read }: Contender): Promise<{ ns: number; bytes: number }> {
  const costs: { ns: number; bytes: number }[] = [];
  for (let i = 0; i < ROUNDS + 2; i++) {
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    const began = process.hrtime.bigint();
    for (let hit = 0; hit < HITS; hit++) await read(KEYS[hit % KEYS.length]!);
    const ns = Number(process.hrtime.bigint() - began) / HITS;
    costs.push({ ns, bytes: (process.memoryUsage().heapUsed - before) / HITS });
  }
  const warm = costs.slice(2);
  return { ns: median(warm.map(({ ns }) => ns)), bytes: median(warm.map(({ bytes }) => bytes)) };
}

async function measureHits(list: readonly Contender[]): Promise<string[][]> {
  const lines: string[][] = [];
  for (const contender of list) {
    const { ns, bytes } = await perHit(contender);
    const allocated = globalThis.gc ? Math.round(bytes).toLocaleString('en-US') : '?';
    lines.push([contender.store, '1', contender.name, Math.round(ns).toLocaleString('en-US'), allocated]);
  }
  return lines;
}

function print(head: readonly string[], lines: readonly string[][]): void {
  const all = [head, ...lines];
  const widths = all[0]!.map((_, i) => Math.max(...all.map((line) => line[i]!.length)));
  const text = (line: readonly string[]): string =>
    line.map((cell, i) => (i === 0 || i === 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  for (const [i, line] of all.entries()) {
    const group = (at: number): string => all[at]!.slice(0, 2).join(' ');
    if (i > 1 && group(i) !== group(i - 1)) console.log();
    console.log(text(line));
    if (i === 0) console.log('─'.repeat(text(line).length));
  }
}

const redis = await startRedis();
try {
  const contenders = await openContenders(redis.url);
  try {
    console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model.trim()}; ${ROUNDS} rounds, medians\n`);
    print(['store', 'readers', 'read by', 'reads/s', 'p99 ms', 'CPU µs/read'], await measure(contenders.list));
    console.log('\nOne hit after the other\n');
    print(['store', 'readers', 'read by', 'ns/hit', 'bytes/hit'], await measureHits(contenders.list));
  } finally {
    await contenders.close();
  }
} finally {
  await redis.stop();
}

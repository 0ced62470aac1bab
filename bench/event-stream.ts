import 'reflect-metadata';
import { fork } from 'node:child_process';
import { cpus } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { CacheGuard, CacheGuardModule, redisStream, type DomainEvent, type EventRule } from 'nestjs-cache-guard';
import { startRedis } from '../test/support/redis-server.js';
import type { Sighting } from './event-watcher.js';

/**
 * Domain events from a Redis stream: how many a second become invalidations, beside loops that only read and acknowledge; and how long
 * it takes from the event to its effect in another process. One Redis, one run.
 */

const EVENTS = 50_000;
const ROUNDS = 3;
const PROBES = 300;
const MERGE_WINDOW_MS = 50;
const NAMESPACE = 'bench';

interface Change {
  readonly key: string;
}

const keyOf = (event: DomainEvent<Change>): string => event.data.key;

@Module({})
class BenchModule {}

function startApp(redisUrl: string, stream: string, batch: number): Promise<INestApplicationContext> {
  const rules: EventRule[] = [{ on: 'offer.changed', domain: 'offers', key: keyOf }];
  const events = { rules, sources: [redisStream({ stream, batch })] };
  const domains = { offers: { freshness: 'reference', stalePolicy: 'if-error' } } as const;
  const root = CacheGuardModule.forRoot({ namespace: NAMESPACE, redisUrl, domains, events });
  return NestFactory.createApplicationContext({ module: BenchModule, imports: [root] }, { logger: false });
}

let published = 0;

function envelope(key: string): string {
  return JSON.stringify({ id: String(++published), source: '/bench', type: 'offer.changed', data: { key } });
}

async function fill(redis: Redis, stream: string, keys: number): Promise<void> {
  for (let from = 0; from < EVENTS; from += 1_000) {
    const pipeline = redis.pipeline();
    for (let i = from; i < from + 1_000; i++) pipeline.xadd(stream, '*', 'event', envelope(`k${i % keys}`));
    await pipeline.exec();
  }
}

/** Reads and acknowledges, and does nothing else. */
async function bareLoop(redis: Redis, stream: string, batch: number): Promise<number> {
  const group = `bare${batch}`;
  await redis.xgroup('CREATE', stream, group, '0');
  const enough = Math.min(EVENTS, batch * 10_000);
  const began = performance.now();
  let read = 0;
  while (read < enough) {
    const reply = await redis.xreadgroup('GROUP', group, 'one', 'COUNT', batch, 'STREAMS', stream, '>');
    const [, entries] = (reply as [string, [string, string[]][]][])[0]!;
    await redis.xack(stream, group, ...entries.map(([id]) => id));
    read += entries.length;
  }
  return read / ((performance.now() - began) / 1_000);
}

/** The same, with the invalidation that each event asks for as a bare `DEL` and a `PUBLISH`. */
async function bareInvalidations(redis: Redis, stream: string, batch: number): Promise<number> {
  await redis.xgroup('CREATE', stream, 'deleting', '0');
  const began = performance.now();
  let read = 0;
  while (read < EVENTS) {
    const reply = await redis.xreadgroup('GROUP', 'deleting', 'one', 'COUNT', batch, 'STREAMS', stream, '>');
    const [, entries] = (reply as [string, [string, string[]][]][])[0]!;
    const pipeline = redis.pipeline();
    for (const [, fields] of entries) {
      const { data } = JSON.parse(fields[1]!) as { data: Change };
      pipeline.del(`bare:${data.key}`).publish('bare', data.key);
    }
    pipeline.xack(stream, 'deleting', ...entries.map(([id]) => id));
    await pipeline.exec();
    read += entries.length;
  }
  return read / ((performance.now() - began) / 1_000);
}

async function guarded(redis: Redis, redisUrl: string, stream: string, batch: number): Promise<number> {
  await redis.xgroup('CREATE', stream, NAMESPACE, '0');
  const app = await startApp(redisUrl, stream, batch);
  let applied = 0;
  let first: number | undefined;
  let last = 0;
  await new Promise<void>((resolve) => {
    app.get(CacheGuard).on((event) => {
      if (event.type !== 'domain-events' || event.outcome !== 'applied') return;
      first ??= performance.now();
      applied += event.count;
      last = performance.now();
      if (applied >= EVENTS) resolve();
    });
  });
  await app.close();
  return (applied - batch) / ((last - first!) / 1_000);
}

/** From XADD until a process that had the value in memory is given another one. */
async function effect(redis: Redis, redisUrl: string): Promise<number[]> {
  const stream = 'effect';
  const app = await startApp(redisUrl, stream, 256);
  const watcher = fork(fileURLToPath(new URL('./event-watcher.js', import.meta.url)), [redisUrl, NAMESPACE]);
  const sighted = () => new Promise<Sighting>((resolve) => watcher.once('message', resolve));
  const tookMs: number[] = [];
  await redis.set('source', 0);
  let next = sighted();
  watcher.send('start');
  await next;
  for (let i = 1; i <= PROBES; i++) {
    // One after the other: what comes within the window of the one before is merged, and waits for its end.
    await setTimeout(2 * MERGE_WINDOW_MS);
    next = sighted();
    await redis.set('source', i);
    const sentAt = performance.timeOrigin + performance.now();
    await redis.xadd(stream, '*', 'event', envelope('probe'));
    tookMs.push((await next).at - sentAt);
  }
  watcher.kill();
  await app.close();
  return tookMs.toSorted((a, b) => a - b);
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

const server = await startRedis();
const redis = new Redis(server.url);
try {
  console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model.trim()}; ${ROUNDS} rounds, medians\n`);
  const contenders: [string, (stream: string) => Promise<number>][] = [
    ['bare XREADGROUP and XACK, one by one', (stream) => bareLoop(redis, stream, 1)],
    ['bare XREADGROUP and XACK, 256 at once', (stream) => bareLoop(redis, stream, 256)],
    ['the same, with DEL and PUBLISH for each', (stream) => bareInvalidations(redis, stream, 256)],
    ['redisStream, rules, invalidations, 256 at once', (stream) => guarded(redis, server.url, stream, 256)],
  ];
  for (const keys of [EVENTS, 100]) {
    console.log(`${EVENTS.toLocaleString('en-US')} events about ${keys.toLocaleString('en-US')} keys`);
    const rates = contenders.map((): number[] => []);
    for (let round = 0; round < ROUNDS; round++) {
      const stream = `events:${keys}:${round}`;
      await fill(redis, stream, keys);
      for (const [i, [, run]] of contenders.entries()) rates[i]!.push(await run(stream));
      await redis.del(stream);
    }
    for (const [i, [name]] of contenders.entries()) {
      console.log(`  ${name.padEnd(48)} ${Math.round(median(rates[i]!)).toLocaleString('en-US').padStart(9)} events/s`);
    }
    console.log();
  }
  const tookMs = await effect(redis, server.url);
  const at = (share: number): string => tookMs[Math.floor(tookMs.length * share)]!.toFixed(1);
  console.log(`Event to effect in another process, ${PROBES} times: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`);
} finally {
  redis.disconnect();
  await server.stop();
}

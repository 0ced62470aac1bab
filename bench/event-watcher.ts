import 'reflect-metadata';
import { setImmediate } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { CacheGuard, CacheGuardModule } from 'nestjs-cache-guard';

/** A process that has a value in memory and says when it is given another one. */
export interface Sighting {
  readonly value: number;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

@Module({})
class WatcherModule {}

const [redisUrl, namespace] = process.argv.slice(2) as [string, string];
const domains = { offers: { freshness: 'reference', stalePolicy: 'if-error' } } as const;
const root = CacheGuardModule.forRoot({ namespace, redisUrl, domains });
const app = await NestFactory.createApplicationContext({ module: WatcherModule, imports: [root] }, { logger: false });
const guard = app.get(CacheGuard);
const redis = new Redis(redisUrl);
await new Promise((resolve) => process.once('message', resolve));

let seen: number | undefined;
for (;;) {
  const value = await guard.getOrLoad({ domain: 'offers', key: 'probe' }, async () =>
    Number(await redis.get('source')),
  );
  if (value !== seen) {
    seen = value;
    process.send?.({ value, at: performance.timeOrigin + performance.now() } satisfies Sighting);
  }
  await setImmediate();
}

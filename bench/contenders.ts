import { Injectable, Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { Cached, CacheGuard, CacheGuardModule } from 'nestjs-cache-guard';
import { KEYS, valueOf, type Offer } from './values.js';

/** One way to get a value that is there already. */
export interface Contender {
  /** `L1`: the tier in memory before Redis. */
  readonly store: 'Redis' | 'L1' | 'memory';
  readonly name: string;
  readonly read: (id: string) => Promise<Offer>;
}

export interface Contenders {
  readonly list: readonly Contender[];
  close(): Promise<void>;
}

@Injectable()
class OfferService {
  @Cached({ domain: 'offers', name: 'annotated', key: (id: string) => id })
  async byId(id: string): Promise<Offer> {
    return valueOf(id);
  }
}

@Module({ providers: [OfferService] })
class BenchModule {}

/** Opens everything and fills it, so that every read is a fresh hit. */
export async function openContenders(redisUrl: string): Promise<Contenders> {
  const [onRedis, tiered, inMemory] = [
    await startApp(redisUrl, false),
    await startApp(redisUrl, { maxEntries: 2 * KEYS.length }),
    await startApp(undefined, {}),
  ];
  const plain = new Redis(redisUrl);
  const pipelining = new Redis(redisUrl, { enableAutoPipelining: true });
  const map = new Map(KEYS.map((id) => [id, valueOf(id)]));
  const lru = new LRUCache<string, Offer>({ max: KEYS.length });
  for (const [id, offer] of map) lru.set(id, offer);
  for (const id of KEYS) await plain.set(`plain:${id}`, JSON.stringify(valueOf(id)), 'PX', 600_000);

  const list: readonly Contender[] = [
    ...guarded('Redis', onRedis),
    { store: 'Redis', name: 'ioredis, GET and JSON.parse', read: (id) => readPlain(plain, id) },
    { store: 'Redis', name: 'the same, auto-pipelining', read: (id) => readPlain(pipelining, id) },
    ...guarded('L1', tiered),
    { store: 'L1', name: 'lru-cache in an async function', read: async (id) => lru.get(id)! },
    ...guarded('memory', inMemory),
    { store: 'memory', name: 'Map in an async function', read: async (id) => map.get(id)! },
  ];
  // Loaded, then read from Redis, then there.
  for (const { read } of [...list, ...list]) {
    for (let from = 0; from < KEYS.length; from += 50) {
      await Promise.all(KEYS.slice(from, from + 50).map((id) => read(id)));
    }
  }
  for (const { store, read } of list) if (store === 'L1') await untilInMemory(tiered, read);
  return {
    list,
    close: async () => {
      await Promise.all([onRedis.close(), tiered.close(), inMemory.close(), plain.quit(), pipelining.quit()]);
    },
  };
}

/** Messages of what was written have come, and each key has been read since. */
async function untilInMemory(app: INestApplicationContext, read: Contender['read']): Promise<void> {
  const guard = app.get(CacheGuard);
  let elsewhere = 0;
  const off = guard.on((event) => {
    if (event.type !== 'hit' || event.tier !== 'l1') elsewhere++;
  });
  do {
    elsewhere = 0;
    for (const id of KEYS) await read(id);
  } while (elsewhere > 0);
  off();
}

async function readPlain(redis: Redis, id: string): Promise<Offer> {
  return JSON.parse((await redis.get(`plain:${id}`))!) as Offer;
}

function guarded(store: Contender['store'], app: INestApplicationContext): Contender[] {
  const guard = app.get(CacheGuard);
  const service = app.get(OfferService);
  const load = (id: string) => () => Promise.resolve(valueOf(id));
  return [
    { store, name: 'CacheGuard.getOrLoad', read: (id) => guard.getOrLoad({ domain: 'offers', key: id }, load(id)) },
    { store, name: '@Cached method', read: (id) => service.byId(id) },
  ];
}

function startApp(
  redisUrl: string | undefined,
  l1: false | { readonly maxEntries?: number },
): Promise<INestApplicationContext> {
  const guard = CacheGuardModule.forRoot({
    namespace: l1 ? 'bench-l1' : 'bench',
    ...(redisUrl ? { redisUrl } : {}),
    domains: {
      offers: { freshness: 'experience', softTtl: '10m', hardTtl: '20m', stalePolicy: 'while-revalidate', l1 },
    },
  });
  return NestFactory.createApplicationContext(
    { module: BenchModule, imports: [guard] },
    { logger: ['error', 'warn'], abortOnError: false },
  );
}

import { Injectable, Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { Cached, CacheGuard, CacheGuardModule } from 'nestjs-cache-guard';
import { KEYS, valueOf, type Offer } from './values.js';

/** One way to get a value that is there already. */
export interface Contender {
  readonly store: 'Redis' | 'memory';
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
  const [onRedis, inMemory] = [await startApp(redisUrl), await startApp(undefined)];
  const plain = new Redis(redisUrl);
  const pipelining = new Redis(redisUrl, { enableAutoPipelining: true });
  const map = new Map(KEYS.map((id) => [id, valueOf(id)]));
  for (const id of KEYS) await plain.set(`plain:${id}`, JSON.stringify(valueOf(id)), 'PX', 600_000);

  const list: readonly Contender[] = [
    ...guarded('Redis', onRedis),
    { store: 'Redis', name: 'ioredis, GET and JSON.parse', read: (id) => readPlain(plain, id) },
    { store: 'Redis', name: 'the same, auto-pipelining', read: (id) => readPlain(pipelining, id) },
    ...guarded('memory', inMemory),
    { store: 'memory', name: 'Map in an async function', read: async (id) => map.get(id)! },
  ];
  for (const { read } of list) {
    for (let from = 0; from < KEYS.length; from += 50) {
      await Promise.all(KEYS.slice(from, from + 50).map((id) => read(id)));
    }
  }
  return {
    list,
    close: async () => {
      await Promise.all([onRedis.close(), inMemory.close(), plain.quit(), pipelining.quit()]);
    },
  };
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

function startApp(redisUrl: string | undefined): Promise<INestApplicationContext> {
  const guard = CacheGuardModule.forRoot({
    namespace: 'bench',
    ...(redisUrl ? { redisUrl } : {}),
    domains: { offers: { freshness: 'experience', softTtl: '10m', hardTtl: '20m', stalePolicy: 'while-revalidate' } },
  });
  return NestFactory.createApplicationContext(
    { module: BenchModule, imports: [guard] },
    { logger: ['error', 'warn'], abortOnError: false },
  );
}

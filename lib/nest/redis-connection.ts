/** @ts-ignore: ioredis is optional, and without it these types are `any`. */
import type { Cluster, Redis, RedisOptions } from 'ioredis';

/** How to reach Redis. */
export type RedisConnection =
  { readonly client: Redis | Cluster } | { readonly url: string } | { readonly options: RedisOptions };

import type { Cluster, Redis, RedisOptions } from 'ioredis';

/** A node's connection, as far as this adapter uses it. */
export type NodeClient = Pick<Redis, 'mgetBuffer' | 'callBuffer' | 'info' | 'time' | 'pipeline' | 'scanBuffer' | 'on'>;

/** What the user hands in: a `Redis` or `Cluster` of ioredis 5 or 6. It is duplicated, never used and never closed. */
export interface DuplicableClient {
  readonly isCluster: boolean;
  duplicate(...args: never[]): unknown;
}

/** How to reach Redis. */
export type RedisConnect =
  | { readonly client: DuplicableClient }
  | { readonly url: string; readonly options?: RedisOptions }
  | { readonly options: RedisOptions };

/**
 * What our own connections never do, whatever the user's client is set to: keep commands for later, send a command twice, or
 * read from a replica. A command either gets its answer within its budget or has failed.
 */
export const OWN_OPTIONS = {
  keyPrefix: '',
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  enableAutoPipelining: false,
  lazyConnect: true,
  readOnly: false,
  replyMapping: 'legacy',
  retryStrategy: (times: number) => Math.min(50 * 2 ** Math.min(times, 6), 2_000),
} as const;

export function isCluster(client: Redis | Cluster): client is Cluster {
  return client.isCluster;
}

import type { Cluster, Redis, RedisOptions } from 'ioredis';

/** A node's connection, as far as this adapter uses it. */
export type NodeClient = Pick<
  Redis,
  | 'mgetBuffer'
  | 'hmget'
  | 'callBuffer'
  | 'set'
  | 'info'
  | 'time'
  | 'pipeline'
  | 'scanBuffer'
  | 'on'
  | 'disconnect'
  | 'options'
>;

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
  // A connection that is given up has nothing left to say; its timer would hold up the end of the process.
  disconnectTimeout: 100,
  replyMapping: 'legacy',
  // Soon enough to be back while the fleet settles, and not in step with it.
  retryStrategy: (times: number) => Math.min(50 * 2 ** Math.min(times, 5), 1_000) * (0.75 + 0.25 * Math.random()),
} as const;

export function isCluster(client: Redis | Cluster): client is Cluster {
  return client.isCluster;
}

/** The `keyPrefix` that the user's connection has: an ACL may allow nothing else. Ours name keys in scripts and channels too, in full. */
export function keyPrefixOf(connect: RedisConnect): string {
  // The options of a URL's query are the client's, and this one is ours to see to.
  if ('url' in connect) return connect.options?.keyPrefix ?? new URL(connect.url).searchParams.get('keyPrefix') ?? '';
  if (!('client' in connect)) return connect.options.keyPrefix ?? '';
  const { options } = connect.client as unknown as Redis | Cluster;
  return options.keyPrefix ?? ('redisOptions' in options ? options.redisOptions?.keyPrefix : undefined) ?? '';
}

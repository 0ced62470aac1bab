import type { ProvidedContext } from 'vitest';
import type { TestProject } from 'vitest/node';
import { startCluster, type RedisCluster } from './redis-cluster.js';
import { startRedis, type RedisServer } from './redis-server.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A standalone Redis that all tests of a run share: use namespaces of your own, never FLUSHALL. */
    redisUrl: string;
    /** The masters of a Cluster that all tests of a run share. */
    clusterNodes: { host: string; port: number }[];
  }
}

interface Shared {
  users: number;
  servers: Promise<readonly [RedisServer, RedisCluster]>;
}

/** Every project calls this setup, each from a module instance of its own; the servers are one pair per process. */
const SHARED = Symbol.for('nestjs-cache-guard.test.redis');
const registry = globalThis as { [SHARED]?: Shared | undefined };

/** Servers that whoever started this run shares between several runs: JSON of `redisUrl` and `clusterNodes`. */
const GIVEN = process.env['CACHE_GUARD_TEST_SERVERS'];

/** Makes sure of a Redis binary before any test, and starts the shared servers. Fault tests start their own. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (GIVEN) {
    const { redisUrl, clusterNodes } = JSON.parse(GIVEN) as Pick<ProvidedContext, 'redisUrl' | 'clusterNodes'>;
    project.provide('redisUrl', redisUrl);
    project.provide('clusterNodes', clusterNodes);
    return async () => {};
  }
  const shared = (registry[SHARED] ??= { users: 0, servers: start() });
  shared.users += 1;
  const [standalone, cluster] = await shared.servers;
  project.provide('redisUrl', standalone.url);
  project.provide('clusterNodes', cluster.nodes);

  return async () => {
    shared.users -= 1;
    if (shared.users > 0) return;
    registry[SHARED] = undefined;
    await Promise.all([standalone.stop(), cluster.stop()]);
  };
}

/** No test takes a node away from all others, and a busy machine must not either. */
const NODE_TIMEOUT_MS = 20_000;

async function start(): Promise<readonly [RedisServer, RedisCluster]> {
  const starting = [startRedis(), startCluster({ nodeTimeoutMs: NODE_TIMEOUT_MS })] as const;
  const [standalone, cluster] = await Promise.allSettled(starting);
  if (standalone.status === 'fulfilled' && cluster.status === 'fulfilled') return [standalone.value, cluster.value];
  for (const started of [standalone, cluster]) if (started.status === 'fulfilled') await started.value.stop();
  throw [standalone, cluster].find((outcome) => outcome.status === 'rejected')!.reason;
}

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { librariesOf, onPath, unpackedServer, whyItFails, type DistributionServer } from './distribution.js';

/** A server binary that has been seen to run, and the environment that it needs on top of ours. */
export interface RedisBinary {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

const DISTRIBUTION: DistributionServer = {
  name: 'redis',
  packages: [
    'redis-server',
    'redis-tools',
    'libjemalloc2',
    'liblzf1',
    'libatomic1',
    'libssl3',
    'libssl3t64',
    'libsystemd0',
  ],
  help: 'Install Redis 7 or newer (or Valkey), or set REDIS_SERVER_BIN to the path of a redis-server binary.',
  trouble: async (root) => {
    const { path, env } = unpackedBinary(root);
    return existsSync(path) ? whyItFails(path, ['--version'], env) : 'the packages hold no redis-server';
  },
};

let resolving: Promise<RedisBinary> | undefined;

/**
 * Finds a Redis server: `REDIS_SERVER_BIN`, else `redis-server` or `valkey-server` on the PATH, else (on Debian and its
 * relatives, no root needed) the distribution's own package, unpacked into `.cache/redis`.
 */
export function resolveRedisBinary(): Promise<RedisBinary> {
  resolving ??= find().catch((error: unknown) => {
    resolving = undefined;
    throw error;
  });
  return resolving;
}

async function find(): Promise<RedisBinary> {
  const named = process.env['REDIS_SERVER_BIN'];
  if (named) {
    const trouble = await whyItFails(named, ['--version']);
    if (trouble) throw new Error(`REDIS_SERVER_BIN=${named} does not run: ${trouble}`);
    return { path: named, env: {} };
  }
  for (const name of ['redis-server', 'valkey-server']) {
    const path = onPath(name);
    if (path && !(await whyItFails(path, ['--version']))) return { path, env: {} };
  }
  return unpackedBinary(await unpackedServer(DISTRIBUTION));
}

function unpackedBinary(root: string): RedisBinary {
  return { path: join(root, 'usr/bin/redis-server'), env: librariesOf(root) };
}

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';

const run = promisify(execFile);
const require = createRequire(import.meta.url);

export interface DemoRedis {
  readonly url: string;
  readonly version: string;
  readonly client: Redis;
  stop(): Promise<void>;
}

/** A Redis of the demo's own, or the one at `url`, which must be empty. */
export async function openRedis(url: string | undefined): Promise<DemoRedis> {
  const server = url === undefined ? await startOwn() : undefined;
  const at = server?.url ?? url!;
  const client = new Redis(at, { lazyConnect: true, retryStrategy: () => null });
  const stop = async (): Promise<void> => {
    client.disconnect();
    await server?.stop();
  };
  let trouble: Error | undefined;
  client.on('error', (error) => (trouble = error));
  try {
    await client.connect().catch((error: unknown) => {
      throw new Error(`Redis does not answer: ${(trouble ?? (error as Error)).message}`, { cause: error });
    });
    if (!server) await refuseUnlessEmpty(client);
    const info = await client.info('server');
    const version = /^(?:valkey|redis)_version:(.+)$/m.exec(info)?.[1]?.trim() ?? 'unknown';
    return { url: at, version, client, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function refuseUnlessEmpty(client: Redis): Promise<void> {
  if (!/^db\d+:/m.test(await client.info('keyspace'))) return;
  throw new Error(
    'The Redis of REDIS_URL is not empty, and the last scenario empties it; give another, or unset REDIS_URL.',
  );
}

interface Harness {
  readonly startRedis: () => Promise<{ readonly url: string; stop(): Promise<void> }>;
}

/**
 * The tests' own way to find or unpack a Redis and to start it. It lies outside of what the sample's compilation reaches, so it
 * is compiled on its own, beside this module.
 */
async function startOwn(): Promise<Awaited<ReturnType<Harness['startRedis']>>> {
  const out = fileURLToPath(new URL('redis-harness', import.meta.url));
  const project = join(projectRoot(dirname(out)), 'sample-app/demo/redis-harness.tsconfig.json');
  try {
    await run(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', project, '--noCheck', '--outDir', out]);
  } catch (error) {
    const { stdout } = error as { stdout?: string };
    throw new Error(`The Redis harness of the tests could not be compiled.\n${stdout}`, { cause: error });
  }
  const { startRedis } = (await import(new URL('redis-harness/redis-server.js', import.meta.url).href)) as Harness;
  return startRedis();
}

function projectRoot(from: string): string {
  if (existsSync(join(from, 'package.json'))) return from;
  const parent = dirname(from);
  if (parent === from) throw new Error('The demo runs inside the project: no package.json was found above it.');
  return projectRoot(parent);
}

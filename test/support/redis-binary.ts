import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { CACHE_DIR } from './paths.js';

const run = promisify(execFile);

/** A server binary that has been seen to run, and the environment that it needs on top of ours. */
export interface RedisBinary {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

const UNPACKED = join(CACHE_DIR, 'redis');
const HELP = 'Install Redis 7 or newer (or Valkey), or set REDIS_SERVER_BIN to the path of a redis-server binary.';

/** What redis-server needs beyond a minimal Debian; a name that a release does not know is left out. */
const DEBIAN_PACKAGES = [
  'redis-server',
  'redis-tools',
  'libjemalloc2',
  'liblzf1',
  'libatomic1',
  'libssl3',
  'libssl3t64',
  'libsystemd0',
];

let resolving: Promise<RedisBinary> | undefined;

/**
 * Finds a Redis server: `REDIS_SERVER_BIN`, else `redis-server` or `valkey-server` on the PATH, else (on Debian and its
 * relatives, no root needed) the distribution's own package, unpacked into `.cache/redis`. The unpacked copy is kept
 * between runs and appears by one atomic rename, so concurrent runs cannot see half of it.
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
    const binary = { path: named, env: {} };
    const trouble = await whyItFails(binary);
    if (trouble) throw new Error(`REDIS_SERVER_BIN=${named} does not run: ${trouble}`);
    return binary;
  }

  for (const name of ['redis-server', 'valkey-server']) {
    const path = onPath(name);
    if (path && !(await whyItFails({ path, env: {} }))) return { path, env: {} };
  }

  const cached = unpackedBinary(UNPACKED);
  if (cached) {
    if (!(await whyItFails(cached))) return cached;
    rmSync(UNPACKED, { recursive: true, force: true });
  }

  if (!['apt-get', 'apt-cache', 'dpkg'].every(onPath)) throw new Error(`No Redis server found. ${HELP}`);
  return unpackFromDistribution();
}

function onPath(name: string): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const candidate = join(folder, name);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

async function whyItFails(binary: RedisBinary): Promise<string | undefined> {
  try {
    await run(binary.path, ['--version'], { env: { ...process.env, ...binary.env } });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function unpackedBinary(root: string): RedisBinary | undefined {
  const path = join(root, 'usr/bin/redis-server');
  if (!existsSync(path)) return undefined;
  const libraries = ['usr/lib', 'lib'].flatMap((parent) =>
    listFolder(join(root, parent))
      .filter((name) => name.includes('-linux-'))
      .map((name) => join(root, parent, name)),
  );
  const inherited = process.env['LD_LIBRARY_PATH'];
  return { path, env: { LD_LIBRARY_PATH: [...libraries, ...(inherited ? [inherited] : [])].join(delimiter) } };
}

async function unpackFromDistribution(): Promise<RedisBinary> {
  process.stderr.write('No Redis server on the PATH: unpacking the distribution’s package into .cache/redis …\n');
  mkdirSync(CACHE_DIR, { recursive: true });
  const work = mkdtempSync(join(CACHE_DIR, 'redis-unpack-'));
  try {
    const archives = await download(work);
    const root = join(work, 'root');
    for (const archive of archives) await run('dpkg', ['-x', archive, root]);

    const binary = unpackedBinary(root);
    const trouble = binary ? await whyItFails(binary) : 'the packages hold no redis-server';
    if (trouble) throw new Error(trouble);
    publish(root);
  } catch (error) {
    throw new Error(`The distribution’s Redis could not be used. ${HELP}\n${messageOf(error)}`, { cause: error });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return unpackedBinary(UNPACKED)!;
}

/** Moves the complete tree to its place; when another run was first, its tree is as good as ours. */
function publish(root: string): void {
  try {
    renameSync(root, UNPACKED);
  } catch (error) {
    if (!unpackedBinary(UNPACKED)) throw error;
  }
}

/** Downloads with the system's package lists, and with freshly fetched private ones when those are missing or outdated. */
async function download(work: string): Promise<string[]> {
  const packages = join(work, 'packages');
  mkdirSync(packages);
  const asIs = ['-o', 'APT::Sandbox::User=root'];
  try {
    return await downloadWith(asIs, packages);
  } catch {
    const lists = join(work, 'lists');
    const cache = join(work, 'cache');
    mkdirSync(join(lists, 'partial'), { recursive: true });
    mkdirSync(join(cache, 'archives/partial'), { recursive: true });
    const own = [...asIs, '-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Cache=${cache}`];
    process.stderr.write('The package lists are missing or outdated: fetching a private copy …\n');
    // One unreachable third-party source makes `update` fail although the lists that matter have arrived.
    await run('apt-get', [...own, 'update']).catch(() => undefined);
    return downloadWith(own, packages);
  }
}

async function downloadWith(options: string[], folder: string): Promise<string[]> {
  const { stdout } = await run('apt-cache', [...options, 'madison', ...DEBIAN_PACKAGES], { cwd: folder });
  const known = new Set(stdout.split('\n').map((line) => line.split('|')[0]?.trim()));
  if (!known.has('redis-server')) throw new Error('The package lists know no redis-server.');
  const wanted = DEBIAN_PACKAGES.filter((name) => known.has(name));
  await run('apt-get', [...options, 'download', ...wanted], { cwd: folder });
  return listFolder(folder)
    .filter((name) => name.endsWith('.deb'))
    .map((name) => join(folder, name));
}

function listFolder(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

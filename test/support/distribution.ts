import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { CACHE_DIR } from './paths.js';

const run = promisify(execFile);

/** A server that can come from the packages of Debian and its relatives, unpacked without root. */
export interface DistributionServer {
  /** Also the folder below `.cache/`. */
  readonly name: string;
  /** The package that must be there, and what it needs beyond a minimal system; other names that a release does not know are left out. */
  readonly packages: readonly [main: string, ...string[]];
  /** What to do where it cannot be had this way. */
  readonly help: string;
  /** Called with the unpacked tree before it is moved to its place. */
  readonly prepare?: (root: string) => void;
  /** Why the server of this tree does not run; `undefined`: it does. */
  readonly trouble: (root: string) => Promise<string | undefined>;
}

/**
 * The folder with the server's unpacked packages. It is kept between runs and appears by one atomic rename, so concurrent runs cannot see
 * half of it.
 */
export async function unpackedServer(server: DistributionServer): Promise<string> {
  const place = join(CACHE_DIR, server.name);
  if (existsSync(place)) {
    if (!(await server.trouble(place))) return place;
    rmSync(place, { recursive: true, force: true });
  }
  if (!['apt-get', 'apt-cache', 'dpkg'].every(onPath)) throw new Error(`No ${server.name} found. ${server.help}`);
  await unpack(server, place);
  return place;
}

/** The shared libraries of an unpacked tree, for the environment of its programs. */
export function librariesOf(root: string): Record<string, string> {
  const folders = ['usr/lib', 'lib'].flatMap((parent) =>
    listFolder(join(root, parent))
      .filter((name) => name.includes('-linux-'))
      .map((name) => join(root, parent, name)),
  );
  const inherited = process.env['LD_LIBRARY_PATH'];
  return { LD_LIBRARY_PATH: [...folders, ...(inherited ? [inherited] : [])].join(delimiter) };
}

export function onPath(name: string): string | undefined {
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

/** Why a program does not run; `undefined`: it does. */
export async function whyItFails(
  path: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string | undefined> {
  try {
    await run(path, args, { env: { ...process.env, ...env } });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

export function listFolder(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

async function unpack({ name, packages, help, prepare, trouble }: DistributionServer, place: string): Promise<void> {
  process.stderr.write(`No ${name} on the PATH: unpacking the distribution’s package into .cache/${name} …\n`);
  mkdirSync(CACHE_DIR, { recursive: true });
  const work = mkdtempSync(join(CACHE_DIR, `${name}-unpack-`));
  try {
    const root = join(work, 'root');
    for (const archive of await download(work, packages)) await run('dpkg', ['-x', archive, root]);
    prepare?.(root);
    const reason = await trouble(root);
    if (reason) throw new Error(reason);
    await publish(root, place, trouble);
  } catch (error) {
    throw new Error(`The distribution’s ${name} could not be used. ${help}\n${messageOf(error)}`, { cause: error });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Moves the complete tree to its place; when another run was first, its tree is as good as ours. */
async function publish(root: string, place: string, trouble: DistributionServer['trouble']): Promise<void> {
  try {
    renameSync(root, place);
  } catch (error) {
    if (await trouble(place)) throw error;
  }
}

/** Downloads with the system's package lists, and with freshly fetched private ones when those are missing or outdated. */
async function download(work: string, packages: DistributionServer['packages']): Promise<string[]> {
  const folder = join(work, 'packages');
  mkdirSync(folder);
  const asIs = ['-o', 'APT::Sandbox::User=root'];
  try {
    return await downloadWith(asIs, folder, packages);
  } catch {
    const lists = join(work, 'lists');
    const cache = join(work, 'cache');
    mkdirSync(join(lists, 'partial'), { recursive: true });
    mkdirSync(join(cache, 'archives/partial'), { recursive: true });
    const own = [...asIs, '-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Cache=${cache}`];
    process.stderr.write('The package lists are missing or outdated: fetching a private copy …\n');
    // One unreachable third-party source makes `update` fail although the lists that matter have arrived.
    await run('apt-get', [...own, 'update']).catch(() => undefined);
    return downloadWith(own, folder, packages);
  }
}

async function downloadWith(
  options: string[],
  folder: string,
  packages: DistributionServer['packages'],
): Promise<string[]> {
  const { stdout } = await run('apt-cache', [...options, 'madison', ...packages], { cwd: folder });
  const known = new Set(stdout.split('\n').map((line) => line.split('|')[0]?.trim()));
  if (!known.has(packages[0])) throw new Error(`The package lists know no ${packages[0]}.`);
  const wanted = packages.filter((name) => known.has(name));
  process.stderr.write(`  ${wanted.join(', ')}\n`);
  await run('apt-get', [...options, 'download', ...wanted], { cwd: folder });
  return listFolder(folder)
    .filter((name) => name.endsWith('.deb'))
    .map((name) => join(folder, name));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

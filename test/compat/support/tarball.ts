import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE_DIR, PROJECT_ROOT } from '../../support/paths.js';
import { run } from './run.js';

export const COMPAT_DIR = join(CACHE_DIR, 'compat');

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>;
}

export interface Tarball {
  readonly path: string;
  /** What is inside, relative to the package's folder. */
  readonly files: readonly string[];
}

export function readManifest(): Manifest {
  return JSON.parse(readFileSync(join(PROJECT_ROOT, 'package.json'), 'utf8')) as Manifest;
}

/** Packs the built library as `npm publish` would, into a folder of the caller's own. */
export async function packLibrary(label: string): Promise<Tarball> {
  if (!existsSync(join(PROJECT_ROOT, 'dist', 'index.js'))) {
    throw new Error('dist/index.js is missing, and what is packed is the build: run `npm run build` first.');
  }
  const folder = join(COMPAT_DIR, `pack-${label}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const args = ['pack', '--ignore-scripts', '--json', '--loglevel=error', '--pack-destination', folder];
  const { stdout } = await run('npm', args, { cwd: PROJECT_ROOT });
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  if (!packed) throw new Error(`npm pack did not say what it packed: ${stdout}`);
  return { path: join(folder, packed.filename), files: packed.files.map(({ path }) => path).toSorted() };
}

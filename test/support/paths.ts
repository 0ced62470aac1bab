import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the project: the nearest folder above this file that holds a package.json. */
export const PROJECT_ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

/** The git-ignored folder for whatever tests and tools keep between runs. */
export const CACHE_DIR = join(PROJECT_ROOT, '.cache');

function findRoot(from: string): string {
  if (existsSync(join(from, 'package.json'))) return from;
  const parent = dirname(from);
  if (parent === from) throw new Error('No package.json above the test support folder.');
  return findRoot(parent);
}

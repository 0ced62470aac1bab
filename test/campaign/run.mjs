import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * Compiles the library and the campaign into a folder of this run's own, so that nothing that is built meanwhile changes what a process
 * of the campaign loads, and runs it. Arguments: see main.ts.
 */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BUILDS = join(ROOT, '.cache/campaign');
const build = join(BUILDS, String(process.pid));

mkdirSync(BUILDS, { recursive: true });
for (const left of readdirSync(BUILDS)) if (!isAlive(Number(left))) remove(join(BUILDS, left));

const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const project = join(ROOT, 'test/campaign/tsconfig.json');
execFileSync(process.execPath, [compiler, '-p', project, '--outDir', build], { stdio: 'inherit' });
const isScript = (source) => source.endsWith('.lua') || !/\.[a-z]+$/.test(source);
cpSync(join(ROOT, 'lib'), join(build, 'lib'), { recursive: true, filter: isScript });

const { removeWithParent } = await load('test/support/children.js');
removeWithParent(build);
await load('test/campaign/main.js');

function load(file) {
  return import(pathToFileURL(join(build, file)).href);
}

function remove(folder) {
  rmSync(folder, { recursive: true, force: true });
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { PROJECT_ROOT } from './paths.js';

const run = promisify(execFile);
const require = createRequire(import.meta.url);

/**
 * Fleet workers are Nest apps in processes of their own and need decorator metadata, so the real compiler builds them,
 * into `.cache/fleet`. Inside the package the name `nestjs-cache-guard` means the built library.
 */
export default async function setup(): Promise<void> {
  if (!existsSync(join(PROJECT_ROOT, 'dist/index.js')) || isOlder('dist', 'lib')) {
    await node(join(dirname(require.resolve('@nestjs/cli/package.json')), 'bin/nest.js'), 'build');
  }
  await node(require.resolve('typescript/bin/tsc'), '-p', 'test/fleet/tsconfig.json');
}

async function node(script: string, ...args: string[]): Promise<void> {
  try {
    await run(process.execPath, [script, ...args], { cwd: PROJECT_ROOT });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`Preparing the fleet workers failed: ${[script, ...args].join(' ')}\n${stdout}${stderr}`, {
      cause: error,
    });
  }
}

function isOlder(built: string, source: string): boolean {
  return newest(built) < newest(source);
}

function newest(folder: string): number {
  const root = join(PROJECT_ROOT, folder);
  if (!existsSync(root)) return 0;
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Math.max(0, ...files.map((file) => statSync(join(file.parentPath, file.name)).mtimeMs));
}

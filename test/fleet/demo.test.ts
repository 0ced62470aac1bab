import { execFile, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CACHE_DIR, PROJECT_ROOT } from '../support/paths.js';

const require = createRequire(import.meta.url);
const BUILT = join(CACHE_DIR, 'demo-test');

interface Row {
  readonly scenario: string;
  readonly mode: 'guarded' | 'unguarded';
  readonly reads: number;
  readonly originLoads: number;
  readonly mostConcurrentLoads: number;
  readonly wrongReads?: number;
  readonly errors: number;
  readonly redisCommands: number;
}

let rows: readonly Row[];
let group: number;

/** Runs the demo in a process group of its own, so that whatever it leaves behind can be found. */
function runDemo(...args: string[]): Promise<{ readonly code: number | null; readonly stdout: string; pid: number }> {
  return new Promise((resolve, reject) => {
    const { REDIS_URL: _, ...env } = process.env;
    const child = spawn(process.execPath, [join(BUILT, 'demo/run.js'), ...args], {
      cwd: PROJECT_ROOT,
      detached: true,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const stop = (): void => void process.kill(-child.pid!, 'SIGKILL');
    process.once('exit', stop);
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.once('error', reject);
    child.once('close', (code) => {
      process.off('exit', stop);
      resolve({ code, stdout, pid: child.pid! });
    });
  });
}

function row(scenario: string, mode: Row['mode']): Row {
  const found = rows.find((one) => one.scenario === scenario && one.mode === mode);
  if (!found) throw new Error(`The demo reports no ${mode} '${scenario}'.`);
  return found;
}

describe('stampede demo', () => {
  beforeAll(async () => {
    const compiler = require.resolve('typescript/bin/tsc');
    const project = join(PROJECT_ROOT, 'sample-app/tsconfig.json');
    await promisify(execFile)(process.execPath, [compiler, '-p', project, '--noCheck', '--outDir', BUILT]);
    const { code, stdout, pid } = await runDemo('--quick', '--json');
    expect(code).toBe(0);
    rows = (JSON.parse(stdout) as { rows: Row[] }).rows;
    group = pid;
  }, 180_000);

  afterAll(() => rmSync(BUILT, { recursive: true, force: true }));

  it('loads a cold key once for the whole fleet, where cache-aside lets the crowd through', () => {
    expect(row('cold key', 'guarded').originLoads).toBe(1);
    expect(row('cold key', 'guarded').reads).toBe(row('cold key', 'unguarded').reads);
    expect(row('cold key', 'unguarded').originLoads).toBeGreaterThanOrEqual(10);
  });

  it('reports six scenarios, each in both modes, without an error', () => {
    expect(new Set(rows.map(({ scenario }) => scenario)).size).toBe(6);
    expect(rows).toHaveLength(12);
    expect(rows.filter(({ errors }) => errors > 0)).toEqual([]);
    expect(rows.filter(({ reads, redisCommands }) => reads === 0 || redisCommands === 0)).toEqual([]);
  });

  it('gives no guarded reader what a confirmed write has replaced', () => {
    const written = rows.filter(({ wrongReads }) => wrongReads !== undefined);
    expect(written.map(({ scenario }) => scenario)).toContain('burst of writes');
    expect(written.filter(({ mode, wrongReads }) => mode === 'guarded' && wrongReads !== 0)).toEqual([]);
  });

  it.each(['expiring hot key', 'invalidated key'])('reloads one key at a time: %s', (scenario) => {
    expect(row(scenario, 'guarded').mostConcurrentLoads).toBe(1);
    expect(row(scenario, 'unguarded').originLoads).toBeGreaterThan(row(scenario, 'guarded').originLoads);
  });

  it('leaves no process behind', () => {
    expect(() => process.kill(-group, 0)).toThrow('ESRCH');
  });
});

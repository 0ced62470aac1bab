import { spawn } from 'node:child_process';
import { killWithParent } from '../../support/children.js';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A program that has not ended by itself after this long is killed, and that is a failure. */
  readonly timeoutMs?: number;
}

/** What npm tells the scripts that it runs about its own project is not meant for programs that live in another folder. */
const OF_THE_OUTER_NPM = /^(npm_(package|lifecycle)_|npm_config_(local_prefix|package|call)$|npm_command$|INIT_CWD$)/;
/** What would change how a plain Node process finds or runs its modules. */
const OF_THE_TEST_RUNNER = /^(NODE_OPTIONS|NODE_PATH|NODE_ENV|NODE_V8_COVERAGE|VITEST.*|TEST|FORCE_COLOR)$/;

function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !OF_THE_OUTER_NPM.test(name) && !OF_THE_TEST_RUNNER.test(name),
  );
  return { ...Object.fromEntries(kept), NO_COLOR: '1' };
}

/** Runs a program to its end, whatever its exit code. Rejects when it does not end by itself. */
export async function attempt(command: string, args: readonly string[], options: RunOptions): Promise<Ended> {
  const { cwd, env = {}, timeoutMs = 120_000 } = options;
  const child = killWithParent(
    spawn(command, args, { cwd, env: { ...cleanEnvironment(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    const shown = [command, ...args].join(' ');
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`Still running after ${timeoutMs} ms: ${shown}\n${stdout}\n${stderr}`));
    }, timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
}

/** As `attempt`, for programs that have to succeed. */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<Ended> {
  const ended = await attempt(command, args, options);
  if (ended.code === 0) return ended;
  throw new Error(`${[command, ...args].join(' ')} ended with ${ended.code}\n${ended.stdout}\n${ended.stderr}`);
}

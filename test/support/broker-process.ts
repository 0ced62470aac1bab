import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { endChild, isRunning, killWithParent } from './children.js';

export interface BrokerProgram {
  /** For error messages. */
  readonly name: string;
  readonly path: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What it prints once it can be used. */
  readonly ready: RegExp;
  readonly withinMs?: number;
}

/** A server of this test's own, which dies with the test process. */
export class BrokerProcess {
  /** What `ready` matched. */
  match: RegExpExecArray | undefined;

  private constructor(private readonly child: ChildProcess) {}

  static async start({ name, path, args, env, ready, withinMs = 30_000 }: BrokerProgram): Promise<BrokerProcess> {
    // Its input is held open: some end with it.
    const child = killWithParent(spawn(path, args, { env: { ...process.env, ...env }, stdio: 'pipe' }));
    const started = new BrokerProcess(child);
    let output = '';
    const keep = (chunk: Buffer | string): void => {
      if (started.match) return;
      output += chunk.toString();
      started.match = ready.exec(output) ?? undefined;
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => keep(String(error)));
    const deadline = Date.now() + withinMs;
    while (!started.match) {
      if (!isRunning(child)) throw new Error(`${name} ended while starting:\n${output.slice(-4_000)}`);
      if (Date.now() > deadline) {
        await started.stop();
        throw new Error(`${name} was not ready within ${withinMs} ms:\n${output.slice(-4_000)}`);
      }
      await sleep(10);
    }
    return started;
  }

  /** At once (SIGKILL), whatever is under way. */
  async stop(): Promise<void> {
    await endChild(this.child, 'SIGKILL');
  }
}

/** A port that was free may be taken a moment later by another test process: then others are tried. */
export async function retryTakenPort<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (error) {
      if (!/address already in use|eaddrinuse/i.test(String(error)) || attempt === 5) throw error;
    }
  }
}

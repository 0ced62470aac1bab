import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endChild, isRunning, killWithParent, pauseChild, resumeChild } from './children.js';
import { CACHE_DIR } from './paths.js';

/**
 * The test's side of a process of the fleet. A worker is a file of `test/fleet/workers` that calls `serve()` of
 * `worker-main.ts`; each call here runs one of the functions it serves, in its process.
 */
export class FleetWorker {
  private readonly pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  private lastId = 0;
  private output = '';

  constructor(
    readonly name: string,
    private readonly child: ChildProcess,
  ) {
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString('utf8')).slice(-8_000);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.on('message', (message) => this.settle(message as WorkerReply));
    // Not before its last words have been read.
    child.once('close', (code, signal) => {
      const ended = new Error(`Worker ${name} ended (${signal ?? code}).\n${this.output}`);
      for (const { reject } of this.pending.values()) reject(ended);
      this.pending.clear();
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** What the worker has printed lately. */
  get log(): string {
    return this.output;
  }

  /** Runs the served function `method` in the worker; rejects with its error's name, message and code. */
  call<T>(method: string, ...args: unknown[]): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!isRunning(this.child) || !this.child.connected) {
        reject(new Error(`Worker ${this.name} is not running.\n${this.output}`));
        return;
      }
      const id = (this.lastId += 1);
      this.pending.set(id, { resolve: resolve as (value: unknown) => void, reject });
      const call: WorkerCall = { id, method, args };
      this.child.send(call);
    });
  }

  /** Freezes the whole process (SIGSTOP), as a long garbage collection or a suspended machine does. */
  pause(): Promise<void> {
    return pauseChild(this.child);
  }

  resume(): void {
    resumeChild(this.child);
  }

  /** Crash: SIGKILL. */
  kill(): Promise<void> {
    return endChild(this.child, 'SIGKILL');
  }

  /** Orderly end: runs the worker's `close` and says whether the process then ended by itself; else it is killed. */
  async stop(graceMs = 15_000): Promise<boolean> {
    if (isRunning(this.child) && this.child.connected) {
      const ended = new Promise<true>((resolve) => this.child.once('exit', () => resolve(true)));
      const patience = new AbortController();
      const tooLong = sleep(graceMs, false, { signal: patience.signal }).catch(() => false);
      await Promise.race([this.call('close').catch(() => undefined), tooLong]);
      if (this.child.connected) this.child.disconnect();
      const byItself = await Promise.race([ended, tooLong]);
      patience.abort();
      if (byItself) return true;
    }
    await endChild(this.child);
    return false;
  }

  private settle(reply: WorkerReply): void {
    const waiting = this.pending.get(reply.id);
    this.pending.delete(reply.id);
    if (!reply.error) waiting?.resolve(reply.result);
    else waiting?.reject(Object.assign(new Error(reply.error.message), reply.error));
  }
}

export interface WorkerCall {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

export interface WorkerReply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly name: string; readonly message: string; readonly code?: string };
}

export interface WorkerOptions {
  /** A compiled worker that is somewhere else. */
  readonly file?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly execArgv?: readonly string[];
}

/** Starts the worker `test/fleet/workers/<name>.ts` (compiled by the fleet's global setup) and waits until it serves. */
export async function startWorker(name: string, options: WorkerOptions = {}): Promise<FleetWorker> {
  const child = fork(options.file ?? join(CACHE_DIR, 'fleet/fleet/workers', `${name}.js`), [], {
    env: { ...process.env, ...options.env },
    execArgv: [...(options.execArgv ?? ['--enable-source-maps'])],
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const worker = new FleetWorker(name, killWithParent(child));
  await worker.call('ready');
  return worker;
}

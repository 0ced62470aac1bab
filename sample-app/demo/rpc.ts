import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a process of the demo lets its parent call. */
type Served<T> = { readonly [K in keyof T]: (...args: never[]) => unknown };

interface Call {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** A process of the demo, seen from its parent. It never outlives it. */
export class Child<T extends Served<T>> {
  private readonly pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  private readonly ended: Promise<void>;
  private lastId = 0;

  private constructor(
    readonly name: string,
    private readonly child: ChildProcess,
  ) {
    children.add(child);
    child.on('message', (message) => this.settle(message as Reply));
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        children.delete(child);
        for (const { reject } of this.pending.values()) reject(new Error(`${name} ended (${signal ?? code}).`));
        this.pending.clear();
        resolve();
      });
    });
  }

  /** Starts the module beside this one that calls `serve`. */
  static start<T extends Served<T>>(name: string, module: string, env: Readonly<Record<string, string>>): Child<T> {
    const child = fork(fileURLToPath(new URL(module, import.meta.url)), [], {
      env: { ...process.env, ...env },
      serialization: 'advanced',
      // Its stdout is not ours: with --json, stdout holds nothing but JSON.
      stdio: ['ignore', 2, 2, 'ipc'],
    });
    return new Child<T>(name, child);
  }

  call<K extends keyof T & string>(method: K, ...args: Parameters<T[K]>): Promise<Awaited<ReturnType<T[K]>>> {
    return new Promise((resolve, reject) => {
      const id = (this.lastId += 1);
      this.pending.set(id, { resolve: resolve as (value: unknown) => void, reject });
      const call: Call = { id, method, args };
      this.child.send(call, (error) => error && reject(error));
    });
  }

  /** Lets the process end by itself, by closing the channel; kills it when it does not. */
  async stop(): Promise<void> {
    if (this.child.connected) this.child.disconnect();
    const impatient = setTimeout(() => this.child.kill('SIGKILL'), 5_000);
    await this.ended;
    clearTimeout(impatient);
  }

  private settle({ id, result, error }: Reply): void {
    const waiting = this.pending.get(id);
    this.pending.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(`${this.name}: ${error}`));
  }
}

/** The other side: answers the parent's calls, and closes when the parent has let go of it or is gone. */
export function serve<T extends Served<T>>(functions: T, close: () => Promise<unknown>): void {
  process.on('message', (call: Call) => void answer(functions, call));
  const leave = (): void => {
    const impatient = setTimeout(() => process.exit(1), 4_000);
    void close().finally(() => clearTimeout(impatient));
  };
  process.once('disconnect', leave);
  if (!process.connected) leave();
}

async function answer<T extends Served<T>>(functions: T, { id, method, args }: Call): Promise<void> {
  let reply: Reply;
  try {
    const served = functions[method as keyof T];
    reply = { id, result: await served(...(args as never[])) };
  } catch (error) {
    reply = { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  if (process.connected) process.send?.(reply);
}

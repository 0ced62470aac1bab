import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endChild, isRunning, killWithParent, pauseChild, removeWithParent, resumeChild } from './children.js';
import { freePort } from './ports.js';
import { resolveRedisBinary, type RedisBinary } from './redis-binary.js';
import { sendCommand } from './resp.js';
import { makeCertificates, type Certificates } from './tls.js';

/** A user of the server's access control list. */
export interface RedisUser {
  readonly name: string;
  readonly password: string;
  /** Such as `['~app:*', '&app:*', '+@read', '+evalsha']`. */
  readonly rules: readonly string[];
}

export interface RedisOptions {
  /** Further command line arguments, such as `['--maxmemory', '1mb']`; they win over the defaults. */
  readonly args?: readonly string[];
}

export interface RedisAccess {
  /** Of the default user (`requirepass`). */
  readonly password?: string;
  readonly users?: readonly RedisUser[];
  /** TLS only, with certificates of its own; ask `whyNoTls()` first. */
  readonly tls?: boolean;
}

export interface RedisRestart extends RedisOptions {
  /**
   * What the server finds: `data`, what it had written itself (nothing, unless `args` ask for persistence); `snapshot`, the state at the
   * last `snapshot()`; `empty`, nothing. Default `data`.
   */
  readonly from?: 'data' | 'snapshot' | 'empty';
}

const READY_WITHIN_MS = 10_000;
/** On a busy machine; elsewhere it takes two seconds. */
export const FAILOVER_WITHIN_MS = 30_000;
const DEFAULTS = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--loglevel', 'warning'];

/** Command line of a server on the port, whose files are in the folder. */
type CommandLine = (port: number, dir: string) => readonly string[];

/** A real Redis of this test's own. It dies with the test process, also while paused. */
export class RedisServer {
  private child: ChildProcess | undefined;
  private readonly dir = mkdtempSync(join(tmpdir(), 'cache-guard-redis-'));
  private readonly dataDir = join(this.dir, 'data');
  private readonly snapshotDir = join(this.dir, 'snapshot');
  private readonly removeDir = removeWithParent(this.dir);
  private certificates: Certificates | undefined;

  constructor(
    private readonly binary: RedisBinary,
    readonly port: number,
    private args: readonly string[],
    private readonly access: RedisAccess = {},
    private readonly commandLine: CommandLine = defaultCommandLine,
  ) {
    mkdirSync(this.dataDir);
  }

  get host(): string {
    return '127.0.0.1';
  }

  /** Of the default user. */
  get url(): string {
    return this.urlOf('', this.access.password);
  }

  /** Of one of the `users`. */
  urlFor(name: string): string {
    const user = this.access.users?.find((one) => one.name === name);
    if (!user) throw new Error(`This Redis has no user '${name}'.`);
    return this.urlOf(name, user.password);
  }

  /** The authority that clients of a server with TLS must trust. */
  get ca(): string | undefined {
    return this.certificates?.ca;
  }

  get pid(): number {
    if (!this.child?.pid || !isRunning(this.child)) throw new Error('This Redis is not running.');
    return this.child.pid;
  }

  get isRunning(): boolean {
    return this.child !== undefined && isRunning(this.child);
  }

  /** Freezes the server (SIGSTOP): connections stay open, nothing is answered. */
  async pause(): Promise<void> {
    await pauseChild(this.running());
  }

  /** Thaws a paused server (SIGCONT); it then carries out what has piled up in its sockets. */
  resume(): void {
    resumeChild(this.running());
  }

  /** Crash: SIGKILL, nothing is saved. The port and the data folder stay reserved for `restart()`. */
  async kill(): Promise<void> {
    if (this.child) await endChild(this.child, 'SIGKILL');
  }

  /** Keeps the state of this moment (and nothing of an earlier one) for `restart({ from: 'snapshot' })`. */
  async snapshot(): Promise<void> {
    await this.command('SAVE');
    rmSync(this.snapshotDir, { recursive: true, force: true });
    cpSync(this.dataDir, this.snapshotDir, { recursive: true });
  }

  /** Starts again on the same port, after an orderly shutdown if it still runs; by default on the same data folder. */
  async restart({ args, from = 'data' }: RedisRestart = {}): Promise<void> {
    if (this.child) await endChild(this.child, 'SIGTERM');
    if (args) this.args = args;
    if (from !== 'data') {
      rmSync(this.dataDir, { recursive: true, force: true });
      if (from === 'empty') mkdirSync(this.dataDir);
      else cpSync(this.snapshotDir, this.dataDir, { recursive: true });
    }
    await this.launch();
  }

  /** Ends the server and removes its data folder. */
  async stop(): Promise<void> {
    await this.kill();
    this.removeDir();
  }

  /** Sends one command over a raw connection: for poking at the server from outside of any client library. */
  command(...args: (string | number)[]): Promise<string> {
    return sendCommand({ port: this.port, password: this.access.password, ca: this.ca }, args);
  }

  /** Starts the process and waits until that very process answers. */
  async launch(): Promise<void> {
    if (this.access.tls) this.certificates ??= await makeCertificates(join(this.dir, 'tls'));
    const args = [...this.commandLine(this.port, this.dataDir), ...this.accessArgs(), ...this.args];
    const child = spawn(this.binary.path, args, {
      env: { ...process.env, ...this.binary.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = killWithParent(child);
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-4_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => keep(Buffer.from(String(error))));

    const deadline = Date.now() + READY_WITHIN_MS;
    while (!(await this.answersAs(child))) {
      if (!isRunning(child)) throw new Error(`Redis ended while starting on port ${this.port}:\n${output}`);
      if (Date.now() > deadline) {
        await this.stop();
        throw new Error(`Redis did not answer on port ${this.port} within ${READY_WITHIN_MS} ms:\n${output}`);
      }
      await sleep(5);
    }
  }

  private urlOf(user: string, password: string | undefined): string {
    const login = password === undefined ? '' : `${user}:${encodeURIComponent(password)}@`;
    return `${this.access.tls ? 'rediss' : 'redis'}://${login}127.0.0.1:${this.port}`;
  }

  private accessArgs(): string[] {
    const { password, users = [] } = this.access;
    const tls = this.certificates;
    return [
      ...(password === undefined ? [] : ['--requirepass', password]),
      ...users.flatMap((user) => ['--user', user.name, 'on', `>${user.password}`, ...user.rules]),
      ...(tls ? ['--port', '0', '--tls-port', String(this.port), '--tls-auth-clients', 'no'] : []),
      ...(tls
        ? ['--tls-cert-file', tls.certFile, '--tls-key-file', tls.keyFile, '--tls-ca-cert-file', tls.caFile]
        : []),
    ];
  }

  private async answersAs(child: ChildProcess): Promise<boolean> {
    try {
      const reply = await this.command('PING');
      if (reply !== 'PONG') return false;
      // Another server may hold the port while ours is about to give up.
      return (await this.command('INFO', 'server')).includes(`process_id:${child.pid}\r\n`);
    } catch (error) {
      return String(error).includes('NOAUTH') && isRunning(child);
    }
  }

  private running(): ChildProcess {
    if (!this.child || !isRunning(this.child)) throw new Error('This Redis is not running.');
    return this.child;
  }
}

function defaultCommandLine(port: number, dir: string): readonly string[] {
  return ['--port', String(port), '--dir', dir, ...DEFAULTS];
}

/** Starts a standalone Redis on a free loopback port, without persistence unless `args` ask for it. */
export function startRedis(options: RedisOptions & RedisAccess = {}): Promise<RedisServer> {
  return launchOnFreePort(options);
}

export interface LaunchOptions extends RedisOptions, RedisAccess {
  /** Keeps the port of a cluster bus free as well. */
  readonly bus?: boolean;
  readonly commandLine?: CommandLine;
}

/** A port that was free may be taken a moment later by another test process: then the next one is tried. */
export async function launchOnFreePort({
  args = [],
  bus = false,
  commandLine,
  ...access
}: LaunchOptions): Promise<RedisServer> {
  const binary = await resolveRedisBinary();
  for (let attempt = 1; ; attempt += 1) {
    const server = new RedisServer(binary, await freePort({ bus }), args, access, commandLine);
    try {
      await server.launch();
      return server;
    } catch (error) {
      await server.stop();
      const taken = /address already in use|could not create server|failed listening/i.test(String(error));
      if (!taken || attempt === 10) throw error;
    }
  }
}

/** Starts them at the same time; when one fails, none is left running. */
export async function launchTogether(launches: readonly LaunchOptions[]): Promise<RedisServer[]> {
  const outcomes = await Promise.allSettled(launches.map(launchOnFreePort));
  const servers = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (!failed) return servers;
  await Promise.all(servers.map((server) => server.stop()));
  throw failed.reason;
}

/** Asks `holds` again and again until it says yes; errors count as no. */
export async function until(what: string, holds: () => Promise<boolean>, withinMs = READY_WITHIN_MS): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms.`);
    await sleep(20);
  }
}

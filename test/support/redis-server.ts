import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endChild, isRunning, killWithParent, pauseChild, removeWithParent, resumeChild } from './children.js';
import { freePort } from './ports.js';
import { resolveRedisBinary, type RedisBinary } from './redis-binary.js';
import { sendCommand } from './resp.js';

export interface RedisOptions {
  /** Further command line arguments, such as `['--maxmemory', '1mb']`; they win over the defaults. */
  readonly args?: readonly string[];
}

const READY_WITHIN_MS = 10_000;
const DEFAULTS = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--loglevel', 'warning'];

/** A real Redis of this test's own. It dies with the test process, also while paused. */
export class RedisServer {
  private child: ChildProcess | undefined;
  private readonly dir = mkdtempSync(join(tmpdir(), 'cache-guard-redis-'));
  private readonly removeDir = removeWithParent(this.dir);

  constructor(
    private readonly binary: RedisBinary,
    readonly port: number,
    private args: readonly string[],
  ) {}

  get host(): string {
    return '127.0.0.1';
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    if (!this.child?.pid || !isRunning(this.child)) throw new Error('This Redis is not running.');
    return this.child.pid;
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

  /** Starts again on the same port and data folder, after an orderly shutdown if it still runs. */
  async restart(options: RedisOptions = {}): Promise<void> {
    if (this.child) await endChild(this.child, 'SIGTERM');
    if (options.args) this.args = options.args;
    await this.launch();
  }

  /** Ends the server and removes its data folder. */
  async stop(): Promise<void> {
    await this.kill();
    this.removeDir();
  }

  /** Sends one command over a raw connection: for poking at the server from outside of any client library. */
  command(...args: (string | number)[]): Promise<string> {
    return sendCommand(this.port, args);
  }

  /** Starts the process and waits until that very process answers. */
  async launch(): Promise<void> {
    const args = ['--port', String(this.port), '--dir', this.dir, ...DEFAULTS, ...this.args];
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

/** Starts a standalone Redis on a free loopback port, without persistence unless `args` ask for it. */
export function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  return launchOnFreePort(options.args ?? [], false);
}

export interface RedisCluster {
  readonly nodes: { readonly host: string; readonly port: number }[];
  /** The masters, in the order of `nodes`, to pause or kill one of them. */
  readonly servers: readonly RedisServer[];
  stop(): Promise<void>;
}

const SLOTS = 16_384;

/** Starts a Cluster of three masters without replicas and waits until every node serves all slots. */
export async function startCluster(options: RedisOptions & { masters?: number } = {}): Promise<RedisCluster> {
  const masters = options.masters ?? 3;
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000', ...(options.args ?? [])];
  const starting = await Promise.allSettled(Array.from({ length: masters }, () => launchOnFreePort(args, true)));
  const servers = starting.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    const failed = starting.find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
    await joinCluster(servers);
  } catch (error) {
    await stop();
    throw error;
  }
  return { nodes: servers.map(({ host, port }) => ({ host, port })), servers, stop };
}

async function joinCluster(servers: readonly RedisServer[]): Promise<void> {
  const first = servers[0]!;
  for (const [index, server] of servers.entries()) {
    const from = Math.floor((index * SLOTS) / servers.length);
    const to = Math.floor(((index + 1) * SLOTS) / servers.length) - 1;
    await server.command('CLUSTER', 'ADDSLOTSRANGE', from, to);
    await server.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    if (server !== first) await first.command('CLUSTER', 'MEET', server.host, server.port);
  }
  const deadline = Date.now() + READY_WITHIN_MS;
  for (const server of servers) {
    while (!isWhole(await server.command('CLUSTER', 'INFO'), servers.length)) {
      if (Date.now() > deadline) throw new Error(`The Cluster did not form within ${READY_WITHIN_MS} ms.`);
      await sleep(20);
    }
  }
}

function isWhole(info: string, nodes: number): boolean {
  return ['cluster_state:ok', `cluster_slots_ok:${SLOTS}`, `cluster_known_nodes:${nodes}`].every((line) =>
    info.includes(`${line}\r\n`),
  );
}

/** A port that was free may be taken a moment later by another test process: then the next one is tried. */
async function launchOnFreePort(args: readonly string[], bus: boolean): Promise<RedisServer> {
  const binary = await resolveRedisBinary();
  for (let attempt = 1; ; attempt += 1) {
    const server = new RedisServer(binary, await freePort({ bus }), args);
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

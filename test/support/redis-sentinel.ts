import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  FAILOVER_WITHIN_MS,
  launchOnFreePort,
  launchTogether,
  until,
  type RedisRestart,
  type RedisServer,
} from './redis-server.js';

const MASTER_NAME = 'main';
const QUORUM = 2;

/** Settings of a replica and of a master that will have one. */
const REPLICATED = ['--repl-diskless-sync', 'yes', '--repl-diskless-sync-delay', '0'];

/** One master, one replica and three sentinels. Writes resume about two seconds after the master's death. */
export class RedisSentinel {
  /** What the sentinels call the master. */
  readonly name = MASTER_NAME;
  /** Where the sentinels answer, as clients want it. */
  readonly sentinels: { readonly host: string; readonly port: number }[];

  constructor(
    /** The two servers that hold data; the first one begins as the master. */
    readonly servers: readonly [RedisServer, RedisServer],
    readonly sentinelServers: readonly RedisServer[],
    private readonly args: readonly string[],
  ) {
    this.sentinels = sentinelServers.map(({ host, port }) => ({ host, port }));
  }

  /** The server that the first sentinel (of those that answer) takes for the master. */
  async master(): Promise<RedisServer> {
    for (const sentinel of this.sentinelServers) {
      const port = await masterPort(sentinel).catch(() => undefined);
      const server = this.servers.find((one) => one.port === port);
      if (server) return server;
    }
    throw new Error('No sentinel names a master.');
  }

  async masterUrl(): Promise<string> {
    return (await this.master()).url;
  }

  otherThan(server: RedisServer): RedisServer {
    return this.servers.find((one) => one !== server)!;
  }

  /** Crash of the current master (SIGKILL); resolves with it, at once. `untilMaster(otherThan(it))` waits for the failover. */
  async killMaster(): Promise<RedisServer> {
    const master = await this.master();
    await master.kill();
    return master;
  }

  /** Freezes the current master (SIGSTOP); resolves with it, at once. `resume()` it later: it then is the old master. */
  async pauseMaster(): Promise<RedisServer> {
    const master = await this.master();
    await master.pause();
    return master;
  }

  /** Resolves when the server takes writes as the master and all sentinels that run say so. */
  async untilMaster(server: RedisServer): Promise<void> {
    await until(
      'The failover',
      async () => {
        const running = this.sentinelServers.filter(({ isRunning }) => isRunning);
        const ports = await Promise.all(running.map(masterPort));
        return (
          ports.every((port) => port === server.port) &&
          (await server.command('INFO', 'replication')).includes('role:master')
        );
      },
      FAILOVER_WITHIN_MS,
    );
  }

  /**
   * Starts a killed master again. By default it comes as the replica of the current one; `asMaster`: as what it was, until the sentinels
   * turn it into a replica after some eight seconds.
   */
  async restartOld(server: RedisServer, options: RedisRestart & { readonly asMaster?: boolean } = {}): Promise<void> {
    const { asMaster = false, args = this.args, ...restart } = options;
    const master = this.otherThan(server);
    const following = asMaster ? [] : ['--replicaof', master.host, String(master.port)];
    await server.restart({ ...restart, args: [...args, ...following] });
    if (!asMaster) await this.untilReplica(server);
  }

  /** Resolves when the server is a replica that has all that the master has. */
  async untilReplica(server: RedisServer): Promise<void> {
    await until('The replica follows', () => follows(server), FAILOVER_WITHIN_MS);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.sentinelServers, ...this.servers].map((server) => server.stop()));
  }
}

/** Starts them and waits until the sentinels know each other and the replica. `args`: of both servers that hold data. */
export async function startSentinel(options: { readonly args?: readonly string[] } = {}): Promise<RedisSentinel> {
  const args = [...REPLICATED, ...(options.args ?? [])];
  const master = await launchOnFreePort({ args });
  const started = [master];
  try {
    const following = ['--replicaof', master.host, String(master.port)];
    const replica = await launchOnFreePort({ args: [...args, ...following] });
    started.push(replica);
    await until('The replica follows', () => follows(replica));
    const commandLine = (port: number, dir: string): string[] => sentinelCommandLine(port, dir, master);
    const sentinels = await launchTogether([{ commandLine }, { commandLine }, { commandLine }]);
    started.push(...sentinels);
    for (const sentinel of sentinels) {
      await until('The sentinels know each other', async () =>
        /status=ok,address=.*slaves=1,sentinels=3\b/.test(await sentinel.command('INFO', 'sentinel')),
      );
    }
    return new RedisSentinel([master, replica], sentinels, args);
  } catch (error) {
    await Promise.all(started.map((server) => server.stop()));
    throw error;
  }
}

/** Sentinels keep their state in their configuration file. */
function sentinelCommandLine(port: number, dir: string, master: RedisServer): string[] {
  const file = join(dir, 'sentinel.conf');
  const settings = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${dir}`,
    'loglevel warning',
    `sentinel monitor ${MASTER_NAME} ${master.host} ${master.port} ${QUORUM}`,
    `sentinel down-after-milliseconds ${MASTER_NAME} 500`,
    `sentinel failover-timeout ${MASTER_NAME} 3000`,
    `sentinel parallel-syncs ${MASTER_NAME} 1`,
  ];
  if (!existsSync(file)) writeFileSync(file, `${settings.join('\n')}\n`);
  return [file, '--sentinel'];
}

async function masterPort(sentinel: RedisServer): Promise<number> {
  const address = /^master0:.*address=[^,]*:(\d+)/m.exec(await sentinel.command('INFO', 'sentinel'))?.[1];
  return Number(address);
}

async function follows(server: RedisServer): Promise<boolean> {
  const info = await server.command('INFO', 'replication');
  return info.includes('role:slave') && info.includes('master_link_status:up');
}

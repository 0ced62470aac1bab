import { FAILOVER_WITHIN_MS, launchTogether, until, type RedisOptions, type RedisServer } from './redis-server.js';

export interface RedisCluster {
  /** The masters that it was started with. */
  readonly nodes: { readonly host: string; readonly port: number }[];
  /** The masters, in the order of `nodes`, to pause or kill one of them. */
  readonly servers: readonly RedisServer[];
  /** The replica of each master, in the same order; empty when started without. */
  readonly replicas: readonly RedisServer[];
  /** Kills a master (SIGKILL) and resolves with its replica once that serves its slots and every other node knows. */
  killMaster(index: number): Promise<RedisServer>;
  /** Resolves when every node that runs sees all slots served. */
  untilCovered(): Promise<void>;
  /** Resolves when each replica has what its master had when this was called. */
  untilReplicated(): Promise<void>;
  stop(): Promise<void>;
}

export interface ClusterOptions extends RedisOptions {
  readonly masters?: number;
  /** A replica for each master; a failover then takes about two seconds. */
  readonly replicas?: boolean;
  /** How long a node may be silent before the others take it for dead, in ms. Default: 2,000, with replicas 1,000. */
  readonly nodeTimeoutMs?: number;
}

const SLOTS = 16_384;

/** Starts a Cluster of three masters, by default without replicas, and waits until every node serves all slots. */
export async function startCluster(options: ClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3, replicas = false, nodeTimeoutMs = replicas ? 1_000 : 2_000 } = options;
  const timeout = ['--cluster-node-timeout', String(nodeTimeoutMs)];
  const args = ['--cluster-enabled', 'yes', ...timeout, '--repl-diskless-sync-delay', '0'];
  const launch = { args: [...args, ...(options.args ?? [])], bus: true };
  const all = await launchTogether(Array.from({ length: replicas ? 2 * masters : masters }, () => launch));
  const cluster = new Cluster(all.slice(0, masters), all.slice(masters));
  try {
    await cluster.join();
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

class Cluster implements RedisCluster {
  readonly nodes: { readonly host: string; readonly port: number }[];

  constructor(
    readonly servers: readonly RedisServer[],
    readonly replicas: readonly RedisServer[],
  ) {
    this.nodes = servers.map(({ host, port }) => ({ host, port }));
  }

  private get all(): RedisServer[] {
    return [...this.servers, ...this.replicas];
  }

  async join(): Promise<void> {
    const first = this.servers[0]!;
    for (const [index, server] of this.servers.entries()) {
      const from = Math.floor((index * SLOTS) / this.servers.length);
      const to = Math.floor(((index + 1) * SLOTS) / this.servers.length) - 1;
      await server.command('CLUSTER', 'ADDSLOTSRANGE', from, to);
      await server.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    }
    for (const server of this.all.slice(1)) await first.command('CLUSTER', 'MEET', server.host, server.port);
    await this.untilCovered();
    await Promise.all(this.replicas.map((replica, index) => follow(replica, this.servers[index]!)));
  }

  async killMaster(index: number): Promise<RedisServer> {
    const replica = this.replicas[index];
    if (!replica) throw new Error('This Cluster was started without replicas.');
    await this.servers[index]!.kill();
    await until('The failover', () => isMaster(replica), FAILOVER_WITHIN_MS);
    const others = this.all.filter((server) => server.isRunning && server !== replica);
    for (const server of others) {
      await until('The failover is known', async () => {
        const nodes = (await server.command('CLUSTER', 'NODES')).split('\n');
        return nodes.some((line) => line.includes(`:${replica.port}@`) && / master .*connected \d/.test(line));
      });
    }
    await this.untilCovered();
    return replica;
  }

  async untilCovered(): Promise<void> {
    for (const server of this.all.filter(({ isRunning }) => isRunning)) {
      await until('All slots are served', async () =>
        isWhole(await server.command('CLUSTER', 'INFO'), this.all.length),
      );
    }
  }

  async untilReplicated(): Promise<void> {
    const offset = async (server: RedisServer, field: string): Promise<number> =>
      Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(await server.command('INFO', 'replication'))?.[1]);
    await Promise.all(
      this.replicas.map(async (replica, index) => {
        const written = await offset(this.servers[index]!, 'master_repl_offset');
        await until('The replica has it', async () => (await offset(replica, 'slave_repl_offset')) >= written);
      }),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map((server) => server.stop()));
  }
}

/** Resolves when the replica has all that the master has. */
async function follow(replica: RedisServer, master: RedisServer): Promise<void> {
  const id = await master.command('CLUSTER', 'MYID');
  await until('The replica knows its master', async () => (await replica.command('CLUSTER', 'REPLICATE', id)) === 'OK');
  await until('The replica follows', async () =>
    (await replica.command('INFO', 'replication')).includes('master_link_status:up'),
  );
}

async function isMaster(server: RedisServer): Promise<boolean> {
  return (await server.command('INFO', 'replication')).includes('role:master');
}

function isWhole(info: string, nodes: number): boolean {
  return ['cluster_state:ok', `cluster_slots_ok:${SLOTS}`, `cluster_known_nodes:${nodes}`].every((line) =>
    info.includes(`${line}\r\n`),
  );
}

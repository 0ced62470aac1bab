import calculateSlot from 'cluster-key-slot';
import type { Cluster, Redis } from 'ioredis';
import type { Clock } from '../../../core/clock.js';
import { isMoved, isOutage, unavailable, withinBudget } from '../budget.js';
import { isCluster, type NodeClient, type RedisConnect } from '../client-shapes.js';
import { openClient } from '../topology.js';

const CLOSED = () => unavailable('the connection is closed');

/**
 * A connection for streams: opened when it is needed, and given up for a new one as soon as a command is not answered. It never queues
 * a command for later and never sends one twice.
 */
export class StreamLink {
  private client: Redis | Cluster | undefined;
  private opening: Promise<Redis | Cluster> | undefined;
  private closed = false;
  private readonly waiting = new Set<() => void>();

  /** @param timeoutMs what connecting and a command may take, besides the time for which it was told to block */
  constructor(
    private readonly connect: RedisConnect,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
  ) {}

  /**
   * Runs a command where `key` lives.
   *
   * @param blocksMs how long the command itself is told to wait
   * @throws CacheGuardStoreError; what the server said is its `cause`
   */
  async run<T>(key: string, what: string, work: (node: NodeClient) => Promise<T>, blocksMs = 0): Promise<T> {
    const client = await this.ready();
    try {
      return await this.bounded(nodeOf(client, key).then(work), what, this.timeoutMs + blocksMs);
    } catch (error) {
      const { cause } = error as { cause?: unknown };
      if (isOutage(error) || isMoved(cause)) this.drop(client);
      throw error;
    }
  }

  close(): void {
    this.closed = true;
    if (this.client) this.drop(this.client);
    for (const end of this.waiting) end();
  }

  /** In time, and not longer than until `close`: a client that is cut off while it connects may never say so. */
  private async bounded<T>(work: Promise<T>, what: string, ms: number): Promise<T> {
    let end = () => {};
    const closed = new Promise<never>((_resolve, reject) => (end = () => reject(CLOSED())));
    this.waiting.add(end);
    try {
      return await withinBudget(Promise.race([work, closed]), what, ms, this.clock);
    } finally {
      this.waiting.delete(end);
    }
  }

  private ready(): Promise<Redis | Cluster> {
    if (this.closed) return Promise.reject(CLOSED());
    this.opening ??= this.open();
    return this.opening;
  }

  private async open(): Promise<Redis | Cluster> {
    const client = openClient(this.connect, this.timeoutMs, {
      // A lost connection is opened by whoever needs it next, under the clock of this process.
      retryStrategy: () => null,
      // A command that waits for entries is silent for longer than others may be.
      commandTimeout: undefined,
      socketTimeout: undefined,
      blockingTimeout: undefined,
    });
    this.client = client;
    // An unheard 'error' event would end the process; the command learns of the trouble by itself.
    client.on('error', () => {});
    client.once('end', () => this.drop(client));
    try {
      await this.bounded(client.connect(), 'connecting', this.timeoutMs);
    } catch (error) {
      this.drop(client);
      throw error;
    }
    return client;
  }

  private drop(client: Redis | Cluster): void {
    if (this.client === client) {
      this.client = undefined;
      this.opening = undefined;
    }
    client.disconnect();
  }
}

/** The node that has the key: a cluster's client would send a command again whose connection was lost. */
async function nodeOf(client: Redis | Cluster, key: string): Promise<NodeClient> {
  if (!isCluster(client)) return client;
  const address = client.slots[calculateSlot(key)]?.[0];
  const node = client.nodes('master').find(({ options }) => `${options.host}:${options.port}` === address);
  if (!node) throw unavailable('no cluster node is known for the slot');
  if (node.status === 'wait') await node.connect();
  else if (node.status !== 'ready') {
    await new Promise<void>((resolve, reject) => {
      node.once('ready', resolve);
      node.once('end', () => reject(unavailable('the connection was lost')));
    });
  }
  return node;
}

import calculateSlot from 'cluster-key-slot';
import { Redis, type Cluster } from 'ioredis';
import type { Clock } from '../../core/clock.js';
import { unavailable } from './budget.js';
import { isCluster, OWN_OPTIONS, type RedisConnect } from './client-shapes.js';
import { NodeLink } from './node-link.js';

/** What receives messages. */
export interface Subscriber {
  /** Subscribes now or as soon as it is connected, and again after each reconnect. */
  subscribe(channels: readonly string[], onMessage: (message: string) => void): Promise<void>;
}

/** The servers behind a store: which one has a key, and how to stop talking to all of them. */
export interface Topology {
  readonly subscriber: Subscriber;
  /** Keys lie in slots of several servers, and one command may touch one slot only. */
  readonly spread: boolean;
  connect(): Promise<void>;
  /** The master that has the key. Throws `CacheGuardStoreError` while nobody knows. */
  linkFor(redisKey: string): NodeLink;
  masters(): NodeLink[];
  /** What to do after a server said that a key lives elsewhere. */
  refresh(): void;
  onError(listener: (error: unknown) => void): void;
  close(): void;
}

/** Duplicates what was handed in, or connects: our connections are our own, with our own rules. */
export function topologyOf(connect: RedisConnect, clock: Clock, timeoutMs: number): Topology {
  const own = { ...OWN_OPTIONS, connectTimeout: Math.max(timeoutMs, 1_000) };
  const client = open(connect, own);
  if (isCluster(client)) return new ClusterTopology(client, clock);
  // A listener keeps trying and re-subscribes by itself; its messages are not answers to anybody.
  const listener = client.duplicate({
    ...own,
    enableOfflineQueue: true,
    maxRetriesPerRequest: null,
  });
  return new SingleTopology(client, listener, clock);
}

function open(connect: RedisConnect, own: object): Redis | Cluster {
  if ('url' in connect) return new Redis(connect.url, { ...connect.options, ...own });
  if ('options' in connect) return new Redis({ ...connect.options, ...own });
  const given = connect.client as unknown as Redis | Cluster;
  if (!isCluster(given)) return given.duplicate(own);
  const redisOptions = { ...given.options.redisOptions, ...own };
  return given.duplicate([], {
    redisOptions,
    enableOfflineQueue: false,
    lazyConnect: true,
    scaleReads: 'master',
    keyPrefix: '',
  });
}

class SingleTopology implements Topology {
  readonly spread = false;
  private readonly link: NodeLink;

  readonly subscriber: Subscriber = {
    // The first command connects it; its offline queue holds the subscription until then.
    subscribe: async (channels, onMessage) => {
      this.listener.on('message', (_channel: string, message: string) => onMessage(message));
      await this.listener.subscribe(...channels);
    },
  };

  constructor(
    private readonly client: Redis,
    private readonly listener: Redis,
    clock: Clock,
  ) {
    this.link = new NodeLink(client, clock);
  }

  async connect(): Promise<void> {
    await this.client.connect();
  }

  linkFor(): NodeLink {
    return this.link;
  }

  masters(): NodeLink[] {
    return [this.link];
  }

  refresh(): void {}

  onError(listener: (error: unknown) => void): void {
    this.client.on('error', listener);
    this.listener.on('error', listener);
  }

  close(): void {
    this.client.disconnect();
    this.listener.disconnect();
  }
}

class ClusterTopology implements Topology {
  readonly spread = true;
  private readonly links = new Map<string, NodeLink>();

  constructor(
    private readonly cluster: Cluster,
    private readonly clock: Clock,
  ) {
    cluster.on('-node', (node: Redis) => this.links.delete(addressOf(node)));
  }

  readonly subscriber: Subscriber = {
    // A cluster client keeps a connection of its own for this; it refuses to subscribe before it is ready.
    subscribe: async (channels, onMessage) => {
      this.cluster.on('message', (_channel: string, message: string) => onMessage(message));
      const subscribe = () => this.cluster.subscribe(...channels);
      if (this.cluster.status !== 'ready')
        await new Promise<void>((resolve) => this.cluster.once('ready', () => resolve()));
      await subscribe();
    },
  };

  connect(): Promise<void> {
    return this.cluster.connect();
  }

  linkFor(redisKey: string): NodeLink {
    const address = this.cluster.slots[calculateSlot(redisKey)]?.[0];
    const link = address === undefined ? undefined : this.at(address);
    if (!link) throw unavailable('no cluster node is known for the slot');
    return link;
  }

  masters(): NodeLink[] {
    return this.cluster.nodes('master').map((node) => this.at(addressOf(node))!);
  }

  refresh(): void {
    this.cluster.refreshSlotsCache();
  }

  onError(listener: (error: unknown) => void): void {
    this.cluster.on('error', listener);
    this.cluster.on('node error', listener);
  }

  close(): void {
    this.cluster.disconnect();
  }

  private at(address: string): NodeLink | undefined {
    let link = this.links.get(address);
    if (link) return link;
    const node = this.cluster.nodes('all').find((other) => addressOf(other) === address);
    if (!node) return undefined;
    this.links.set(address, (link = new NodeLink(node, this.clock)));
    return link;
  }
}

function addressOf({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}

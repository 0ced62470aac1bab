import calculateSlot from 'cluster-key-slot';
import { Redis, type Cluster, type RedisOptions } from 'ioredis';
import { unavailable } from './budget.js';
import { isCluster, OWN_OPTIONS, type NodeClient, type RedisConnect } from './client-shapes.js';
import type { NodeLink } from './node-link.js';
import { Renewal } from './renewal.js';
import { ClusterSubscriber, SingleSubscriber, type Subscriber } from './subscriber.js';

/** `renew` gives the connection up for a new one. */
type MakeLink = (client: NodeClient, renew?: () => void) => NodeLink;

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

/**
 * Duplicates what was handed in, or connects: our connections are our own, with our own rules.
 *
 * @param onGap called when messages may have been missed
 */
export function topologyOf(connect: RedisConnect, makeLink: MakeLink, timeoutMs: number, onGap: () => void): Topology {
  const client = openClient(connect, timeoutMs);
  if (isCluster(client)) return new ClusterTopology(client, makeLink, onGap);
  return new SingleTopology(client, makeLink, onGap);
}

/** A client of our own, which has not connected yet. `over`: for what serves something special. */
export function openClient(
  connect: RedisConnect,
  timeoutMs: number,
  over: Partial<RedisOptions> = {},
): Redis | Cluster {
  const connectTimeout = Math.max(timeoutMs, 1_000);
  // A sentinel that hangs must not keep the others from being asked.
  const sentinelCommandTimeout = Math.max(timeoutMs / 2, 100);
  const own = { ...OWN_OPTIONS, connectTimeout, sentinelCommandTimeout, ...over };
  if ('url' in connect) return new Redis(withoutOptions(connect.url, own), { ...connect.options, ...own });
  if ('options' in connect) return new Redis({ ...connect.options, ...own });
  const given = connect.client as unknown as Redis | Cluster;
  if (!isCluster(given)) return given.duplicate(own);
  const redisOptions = { ...given.options.redisOptions, ...own };
  return given.duplicate([], {
    redisOptions,
    enableOfflineQueue: false,
    lazyConnect: true,
    scaleReads: 'master',
    // One that is under way when the client is closed would begin the next, and so on for ever: `ClusterTopology` does it.
    slotsRefreshInterval: 0,
    keyPrefix: '',
  });
}

/** The options of a URL's query would come before ours. */
function withoutOptions(given: string, own: object): string {
  if (!given.includes('?')) return given;
  const url = new URL(given);
  for (const option of Object.keys(own)) url.searchParams.delete(option);
  return url.href;
}

class SingleTopology implements Topology {
  readonly spread = false;
  readonly subscriber: SingleSubscriber;
  private readonly link: NodeLink;
  private readonly renewal: Renewal;

  constructor(
    private readonly client: Redis,
    makeLink: MakeLink,
    onGap: () => void,
  ) {
    this.renewal = new Renewal(client);
    this.link = makeLink(client, () => this.renewal.renew());
    this.subscriber = new SingleSubscriber(client, onGap);
  }

  async connect(): Promise<void> {
    const { client } = this;
    if (client.status === 'ready') return;
    // A command before the start has begun it already.
    if (client.status === 'wait') return client.connect();
    await new Promise<void>((resolve, reject) => {
      client.once('ready', resolve);
      client.once('close', () => reject(unavailable('the connection was lost')));
    });
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
  }

  close(): void {
    this.renewal.close();
    this.subscriber.close();
  }
}

/** A master that hangs says nothing, and nobody asks it: that another one has taken its place is found out by asking the others. */
const REFRESH_MS = 2_000;

class ClusterTopology implements Topology {
  readonly spread = true;
  private readonly links = new Map<string, NodeLink>();
  private readonly refreshing: NodeJS.Timeout;

  readonly subscriber: ClusterSubscriber;

  constructor(
    private readonly cluster: Cluster,
    private readonly makeLink: MakeLink,
    onGap: () => void,
  ) {
    this.subscriber = new ClusterSubscriber(cluster, onGap);
    cluster.on('-node', (node: Redis) => this.links.delete(addressOf(node)));
    this.refreshing = setInterval(() => this.refresh(), REFRESH_MS).unref();
  }

  connect(): Promise<void> {
    return this.cluster.connect();
  }

  linkFor(redisKey: string): NodeLink {
    const address = this.cluster.slots[calculateSlot(redisKey)]?.[0];
    const link = address === undefined ? undefined : this.at(address);
    if (link) return link;
    // Its node is gone, and no command will be sent whose answer could tell where the key lives now.
    this.refresh();
    throw unavailable('no cluster node is known for the slot');
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
    clearInterval(this.refreshing);
    this.subscriber.close();
    this.cluster.disconnect();
  }

  private at(address: string): NodeLink | undefined {
    let link = this.links.get(address);
    if (link) return link;
    const node = this.cluster.nodes('all').find((other) => addressOf(other) === address);
    if (!node) return undefined;
    this.links.set(address, (link = this.makeLink(node)));
    return link;
  }
}

function addressOf({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}

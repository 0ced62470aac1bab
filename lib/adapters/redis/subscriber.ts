import type { Cluster, Redis } from 'ioredis';
import { Renewal } from './renewal.js';

/** What receives messages. */
export interface Subscriber {
  /** Subscribes now or as soon as it is connected, and again after each reconnect. */
  subscribe(channels: readonly string[], onMessage: (message: string) => void): Promise<void>;
  /** Gives up the connection for a new one: nothing arrives over it any more. */
  reconnect(): void;
  close(): void;
}

/** A listener keeps trying; its messages are not answers to anybody. */
const LISTENER = { enableOfflineQueue: true, maxRetriesPerRequest: null } as const;
/** Before another node of a cluster is tried. */
const RETRY_MS = 200;

export class SingleSubscriber implements Subscriber {
  private readonly listener: Redis;
  private readonly renewal: Renewal;

  constructor(client: Redis, onGap: () => void) {
    this.listener = client.duplicate(LISTENER);
    this.renewal = new Renewal(this.listener);
    this.listener.on('error', () => {});
    this.listener.on('close', onGap);
  }

  /** The first command connects it; its offline queue holds the subscription until then. */
  async subscribe(channels: readonly string[], onMessage: (message: string) => void): Promise<void> {
    this.listener.on('message', (_channel: string, message: string) => onMessage(message));
    await this.listener.subscribe(...channels);
  }

  reconnect(): void {
    this.renewal.renew();
  }

  close(): void {
    this.renewal.close();
  }
}

/** Listens at one node of a cluster, whose nodes pass messages on to each other, and at another one when that is lost. */
export class ClusterSubscriber implements Subscriber {
  private listener: Redis | undefined;
  private timer: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(
    private readonly cluster: Cluster,
    private readonly onGap: () => void,
  ) {}

  async subscribe(channels: readonly string[], onMessage: (message: string) => void): Promise<void> {
    if (this.cluster.status !== 'ready') {
      await new Promise<void>((resolve) => this.cluster.once('ready', () => resolve()));
    }
    if (this.closed) return;
    const nodes = this.cluster.nodes('master');
    const node = nodes[Math.floor(Math.random() * nodes.length)];
    const again = () => {
      if (this.closed) return;
      this.onGap();
      this.timer = setTimeout(() => void this.subscribe(channels, onMessage).catch(() => {}), RETRY_MS);
      this.timer.unref();
    };
    if (!node) return again();
    const listener = node.duplicate({ ...LISTENER, retryStrategy: () => null, lazyConnect: true });
    this.listener = listener;
    listener.on('error', () => {});
    listener.on('message', (_channel: string, message: string) => onMessage(message));
    listener.once('end', again);
    await listener.subscribe(...channels);
  }

  reconnect(): void {
    this.listener?.disconnect();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.listener?.disconnect();
  }
}

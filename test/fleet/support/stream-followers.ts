import { Redis } from 'ioredis';
import type { CacheGuardEvent } from 'nestjs-cache-guard';
import { startWorker, type FleetWorker } from '../../support/fleet-worker.js';
import { uniqueNamespace } from '../../support/namespace.js';
import { until } from '../../support/redis-server.js';

/**
 * Where a process ends itself: `received`: it has events of which it has dealt with none; `acting`: what they want done is on its way to
 * Redis; `done`: it is about to acknowledge.
 */
export type KillPoint = 'received' | 'acting' | 'done';

export interface FollowerOptions {
  readonly namespace: string;
  readonly url: string;
  readonly stream: string;
  readonly killAt?: KillPoint;
}

type EventOf<T extends CacheGuardEvent['type']> = Extract<CacheGuardEvent, { type: T }>;

/** A process that follows the stream. */
export class Follower {
  constructor(readonly worker: FleetWorker) {}

  find(id: string): Promise<string> {
    return this.worker.call('find', id);
  }

  events<T extends CacheGuardEvent['type']>(type: T): Promise<EventOf<T>[]> {
    return this.worker.call('events', type);
  }

  async applied(): Promise<number> {
    const told = await this.events('domain-events');
    return told.reduce((sum, { outcome, count }) => sum + (outcome === 'applied' ? count : 0), 0);
  }

  async close(): Promise<void> {
    await this.worker.stop();
  }
}

/** A stream of offers, their truth, and the processes that follow it. */
export class Market {
  readonly namespace = uniqueNamespace('market');
  readonly stream = `${this.namespace}:events`;
  readonly raw: Redis;
  private readonly followers: Follower[] = [];
  private serial = 0;

  constructor(private readonly url: string) {
    this.raw = new Redis(url);
  }

  async follower(killAt?: KillPoint): Promise<Follower> {
    const follower = new Follower(await startWorker('stream-follower', { execArgv: [] }));
    this.followers.push(follower);
    const { namespace, url, stream } = this;
    await follower.worker.call('boot', { namespace, url, stream, ...(killAt && { killAt }) } satisfies FollowerOptions);
    return follower;
  }

  async setTruth(ids: readonly string[], value: string): Promise<void> {
    await this.raw.hset(`${this.namespace}:truth`, Object.fromEntries(ids.map((id) => [id, value])));
  }

  async publish(ids: readonly string[], type = 'offer.changed'): Promise<void> {
    const commands = this.raw.pipeline();
    for (const id of ids) {
      const event = { specversion: '1.0', id: `${(this.serial += 1)}`, source: '/market', type, data: { id } };
      commands.xadd(this.stream, '*', 'event', JSON.stringify(event));
    }
    await commands.exec();
  }

  /** Resolves when the follower is given the value of all of them. */
  shown(follower: Follower, ids: readonly string[], value: string): Promise<void> {
    return until(`'${value}' is shown`, async () => {
      const seen = await Promise.all(ids.map((id) => follower.find(id)));
      return seen.every((one) => one === value);
    });
  }

  async pending(): Promise<number> {
    return (await this.raw.xpending(this.stream, this.namespace))[0] as number;
  }

  async close(): Promise<void> {
    await Promise.all(this.followers.map(({ worker }) => worker.kill()));
    this.raw.disconnect();
  }
}

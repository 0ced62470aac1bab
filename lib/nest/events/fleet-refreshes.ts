import type { EventSource } from '../../core/event-source.js';
import type { RefreshJob, RefreshQueue } from '../../core/refresh-job.js';
import type { Store } from '../../core/store.js';
import type { Refreshes } from '../../engine/events/refreshes.js';
import type { RedisConnection } from '../redis-connection.js';
import { explainMissingPeer } from '../store-factory.js';
import type { SourceEnvironment } from './source-environment.js';

/** About so many refreshes wait for a worker; the oldest beyond it are left to whoever reads their keys. */
const MOST_WAITING = 10_000;
/** Few, so that one worker does not keep from the others what it has no room for. */
const BATCH = 16;
/** A refresh that is taken over though it still runs waits for the first one, under the lease. */
const CLAIM_AFTER_MS = 5_000;

interface Appender {
  append(stream: string, events: readonly unknown[], options: { readonly maxLength: number }): Promise<void>;
  close(): void;
}

/** Hands refreshes to the workers of the fleet, over a stream of the namespace; each is done by one of them. */
export class FleetRefreshes implements RefreshQueue {
  private constructor(
    private readonly local: Refreshes,
    private readonly store: Pick<Store, 'remote'>,
    private readonly stream: string,
    private readonly publisher: Appender,
    /** Where a worker's jobs come from; to be opened once the store is. */
    readonly source: EventSource,
  ) {}

  /** @throws CacheGuardConfigError (`CG_MISSING_PEER`) */
  static async over(
    connect: RedisConnection,
    { namespace, commandTimeoutMs, clock, ids }: SourceEnvironment,
    local: Refreshes,
    store: Pick<Store, 'remote'>,
  ): Promise<FleetRefreshes> {
    const [{ StreamPublisher }, { RedisStreamSource }] = await Promise.all([
      import('../../adapters/redis/stream/stream-publisher.js'),
      import('../../adapters/redis/stream/redis-stream-source.js'),
    ]).catch(explainMissingPeer);
    const stream = `${namespace}:w:{refreshes}`;
    const common = { connect, clock, commandTimeoutMs };
    const source = new RedisStreamSource({
      ...common,
      name: 'cache-guard:refreshes',
      stream,
      group: 'workers',
      consumer: ids.process,
      from: 'start',
      batch: BATCH,
      claimAfterMs: CLAIM_AFTER_MS,
    });
    return new FleetRefreshes(local, store, stream, new StreamPublisher(common), source);
  }

  async enqueue(jobs: readonly RefreshJob[]): Promise<void> {
    // The server was too old for the store: what is cached is this process's own.
    if (!this.store.remote) return this.local.enqueue(jobs);
    const handedOver = jobs.filter(({ domain }) => !this.local.staysHere(domain));
    if (handedOver.length < jobs.length)
      await this.local.enqueue(jobs.filter(({ domain }) => this.local.staysHere(domain)));
    if (handedOver.length === 0) return;
    await this.publisher.append(this.stream, this.local.envelopes(handedOver), { maxLength: MOST_WAITING });
  }

  async close(): Promise<void> {
    this.publisher.close();
  }
}

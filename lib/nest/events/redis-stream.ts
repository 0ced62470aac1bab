import calculateSlot from 'cluster-key-slot';
import { formatDuration, type Duration } from '../../core/durations.js';
import type { EventSource } from '../../core/event-source.js';
import { isRecord, OptionsChecker } from '../../core/field-checker.js';
import { readConnection, type RedisConnection } from '../redis-connection.js';
import { explainMissingPeer } from '../store-factory.js';
import type { SourceEnvironment } from './source-environment.js';

/** A stream of Redis as a source of events. */
export interface RedisStreamOptions {
  /** The stream's name, without the connection's key prefix. */
  readonly stream: string;
  /** For rules (`from`), policies (`freshBy`), events and logs. Default: the stream's name. */
  readonly name?: string;
  /** The consumer group, whose processes share the work. Default: the module's namespace. */
  readonly group?: string;
  /** Where a new group begins: with what is published from then on, or with the oldest event that is still there. Default `'end'`. */
  readonly from?: 'start' | 'end';
  /** Events that are read at once, 1 to 1,000. Default 256. */
  readonly batch?: number;
  /** How often an event is tried before it is put aside as a dead letter, 1 to 100. Default 5. */
  readonly maxTries?: number;
  /** Pause before the second try; each further one is twice as long, up to `claimAfter`. Default `'1s'`, or `claimAfter` if that is shorter. */
  readonly retryAfter?: Duration;
  /** What a process has not dealt with by then is taken over by another: longer than an event ever takes. Default `'30s'`. */
  readonly claimAfter?: Duration;
  /**
   * The stream for what could not be dealt with. In a cluster it must be in the slot of the other. Default: `{stream}:dead`, or
   * `stream:dead` for a name with a hash tag.
   */
  readonly deadLetters?: string;
  /** Another Redis than the module's. */
  readonly redis?: RedisConnection;
}

const FIELDS = [
  'stream',
  'name',
  'group',
  'from',
  'batch',
  'maxTries',
  'retryAfter',
  'claimAfter',
  'deadLetters',
  'redis',
] satisfies (keyof RedisStreamOptions)[];
const WAYS: readonly string[] = ['options', 'url', 'client'];

const check: OptionsChecker = new OptionsChecker('redisStream');

/**
 * Follows a stream of Redis, durably: the processes of the fleet share its events, one of them acts on each, and what came while all were
 * down, or was not finished by a process that died, is made up for. Times and ages are those of the entries' ids: let Redis make them.
 *
 * @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`); at boot too, when there is no Redis, and `CG_MISSING_PEER` without ioredis
 */
export function redisStream(options: RedisStreamOptions): (environment: SourceEnvironment) => Promise<EventSource> {
  const { stream, deadLetters, own, ...read } = readOptions(options);
  return async ({ namespace, connect, commandTimeoutMs, clock, ids }) => {
    const connection = own ?? connect;
    if (!connection) {
      check.fail(
        'redis',
        undefined,
        'the module has no Redis: give it redis, redisUrl or existingClient, or give this source a redis',
      );
    }
    const isCluster = 'client' in connection && connection.client.isCluster;
    if (isCluster && deadLetters !== undefined && calculateSlot(deadLetters) !== calculateSlot(stream)) {
      check.fail('deadLetters', deadLetters, 'in a cluster it must be in the slot of the stream: use a hash tag');
    }
    const { RedisStreamSource } = await import('../../adapters/redis/stream/redis-stream-source.js').catch(
      explainMissingPeer,
    );
    return new RedisStreamSource({
      ...read,
      stream,
      ...(deadLetters === undefined ? {} : { deadLetters }),
      group: options.group ?? namespace,
      namespace,
      consumer: ids.process,
      connect: connection,
      clock,
      commandTimeoutMs,
    });
  };
}

function readOptions(options: RedisStreamOptions) {
  const {
    stream,
    name = stream,
    group,
    from,
    batch,
    maxTries,
    deadLetters,
    redis,
  } = check.options(options, FIELDS, true);
  check.name('stream', stream);
  check.name('name', name);
  if (group !== undefined) check.name('group', group);
  if (deadLetters !== undefined) check.name('deadLetters', deadLetters);
  if (deadLetters === stream)
    check.fail('deadLetters', deadLetters, 'what is put aside would come again; give another stream');
  const claimAfterMs = check.duration('claimAfter', options.claimAfter, 30_000, 1);
  // Others take over what waits here for longer: the pause would not be kept.
  const retryAfterMs = check.duration('retryAfter', options.retryAfter, Math.min(1_000, claimAfterMs), 1);
  if (retryAfterMs > claimAfterMs) {
    check.fail('retryAfter', options.retryAfter, `make it at most claimAfter (${formatDuration(claimAfterMs)})`);
  }
  return {
    stream,
    name,
    from: check.oneOf('from', from, ['end', 'start']),
    deadLetters,
    batch: check.integer('batch', batch, 256, 1, 1_000),
    maxTries: check.integer('maxTries', maxTries, 5, 1, 100),
    retryAfterMs,
    claimAfterMs,
    own: redis === undefined ? undefined : readRedis(redis),
  };
}

function readRedis(redis: RedisConnection): RedisConnection {
  const ways = 'give { url }, { options } or { client }';
  if (!isRecord(redis)) check.failSecret('redis', redis, ways);
  const unknown = Object.keys(redis).find((way) => !WAYS.includes(way));
  if (unknown !== undefined) check.failSecret(`redis.${unknown}`, redis[unknown as never], ways);
  const names = { options: 'redis.options', url: 'redis.url', client: 'redis.client' };
  return readConnection(check, redis, names) ?? check.failSecret('redis', redis, ways);
}

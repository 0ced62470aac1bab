import calculateSlot from 'cluster-key-slot';
import { parseDuration, type Duration } from '../../core/durations.js';
import { CacheGuardConfigError, describeValue } from '../../core/errors.js';
import type { EventSource } from '../../core/event-source.js';
import { isRecord } from '../../core/field-checker.js';
import type { RedisConnection } from '../redis-connection.js';
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
  /** Pause before the second try; each further one is twice as long, up to `claimAfter`. Default `'1s'`. */
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

/**
 * Follows a stream of Redis, durably: the processes of the fleet share its events, one of them acts on each, and what came while all were
 * down, or was not finished by a process that died, is made up for. Times and ages are those of the entries' ids: let Redis make them.
 *
 * @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`); at boot too, when there is no Redis, and `CG_MISSING_PEER` without ioredis
 */
export function redisStream(options: RedisStreamOptions): (environment: SourceEnvironment) => Promise<EventSource> {
  const { stream, deadLetters, ...read } = readOptions(options);
  return async ({ namespace, connect, commandTimeoutMs, clock, ids }) => {
    const connection = options.redis ?? connect;
    if (!connection) {
      throw refused(
        'redis',
        undefined,
        'the module has no Redis: give it redis, redisUrl or existingClient, or give this source a redis',
      );
    }
    const isCluster = 'client' in connection && connection.client.isCluster;
    if (isCluster && deadLetters !== undefined && calculateSlot(deadLetters) !== calculateSlot(stream)) {
      throw refused('deadLetters', deadLetters, 'in a cluster it must be in the slot of the stream: use a hash tag');
    }
    const { RedisStreamSource } = await import('../../adapters/redis/stream/redis-stream-source.js').catch(
      explainMissingPeer,
    );
    return new RedisStreamSource({
      ...read,
      stream,
      ...(deadLetters === undefined ? {} : { deadLetters }),
      group: options.group ?? namespace,
      consumer: ids.process,
      connect: connection,
      clock,
      commandTimeoutMs,
    });
  };
}

function readOptions(options: RedisStreamOptions) {
  if (!isRecord(options)) throw refused('options', options, 'give an object with at least a stream');
  for (const [field, value] of Object.entries(options)) {
    const known = FIELDS.includes(field as (typeof FIELDS)[number]);
    if (!known) throw refused(field, value, `the fields are ${FIELDS.join(', ')}`);
  }
  const { stream, name = stream, group, from = 'end', deadLetters, redis } = options;
  for (const [field, value] of Object.entries({ stream, name, group, deadLetters })) {
    if (value === undefined && (field === 'group' || field === 'deadLetters')) continue;
    if (typeof value !== 'string' || value === '') throw refused(field, value, 'give a text that is not empty');
  }
  if (from !== 'start' && from !== 'end') throw refused('from', from, "give 'start' or 'end'");
  if (redis !== undefined && !isRecord(redis)) {
    throw refused('redis', `(${typeof redis})`, 'give { url }, { options } or { client }');
  }
  return {
    stream,
    name,
    from,
    deadLetters,
    batch: integer('batch', options.batch ?? 256, 1_000),
    maxTries: integer('maxTries', options.maxTries ?? 5, 100),
    retryAfterMs: duration('retryAfter', options.retryAfter ?? '1s'),
    claimAfterMs: duration('claimAfter', options.claimAfter ?? '30s'),
  };
}

function integer(field: string, value: unknown, most: number): number {
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most) return value as number;
  throw refused(field, value, `give a whole number from 1 to ${most}`);
}

function duration(field: string, value: unknown): number {
  const ms = parseDuration(value);
  if (ms !== undefined && ms >= 1) return ms;
  throw refused(field, value, "give milliseconds, or a text such as '500ms', at least 1ms");
}

function refused(field: string, value: unknown, mend: string): CacheGuardConfigError {
  return new CacheGuardConfigError(
    'CG_INVALID_OPTIONS',
    `redisStream: ${field} = ${describeValue(value)} is refused; ${mend}.`,
    { field },
  );
}

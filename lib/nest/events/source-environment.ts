import type { Clock } from '../../core/clock.js';
import type { Ids } from '../../core/ids.js';
import type { RedisConnection } from '../redis-connection.js';

/** What the module knows and an event source may need. */
export interface SourceEnvironment {
  readonly namespace: string;
  /** `undefined`: the application has no Redis. */
  readonly connect: RedisConnection | undefined;
  readonly commandTimeoutMs: number;
  readonly clock: Clock;
  readonly ids: Ids;
  /** A provider of the application. Throws where there is none. */
  resolve<T>(token: abstract new (...args: never[]) => T): T;
}

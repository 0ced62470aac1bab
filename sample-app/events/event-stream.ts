import { redisStream, type EventSourceOption } from 'nestjs-cache-guard';
import type { SampleConfig } from '../config.js';
import type { Database } from '../source/database.js';
import { identityOf } from '../source/schema.js';
import type { EventJournal } from './event-journal.js';

/** Made from the identity of the database, so that no cache and no stream outlives its source. */
export async function namespaceOf(config: SampleConfig, database: Database): Promise<string> {
  return config.namespace ?? `bank-dashboard-${await identityOf(database)}`;
}

/** The stream that the fleet shares; without Redis there is none, and the outbox is emptied into the rules of this process. */
export async function streamOf(config: SampleConfig, database: Database): Promise<string | undefined> {
  return config.redisUrl ? `${await namespaceOf(config, database)}:events` : undefined;
}

/** What the guard follows besides its own process. */
export function sourcesOf(stream: string | undefined, journal: EventJournal): EventSourceOption[] {
  if (stream === undefined) return [];
  // A relay may be there first: what it has sent by then is not to be missed.
  const source = redisStream({ stream, from: 'start' });
  return [async (environment) => journal.watched(await source(environment))];
}

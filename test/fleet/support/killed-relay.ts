import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { CacheGuard, CacheGuardModule, redisStream, SqlOutbox, type DomainEvent } from 'nestjs-cache-guard';
import { expect, inject, onTestFinished, vi } from 'vitest';
import { startWorker } from '../../support/fleet-worker.js';
import { uniqueNamespace } from '../../support/namespace.js';
import type { DatabasePlace, SqlDatabase } from '../../support/sql-databases.js';
import type { RelayWorkerOptions } from '../workers/outbox-relay.js';

const EVENTS = 25;
const BATCH = 10;

async function startRelay(options: RelayWorkerOptions) {
  const worker = await startWorker('outbox-relay', { execArgv: [] });
  onTestFinished(() => worker.kill());
  await worker.call('boot', options);
  return worker;
}

/**
 * A process that relays is killed after it has sent its second batch and before it has deleted it; another one goes on, while somebody
 * follows the stream: nothing is lost, and what is sent twice is done once.
 *
 * @param database the one at `place`, as this process sees it
 */
export async function expectNothingLostByAKilledRelay(database: SqlDatabase, place: DatabasePlace): Promise<void> {
  const table = `outbox_${uniqueNamespace().replaceAll(/\W/g, '_')}`;
  const outbox = new SqlOutbox({ dialect: place.dialect, table });
  for (const statement of outbox.schema()) await database.query(statement);
  const events = Array.from({ length: EVENTS }, (_, i) => ({
    source: '/bank',
    type: 'offer.changed',
    data: { segment: `s${i}` },
  }));
  const published = await database.transaction((query) => outbox.publish(query, events));
  const rows = async (): Promise<number> => (await database.query(`select 1 from ${table}`)).length;
  const stream = uniqueNamespace('stream');
  const redisUrl = inject('redisUrl');

  // Who follows the stream, and counts what it has really done.
  const done: string[] = [];
  const key = (event: DomainEvent): string => {
    done.push(event.id);
    return (event.data as { segment: string }).segment;
  };
  const follower = await NestFactory.createApplicationContext(
    CacheGuardModule.forRoot({
      namespace: uniqueNamespace('outbox'),
      redisUrl,
      domains: { offers: { freshness: 'reference' } },
      events: {
        sources: [redisStream({ stream, from: 'start' })],
        rules: [{ on: 'offer.changed', domain: 'offers', key }],
      },
    }),
    { logger: false },
  );
  onTestFinished(() => follower.close());
  const outcomes = { applied: 0, duplicate: 0 };
  follower.get(CacheGuard).on((event) => {
    if (event.type === 'domain-events' && (event.outcome === 'applied' || event.outcome === 'duplicate'))
      outcomes[event.outcome] += event.count;
  });

  const relay = { namespace: uniqueNamespace('outbox'), redisUrl, database: place, table, stream, batch: BATCH };
  const victim = await startRelay({ ...relay, stopsBefore: 2 });
  await victim.call('stopped');
  await victim.kill();
  expect(await rows()).toBe(EVENTS - BATCH);
  // What the dead process held is free after its lease.
  const successor = await startRelay(relay);
  await vi.waitUntil(async () => (await rows()) === 0, 20_000);
  await vi.waitUntil(() => outcomes.applied + outcomes.duplicate === EVENTS + BATCH);

  const client = new Redis(redisUrl);
  onTestFinished(() => client.disconnect());
  const entries = await client.xrange(stream, '-', '+');
  const ids = entries.map(([, fields]) => (JSON.parse(fields[fields.indexOf('event') + 1]!) as DomainEvent).id);
  const given = published.map(({ id }) => id);
  expect(ids).toEqual([...given.slice(0, 2 * BATCH), ...given.slice(BATCH)]);
  expect(done).toEqual(given);
  expect(outcomes).toEqual({ applied: EVENTS, duplicate: BATCH });
  expect(await successor.stop(), successor.log).toBe(true);
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { CacheGuard, CacheGuardModule, redisStream, SqlOutbox, type DomainEvent } from 'nestjs-cache-guard';
import { afterAll, beforeAll, expect, inject, it, onTestFinished, vi } from 'vitest';
import { EmbeddedDatabase } from '../../sample-app/source/embedded-database.js';
import { startWorker } from '../support/fleet-worker.js';
import { uniqueNamespace } from '../support/namespace.js';
import type { RelayWorkerOptions } from './workers/outbox-relay.js';

const EVENTS = 25;
const BATCH = 10;

let database: EmbeddedDatabase;
const folder = mkdtempSync(join(tmpdir(), 'outbox-'));
beforeAll(async () => {
  database = await EmbeddedDatabase.start();
  await database.serve(join(folder, '.s.PGSQL.5432'));
});
afterAll(async () => {
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

async function startRelay(options: RelayWorkerOptions) {
  const worker = await startWorker('outbox-relay', { execArgv: [] });
  onTestFinished(() => worker.kill());
  await worker.call('boot', options);
  return worker;
}

it('a relay that is killed after it has sent and before it has deleted loses nothing, and what is sent twice is done once', async () => {
  const outbox = new SqlOutbox({ dialect: 'postgres', table: 'outbox' });
  for (const statement of outbox.schema()) await database.query(statement);
  const published = await database.transaction((query) =>
    outbox.publish(
      query,
      Array.from({ length: EVENTS }, (_, i) => ({
        source: '/bank',
        type: 'offer.changed',
        data: { segment: `s${i}` },
      })),
    ),
  );
  const stream = uniqueNamespace('stream');
  const redisUrl = inject('redisUrl');

  // Who follows the stream, and counts what it has really done.
  const done: string[] = [];
  const follower = await NestFactory.createApplicationContext(
    CacheGuardModule.forRoot({
      namespace: uniqueNamespace('outbox'),
      redisUrl,
      domains: { offers: { freshness: 'reference' } },
      events: {
        sources: [redisStream({ stream, from: 'start' })],
        rules: [
          {
            on: 'offer.changed',
            domain: 'offers',
            key: (event) => {
              done.push(event.id);
              return (event.data as { segment: string }).segment;
            },
          },
        ],
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

  const relay = {
    namespace: uniqueNamespace('outbox'),
    redisUrl,
    database: folder,
    table: 'outbox',
    stream,
    batch: BATCH,
  };
  const victim = await startRelay({ ...relay, stopsBefore: 2 });
  await victim.call('stopped');
  await victim.kill();
  expect(await database.query('select 1 from outbox')).toHaveLength(EVENTS - BATCH);
  // What the dead process held is free after its lease.
  const successor = await startRelay(relay);
  await vi.waitUntil(async () => (await database.query('select 1 from outbox')).length === 0, 20_000);
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
});

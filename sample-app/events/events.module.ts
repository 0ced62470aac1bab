import { Global, Module } from '@nestjs/common';
import { CacheGuard, InProcessDestination, OutboxRelay, outboxRelay } from 'nestjs-cache-guard';
import type { SampleConfig } from '../config.js';
import { Database } from '../source/database.js';
import { SAMPLE_CONFIG } from '../tokens.js';
import { bankOutbox } from './bank-outbox.js';
import { EventJournal } from './event-journal.js';
import { streamOf } from './event-stream.js';
import { EventWriter } from './event-writer.js';
import { EventsController } from './events.controller.js';

const relay = outboxRelay({
  inject: [SAMPLE_CONFIG, Database, CacheGuard, EventJournal],
  useFactory: async (config: SampleConfig, database: Database, cache: CacheGuard, journal: EventJournal) => {
    const stream = await streamOf(config, database);
    const inProcess = new InProcessDestination(async (events) => {
      const verdicts = await cache.events.publishAll(events);
      await journal.note(
        events.map((event) => ({ event })),
        verdicts,
      );
      return verdicts;
    });
    return {
      outbox: bankOutbox,
      query: (sql, params) => database.query(sql, params),
      ...(stream ? { stream, maxLength: 10_000 } : { destination: inProcess }),
    };
  },
});

/** From a write to the fragments that it concerns: the outbox in the source, its relay, and what became of the events. */
@Global()
@Module({
  controllers: [EventsController],
  providers: [EventJournal, EventWriter, relay],
  exports: [EventJournal, EventWriter, OutboxRelay],
})
export class EventsModule {}

import { Injectable } from '@nestjs/common';
import { OutboxRelay, type OutboxEvent } from 'nestjs-cache-guard';
import type { Query } from '../source/database.js';
import { Source } from '../source/source.js';
import { bankOutbox } from './bank-outbox.js';

/** Publishes an event within the open transaction. */
export type Publish = (event: OutboxEvent) => Promise<unknown>;

/** Writes to the source together with the events that tell of it. */
@Injectable()
export class EventWriter {
  constructor(
    private readonly source: Source,
    private readonly relay: OutboxRelay,
  ) {}

  async write<T>(work: (query: Query, publish: Publish) => Promise<T>): Promise<T> {
    const written = await this.source.transaction((query) => work(query, (event) => bankOutbox.publish(query, event)));
    this.relay.nudge();
    return written;
  }
}

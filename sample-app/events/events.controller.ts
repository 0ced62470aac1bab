import { Controller, Get } from '@nestjs/common';
import { CacheGuard, OutboxRelay, type LastReconciliation, type OutboxStatus } from 'nestjs-cache-guard';
import { EventJournal, type HandledEvent } from './event-journal.js';

/** The domain whose policy has a `reconcile`. */
const RECONCILED = 'offers';
const SHOWN = 10;

interface ShownReconciliation extends LastReconciliation {
  readonly domain: string;
}

export interface EventStatus {
  readonly outbox: OutboxStatus;
  readonly events: readonly HandledEvent[];
  readonly reconciliation: ShownReconciliation | null;
}

@Controller('api/events')
export class EventsController {
  constructor(
    private readonly relay: OutboxRelay,
    private readonly journal: EventJournal,
    private readonly cache: CacheGuard,
  ) {}

  @Get()
  async status(): Promise<EventStatus> {
    const [outbox, events, last] = await Promise.all([
      this.relay.status(),
      this.journal.latest(SHOWN),
      this.cache.lastReconciliation(RECONCILED).catch(() => undefined),
    ]);
    return { outbox, events, reconciliation: last ? { domain: RECONCILED, ...last } : null };
  }
}

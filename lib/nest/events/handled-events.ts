import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import type { Clock } from '../../core/clock.js';
import type { Verdict } from '../../core/event-source.js';
import { CacheGuard } from '../../engine/cache-guard.js';
import { Retries, type RetryOptions } from '../../engine/events/retries.js';
import { CLOCK } from '../tokens.js';

/** Events that come by handlers of an application and not by sources that it follows. */
@Injectable()
export class HandledEvents implements BeforeApplicationShutdown {
  private readonly retries: Retries;

  constructor(
    @Inject(CacheGuard) private readonly guard: CacheGuard,
    @Inject(CLOCK) clock: Clock,
  ) {
    this.retries = new Retries(clock);
  }

  /** Applies the rules to an event until that is done, or has failed for good. `retry` and `later`: it has not been dealt with. */
  take(source: string, event: unknown, options: RetryOptions): Promise<Verdict> {
    return this.retries.settle(async () => (await this.guard.events.deliver(source, [event]))[0]!, options);
  }

  deadLettered(source: string, reason: string): void {
    this.guard.events.deadLettered(source, reason);
  }

  /** Before brokers are disconnected: what waits for its next try goes back to them. */
  beforeApplicationShutdown(): void {
    this.retries.close();
  }
}

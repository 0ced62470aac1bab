import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { awaitedTimers, type Clock } from '../../core/clock.js';
import type { Failure, Verdict } from '../../core/event-source.js';
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
    this.retries = new Retries(awaitedTimers(clock));
  }

  /** Applies the rules to an event until that is done, or has failed for good. `retry` and `later`: it has not been dealt with. */
  async take(source: string, event: unknown, options: RetryOptions): Promise<Verdict> {
    const { events } = this.guard;
    let tries = 0;
    const verdict = await this.retries.settle(
      async () => (await events.deliver(source, [event], tries++))[0]!,
      options,
    );
    return verdict.kind === 'done' ? verdict : { ...verdict, attempt: tries };
  }

  /** What it may have concerned is invalidated meanwhile: nobody rests on such a source, and what is behind it need not wait for that. */
  deadLettered(source: string, event: unknown, reason: string, failure?: Failure): void {
    const { events } = this.guard;
    void events.giveUp(source, event).catch(() => {});
    events.deadLettered(source, event, reason, failure);
  }

  /** Before brokers are disconnected: what waits for its next try goes back to them. */
  beforeApplicationShutdown(): void {
    this.retries.close();
  }
}

import { identityOf, type DomainEvent } from '../../core/domain-event.js';
import type { EventDestination, RefusedEvent } from '../../core/event-destination.js';
import type { Verdict } from '../../core/event-source.js';
import { OptionsChecker } from '../../core/field-checker.js';

const check: OptionsChecker = new OptionsChecker('InProcessDestination');

/** How often an event is tried whose action fails. */
const MAX_TRIES = 5;

/** The rules of this process: what an outbox is emptied to where there is no stream. */
export class InProcessDestination implements EventDestination {
  /** Of those events of the last batch whose actions failed. */
  private tries = new Map<string, number>();

  /** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
  constructor(private readonly publish: (events: readonly DomainEvent[]) => Promise<readonly Verdict[]>) {
    check.needFn('publish', publish, '(events), such as one that calls guard.events.publishAll(events)');
  }

  async append(events: readonly DomainEvent[]): Promise<readonly RefusedEvent[]> {
    const verdicts = await this.publish(events);
    const refused: RefusedEvent[] = [];
    const tries = new Map<string, number>();
    let again: string | undefined;
    verdicts.forEach((verdict, index) => {
      if (verdict.kind === 'done') return;
      if (verdict.kind === 'later') return void (again = verdict.reason);
      const identity = identityOf(events[index]!);
      const times = (this.tries.get(identity) ?? 0) + 1;
      tries.set(identity, times);
      if (verdict.kind === 'poison' || times >= MAX_TRIES) return void refused.push({ index, reason: verdict.reason });
      again = verdict.reason;
    });
    this.tries = tries;
    // What is done already is a repeat when it comes again.
    if (again !== undefined) throw new Error(`Events are published again: ${again}`);
    return refused;
  }
}

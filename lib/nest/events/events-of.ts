import type { CacheGuard } from '../../engine/cache-guard.js';
import type { DomainEvents } from '../../engine/events/domain-events.js';

/** `undefined`: a test has put something of its own in the guard's place, which follows no events. */
export function eventsOf({ events }: Partial<Pick<CacheGuard, 'events'>>): DomainEvents | undefined {
  return events;
}

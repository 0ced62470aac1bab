import type { DomainEvent } from './domain-event.js';

/** An event that a destination will never take. */
export interface RefusedEvent {
  /** Its place in what was given. */
  readonly index: number;
  readonly reason: string;
}

/** Where an outbox is emptied to. */
export interface EventDestination {
  /**
   * Takes events, in their order. Resolves when they are safe there; rejects when they, or some of them, are to be given again. Those
   * that no repeat will help may be named: they are put aside, so that they hold up nothing.
   */
  append(events: readonly DomainEvent[]): Promise<void | readonly RefusedEvent[]>;
}

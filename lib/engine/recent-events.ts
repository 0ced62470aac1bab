import { LRUCache } from 'lru-cache';
import { elapsedSince, instant, type Clock, type Instant } from '../core/clock.js';
import type { EntryKey } from '../core/keys.js';
import type { KeyEvent, RecentEvent } from '../core/targets.js';
import type { EventHub } from './event-hub.js';

const MOST_KEYS = 1_000;
const MOST_EVENTS = 8;

interface Noted {
  readonly at: Instant;
  readonly event: KeyEvent;
}

/** What has happened to keys lately, for `explain`. Fresh hits are not noted: there is one for nearly each read, and they say it all. */
export class RecentEvents {
  private readonly noted = new LRUCache<EntryKey, Noted[]>({ max: MOST_KEYS });

  constructor(
    hub: EventHub,
    private readonly clock: Clock,
  ) {
    hub.on((event) => {
      if ('key' in event && !(event.type === 'hit' && event.state === 'fresh')) this.note(event);
    });
  }

  /** Oldest first. */
  of(key: EntryKey): RecentEvent[] {
    return (this.noted.peek(key) ?? []).map(({ at, event }) => ({ agoMs: elapsedSince(at, this.clock), event }));
  }

  private note(event: KeyEvent): void {
    const events = this.noted.get(event.key) ?? [];
    events.push({ at: instant(this.clock), event });
    if (events.length > MOST_EVENTS) events.shift();
    this.noted.set(event.key, events);
  }
}

/**
 * What has become of one event. `done`: it need not come again. `retry`: its action failed, and might not the next time. `later`: the
 * store is away, which is no fault of the event and does not count as a try. `poison`: it will never work; it is to be put aside with
 * the reason, which may quote the event.
 */
export type Verdict =
  | { readonly kind: 'done'; readonly outcome: 'applied' | 'duplicate' | 'unmatched' }
  | ({ readonly kind: 'retry' | 'later' | 'poison'; readonly reason: string } & Failure);

/** Where an event failed and of what, in words that are none of the event's. */
export interface Failure {
  /** The place where the rule was written, and its domain. */
  readonly rule?: string | undefined;
  /** The code or the class of what was thrown. */
  readonly error?: string | undefined;
  /** How often the event was tried, this time included. */
  readonly attempt?: number | undefined;
}

/** An event as it came, and how often it was delivered before. */
export interface Delivery {
  readonly event: unknown;
  readonly tries: number;
}

/** What a source may do with those who listen to it. */
export interface EventSink {
  /** The event types that rules want of this source. */
  readonly types: readonly string[];
  /**
   * Names the rules that are followed, and the domains that rest on the source: processes that share its events and give another name do
   * other things with them. `undefined`: all do the same.
   */
  readonly rules?: string | undefined;
  /**
   * Carries out what the rules make of the events, in their order. Resolves, never rejects, once each action is done: only then may an
   * event be acknowledged.
   */
  deliver(deliveries: readonly Delivery[]): Promise<readonly Verdict[]>;
  /** Events were lost between what was delivered and what is still there: what depends on the source can no longer be trusted. */
  lost(reason: string): Promise<void>;
  /**
   * An event is to be put aside: what it may have concerned is invalidated as a whole. Resolves once the store has confirmed that, which
   * may take up to 30 s when many come. Rejects when it has not: then the event must come again, unacknowledged.
   */
  giveUp(event: unknown): Promise<void>;
  /** An event was put aside after the last try, and after `giveUp`. */
  deadLettered(event: unknown, reason: string, failure?: Failure): void;
  /** How old the oldest event is that has not been dealt with; 0 when there is none. To be said at least once in a second while alive. */
  lag(ms: number): void;
  /** The source cannot be reached, or can again. */
  trouble(error: unknown): void;
}

/** Where domain events come from. */
export interface EventSource {
  /** For rules, policies (`freshBy`), events and logs; unique in an application. */
  readonly name: string;
  /**
   * `shared`: each event reaches one process of the fleet, and comes again until it is acknowledged. `each`: every process that hears it
   * acts for itself.
   */
  readonly delivery: 'shared' | 'each';
  /** Begins to deliver. Resolves in bounded time; what cannot be reached yet is tried again until `close`. */
  open(sink: EventSink): Promise<void>;
  /** Takes no more events; resolves when those under way are acknowledged or given back, and nothing is left running. */
  close(): Promise<void>;
}

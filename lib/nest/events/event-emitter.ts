import type { EventEmitter2 } from '@nestjs/event-emitter';
import type { DomainEvent, PublishedEvent } from '../../core/domain-event.js';
import { CacheGuardConfigError, errorKind, thrownText } from '../../core/errors.js';
import type { EventSink, EventSource, Verdict } from '../../core/event-source.js';
import { OptionsChecker } from '../../core/field-checker.js';
import { Retries } from '../../engine/events/retries.js';
import { missingPeer } from './optional-peer.js';
import type { SourceEnvironment } from './source-environment.js';

export interface EventEmitterOptions {
  /** For `from` of rules, for events and logs; unique in the application. Default `'event-emitter'`. */
  readonly name?: string;
  /** What to listen to. Default: the event types that rules name. */
  readonly types?: readonly string[];
  /**
   * Makes an event of what was emitted under a name; `undefined`: it concerns no rule. Default: what was emitted is the event. Give each its
   * own id: one with the id of an earlier one is a repeat, and nothing is done about it. A throw puts the event aside.
   */
  toEvent?(payload: unknown, type: string): PublishedEvent | DomainEvent | undefined;
}

const FIELDS = ['name', 'types', 'toEvent'] satisfies (keyof EventEmitterOptions)[];

const check: OptionsChecker = new OptionsChecker('eventEmitter()', 'events.sources.');

/** How many events of the emitter may wait at a time to be tried again; those beyond are put aside. */
const BOUNDS = { maxWaiting: 1_000 };

/**
 * What the application emits with `@nestjs/event-emitter`, for `events.sources`. `emitAsync` resolves when the event's actions are done, or
 * have failed for the first time. An event that is emitted before the application has started, or while the process dies, is lost.
 *
 * @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`). The application does not start without the package (`CG_MISSING_PEER`) or without
 * `EventEmitterModule.forRoot()` (`CG_INVALID_OPTIONS`).
 */
export function eventEmitter(
  options: EventEmitterOptions = {},
): (environment: SourceEnvironment) => Promise<EventSource> {
  const { name = 'event-emitter', types } = check.options(options, FIELDS);
  check.name('name', name);
  const listed: unknown = types;
  const none = !Array.isArray(listed) || listed.length === 0;
  if (listed !== undefined && (none || !listed.every((one) => typeof one === 'string' && one !== ''))) {
    check.fail('types', listed, 'give a list of event types, or leave it out');
  }
  check.fn('toEvent', (options as { readonly toEvent?: unknown }).toEvent);
  return async (environment) => {
    const emitter = await emitterOf(environment);
    return new EventEmitterSource(name, emitter, new Retries(environment.clock), options);
  };
}

async function emitterOf(environment: SourceEnvironment): Promise<EventEmitter2> {
  const peer = await import('@nestjs/event-emitter').catch((error: unknown) => {
    throw missingPeer(error, '@nestjs/event-emitter', 'The event source eventEmitter()');
  });
  try {
    return environment.resolve(peer.EventEmitter2);
  } catch (error) {
    throw new CacheGuardConfigError(
      'CG_INVALID_OPTIONS',
      'The event source eventEmitter() finds no EventEmitter2; import EventEmitterModule.forRoot() in the root module.',
      { field: 'events.sources', cause: error },
    );
  }
}

class EventEmitterSource implements EventSource {
  readonly delivery = 'each';
  private readonly underway = new Set<Promise<void>>();
  private readonly unsubscribe: (() => void)[] = [];

  constructor(
    readonly name: string,
    private readonly emitter: EventEmitter2,
    private readonly retries: Retries,
    private readonly options: EventEmitterOptions,
  ) {}

  async open(sink: EventSink): Promise<void> {
    for (const type of new Set(this.options.types ?? sink.types)) {
      // `emitAsync` waits for what a listener returns.
      const listener = (payload: unknown): unknown => this.take(sink, payload, type);
      this.emitter.on(type, listener);
      this.unsubscribe.push(() => this.emitter.off(type, listener));
    }
  }

  async close(): Promise<void> {
    for (const unsubscribe of this.unsubscribe) unsubscribe();
    this.retries.close();
    await Promise.all(this.underway);
  }

  /** Never rejects: `emit` waits for nobody. */
  private async take(sink: EventSink, payload: unknown, type: string): Promise<void> {
    let event: unknown = payload;
    try {
      if (this.options.toEvent) event = this.options.toEvent(payload, type);
    } catch (error) {
      const reason = `toEvent: ${thrownText(error, { named: true }).slice(0, 200)}`;
      sink.deadLettered(undefined, reason, { rule: 'toEvent', error: errorKind(error), attempt: 1 });
      return;
    }
    if (event === undefined && this.options.toEvent) return;
    let tries = 0;
    const firstTry = gate();
    const settled = this.retries.settle(async () => {
      const [verdict] = await sink.deliver([{ event, tries }]);
      tries += 1;
      firstTry.open();
      return verdict!;
    }, BOUNDS);
    const done = settled.then((verdict) => reportLoss(sink, event, verdict, tries));
    this.underway.add(done);
    void done.finally(() => this.underway.delete(done));
    await firstTry.passed;
  }
}

function reportLoss(sink: EventSink, event: unknown, verdict: Verdict, attempt: number): void {
  if (verdict.kind === 'done') return;
  // The event is lost with this process in any case: nothing is gained by waiting.
  void sink.giveUp(event).catch(() => {});
  sink.deadLettered(event, verdict.reason, { ...verdict, attempt });
}

function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open: () => void = () => {};
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}

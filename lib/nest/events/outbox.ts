import type {
  BeforeApplicationShutdown,
  FactoryProvider,
  InjectionToken,
  OnApplicationBootstrap,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { checkDestination, checkMoving } from '../../adapters/outbox/outbox-options.js';
import { OutboxRelay } from '../../adapters/outbox/outbox-relay.js';
import type { RunSql } from '../../adapters/outbox/sql-dialect.js';
import type { SqlOutbox } from '../../adapters/outbox/sql-outbox.js';
import type { Clock } from '../../core/clock.js';
import type { Duration } from '../../core/durations.js';
import type { EventDestination } from '../../core/event-destination.js';
import { isRecord, OptionsChecker } from '../../core/field-checker.js';
import type { Ids } from '../../core/ids.js';
import type { Store } from '../../core/store.js';
import { CacheGuard } from '../../engine/cache-guard.js';
import { Duties } from '../../engine/duty.js';
import { LeaseKeeper } from '../../engine/lease-keeper.js';
import type { Settings } from '../options.js';
import { explainMissingPeer } from '../store-factory.js';
import { CLOCK, IDS, SETTINGS, STORE } from '../tokens.js';
import { InProcessDestination } from './in-process-destination.js';

/** What `outboxRelay` takes. At most one of `stream` and `destination`; with neither, events are published in this process. */
export interface OutboxRelayConfig {
  readonly outbox: SqlOutbox;
  /** Runs a statement outside of any transaction of the application. */
  readonly query: RunSql;
  /** The Redis stream that the events are appended to, in the module's Redis. */
  readonly stream?: string;
  /** About so many entries are kept in the stream. Default: all. */
  readonly maxLength?: number;
  readonly destination?: EventDestination;
  /** How often the table is looked at when nobody calls `nudge`. Default `'1s'`. */
  readonly every?: Duration;
  /** Rows that are read and sent at a time, 1 to 1,000. Default 100. */
  readonly batch?: number;
}

const FIELDS = [
  'outbox',
  'query',
  'stream',
  'maxLength',
  'destination',
  'every',
  'batch',
] satisfies (keyof OutboxRelayConfig)[];

const check: OptionsChecker = new OptionsChecker('outboxRelay');

export interface AsyncOutboxRelayConfig<Injected extends unknown[] = never[]> {
  readonly inject?: InjectionToken[];
  readonly useFactory: (...injected: Injected) => OutboxRelayConfig | Promise<OutboxRelayConfig>;
}

/**
 * A provider of `OutboxRelay` that runs from the start of the application to its end; one instance in the fleet works at a time.
 *
 * @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`), about what a factory gives when the application is created
 */
export function outboxRelay<Injected extends unknown[]>(
  config: OutboxRelayConfig | AsyncOutboxRelayConfig<Injected>,
): FactoryProvider<OutboxRelay> {
  const { inject = [], useFactory } = readFactory(config);
  return {
    provide: OutboxRelay,
    inject: [ModuleRef, CacheGuard, ...inject],
    useFactory: async (moduleRef: ModuleRef, guard: CacheGuard, ...injected: unknown[]) =>
      hosted(moduleRef, guard, readConfig(await useFactory(...(injected as Injected)))),
  };
}

function readFactory<Injected extends unknown[]>(
  given: OutboxRelayConfig | AsyncOutboxRelayConfig<Injected>,
): AsyncOutboxRelayConfig<Injected> {
  if (!isRecord(given) || !('useFactory' in given)) {
    const config = readConfig(given as OutboxRelayConfig);
    return { useFactory: () => config };
  }
  const { inject, useFactory } = check.options(given, ['inject', 'useFactory']);
  check.needFn('useFactory', useFactory, 'that gives the options');
  if (inject !== undefined && !Array.isArray(inject)) check.fail('inject', inject, 'give a list of tokens');
  return given;
}

function readConfig(given: OutboxRelayConfig): OutboxRelayConfig {
  const { stream, maxLength, destination } = check.options(given, FIELDS);
  checkMoving(check, given);
  if (stream !== undefined) check.name('stream', stream);
  if (stream !== undefined && destination !== undefined) {
    check.failAs('destination', '(object)', 'leave it out, or the stream');
  }
  if (stream === undefined && maxLength !== undefined) {
    check.fail(
      'maxLength',
      maxLength,
      'it bounds the stream that the events are appended to; name the stream, or leave it out',
    );
  }
  check.integer('maxLength', maxLength, 0, 1);
  if (destination !== undefined) checkDestination(check, destination);
  return given;
}

async function hosted(moduleRef: ModuleRef, guard: CacheGuard, config: OutboxRelayConfig): Promise<OutboxRelay> {
  const there = { strict: false };
  const settings = moduleRef.get<Settings>(SETTINGS, there);
  const clock = moduleRef.get<Clock>(CLOCK, there);
  const ids = moduleRef.get<Ids>(IDS, there);
  const store = moduleRef.get<Store>(STORE, there);
  const { outbox, query, every, batch } = config;
  const { destination, close } = await destinationOf(config, settings, clock, guard);
  const duties = new Duties({ store, ids, keeper: new LeaseKeeper(store, clock) });
  const source = `outbox ${outbox.table}`;
  return new HostedRelay(
    {
      outbox,
      query,
      destination,
      clock,
      every,
      batch,
      alone: (work) => duties.run(source, work),
      reports: {
        lag: (lagMs) => guard.events.report({ type: 'event-lag', source, lagMs }),
        deadLettered: (_event, reason) => guard.events.report({ type: 'dead-letter', source, reason }),
        trouble: (error) => guard.events.report({ type: 'event-source-error', source, error }),
      },
    },
    close,
  );
}

/** Runs with the application. It ends before the guard and the application's own connections do, which are ended in later hooks. */
class HostedRelay extends OutboxRelay implements OnApplicationBootstrap, BeforeApplicationShutdown {
  constructor(
    options: ConstructorParameters<typeof OutboxRelay>[0],
    private readonly closeDestination: () => void,
  ) {
    super(options);
  }

  onApplicationBootstrap(): void {
    this.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.close();
    this.closeDestination();
  }
}

async function destinationOf(
  { stream, maxLength, destination }: OutboxRelayConfig,
  { connect, commandTimeoutMs }: Settings,
  clock: Clock,
  guard: CacheGuard,
): Promise<{ readonly destination: EventDestination; readonly close: () => void }> {
  const nothing = () => {};
  if (stream === undefined) {
    return {
      destination: destination ?? new InProcessDestination((events) => guard.events.publishAll(events)),
      close: nothing,
    };
  }
  if (!connect)
    check.fail('stream', stream, 'the module has no Redis; leave it out, and events are published in this process');
  const { StreamPublisher } = await import('../../adapters/redis/stream/stream-publisher.js').catch(explainMissingPeer);
  const publisher = new StreamPublisher({ connect, clock, commandTimeoutMs });
  return {
    destination: { append: (events) => publisher.append(stream, events, maxLength === undefined ? {} : { maxLength }) },
    close: () => publisher.close(),
  };
}

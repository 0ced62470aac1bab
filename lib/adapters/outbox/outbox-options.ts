import type { Clock } from '../../core/clock.js';
import type { Duration } from '../../core/durations.js';
import type { EventDestination, RefusedEvent } from '../../core/event-destination.js';
import type { EventSink } from '../../core/event-source.js';
import { OptionsChecker } from '../../core/field-checker.js';
import type { RunSql } from './sql-dialect.js';
import type { SqlOutbox } from './sql-outbox.js';

export interface OutboxRelayOptions {
  readonly outbox: SqlOutbox;
  /** Runs a statement outside of any transaction of the application. */
  readonly query: RunSql;
  readonly destination: EventDestination;
  readonly clock: Clock;
  /** How often the table is looked at when nobody calls `nudge`. Default `'1s'`. */
  readonly every?: Duration;
  /** Rows that are read and sent at a time, 1 to 1,000. Default 100. */
  readonly batch?: number;
  /**
   * Runs the work if nobody else in the fleet does; its signal says that somebody else may have begun. Default: always. Two at once send
   * some events twice, which is harmless.
   */
  readonly alone?: (work: (signal: AbortSignal) => Promise<void>) => Promise<unknown>;
  /** Told of how old the oldest row is, of rows that were set aside, and of what failed. */
  readonly reports?: Pick<EventSink, 'lag' | 'deadLettered' | 'trouble'>;
}

type Moving = Pick<OutboxRelayOptions, 'outbox' | 'query' | 'every' | 'batch'>;

const FIELDS = [
  'outbox',
  'query',
  'destination',
  'clock',
  'every',
  'batch',
  'alone',
  'reports',
] satisfies (keyof OutboxRelayOptions)[];

const check: OptionsChecker = new OptionsChecker('OutboxRelay');

/** What an application's relay and one by hand have in common. @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
export function checkMoving(
  by: OptionsChecker,
  { outbox, query, every, batch }: Moving,
): { everyMs: number; batch: number } {
  by.able('outbox', outbox, ['read', 'remove', 'setAside', 'counts'], 'give a SqlOutbox');
  by.needFn('query', query, '(sql, params) that runs a statement');
  return {
    everyMs: by.duration('every', every, 1_000, 1),
    batch: by.integer('batch', batch, 100, 1, 1_000),
  };
}

export function checkDestination(by: OptionsChecker, destination: EventDestination): void {
  by.able('destination', destination, ['append'], 'give an object with append(events)');
}

/** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
export function readRelay(given: OutboxRelayOptions): { everyMs: number; batch: number } {
  const { destination, clock, alone, reports } = check.options(given, FIELDS);
  const moving = checkMoving(check, given);
  checkDestination(check, destination);
  check.able('clock', clock, ['monotonic', 'wall', 'schedule'], 'give the clock of the application');
  if (alone !== undefined) check.needFn('alone', alone, '(work) that runs the work');
  for (const field of ['lag', 'deadLettered', 'trouble'] as const) {
    if (reports !== undefined) check.needFn(`reports.${field}`, reports?.[field], 'that is told');
  }
  return moving;
}

/** What a destination has answered about `count` events. @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
export function readRefusals(given: unknown, count: number): readonly RefusedEvent[] {
  if (given === undefined) return [];
  const list = Array.isArray(given) ? (given as readonly Partial<RefusedEvent>[]) : [{}];
  const known = (index: unknown) => Number.isInteger(index) && (index as number) >= 0 && (index as number) < count;
  if (!list.every((one) => known(one?.index) && typeof one.reason === 'string')) {
    check.fail(
      'destination.append',
      given,
      'let it give nothing, or a list of { index, reason } of the events that it refuses',
    );
  }
  return list as readonly RefusedEvent[];
}

/** The query function did not do what it is for: rows come without their position, or deletions have no effect. */
export function stuck(): never {
  return check.failAs(
    'query',
    'a function that leaves rows where they are',
    'let it delete what it is told to, and give rows by the names of their columns',
  );
}

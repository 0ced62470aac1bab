import { randomUUID } from 'node:crypto';
import { readEvent, type DomainEvent, type PublishedEvent } from '../../core/domain-event.js';
import { CacheGuardError, describeValue } from '../../core/errors.js';
import { isRecord } from '../../core/field-checker.js';
import {
  dialectOf,
  outboxCheck,
  rowsOf,
  tableParts,
  type Dialect,
  type RunSql,
  type SqlDialect,
} from './sql-dialect.js';

/** What is published through an outbox: an event whose data JSON can hold. An id and the time are made where they are left out. */
export type OutboxEvent = Omit<PublishedEvent, 'id'> & { readonly id?: string };

export interface SqlOutboxOptions {
  readonly dialect: SqlDialect;
  /** Perhaps with a schema before it, `bank.outbox`. Default `'cache_guard_outbox'`. */
  readonly table?: string;
  /** Ids for events that have none; unique with the event's source. Default: random UUIDs. */
  readonly newId?: () => string;
  /** Milliseconds since the Unix epoch. Default: the machine's clock. */
  readonly now?: () => number;
}

/** A row that waits; the event or why it is none. */
export interface OutboxRow {
  /** As the driver gives it; handed back as it is. */
  readonly position: unknown;
  readonly queuedMs: number;
  readonly event: DomainEvent | { readonly malformed: string };
}

export interface OutboxCounts {
  /** Rows that are still to be sent. */
  readonly waiting: number;
  /** Rows that were set aside. */
  readonly dead: number;
  /** When the oldest that waits was queued, by the clock of whoever queued it; `undefined` when none waits. */
  readonly oldestMs: number | undefined;
}

const FIELDS = ['dialect', 'table', 'newId', 'now'] satisfies (keyof SqlOutboxOptions)[];

/** How many rows one `insert` brings. */
const ROWS_PER_INSERT = 100;
const MAX_CHARACTERS = 262_144;
const MAX_REASON = 500;

/** Events kept in a table of the database that the data are in, so that they are written with the data or not at all. */
export class SqlOutbox {
  readonly table: string;
  private readonly dialect: Dialect;
  private readonly quoted: string;
  private readonly index: string;
  private readonly newId: () => string;
  private readonly now: () => number;

  /** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
  constructor(options: SqlOutboxOptions) {
    const { dialect, table = 'cache_guard_outbox', newId, now } = outboxCheck.options(options, FIELDS);
    if (newId !== undefined) outboxCheck.needFn('newId', newId, '() that gives a text');
    if (now !== undefined) outboxCheck.needFn('now', now, '() that gives milliseconds');
    this.dialect = dialectOf(dialect);
    const parts = tableParts(table);
    const quote = (name: string): string => `${this.dialect.quote}${name}${this.dialect.quote}`;
    this.table = table;
    this.quoted = parts.map(quote).join('.');
    this.index = quote(`${parts.at(-1)}_waiting`);
    this.newId = newId ?? randomUUID;
    this.now = now ?? Date.now;
  }

  /** The statements that make the table, if it is not there; for your migrations. */
  schema(): readonly string[] {
    return this.dialect.schema(this.quoted, this.index);
  }

  /**
   * Writes events by the statements of an open transaction: they are sent if it commits, in the order in which they were written.
   *
   * @param run runs a statement within the transaction
   * @returns the events as they were written, with their ids and times
   * @throws CacheGuardError (`CG_UNENCODABLE`, `CG_INVALID_OPTIONS`) before anything was written; what `run` throws
   */
  async publish(run: RunSql, events: OutboxEvent | readonly OutboxEvent[]): Promise<DomainEvent[]> {
    outboxCheck.needFn('run', run, '(sql, params) that runs a statement in the transaction');
    const now = this.now();
    if (!isTime(now)) outboxCheck.failAs('now()', describeValue(now), 'let it give milliseconds since the Unix epoch');
    const made = (Array.isArray(events) ? (events as readonly OutboxEvent[]) : [events as OutboxEvent]).map((event) =>
      this.written(event, now),
    );
    for (let from = 0; from < made.length; from += ROWS_PER_INSERT) {
      const some = made.slice(from, from + ROWS_PER_INSERT);
      const rows = some.map((_, i) => `(${this.marks(2, 2 * i)})`).join(', ');
      const params = some.flatMap(({ text }) => [text, now]);
      await run(`insert into ${this.quoted} (event, queued_ms) values ${rows}`, params);
    }
    return made.map(({ event }) => event);
  }

  /** The first rows that wait. What commits late with an earlier position comes first the next time. */
  async read(run: RunSql, most: number): Promise<OutboxRow[]> {
    const rows = rowsOf(
      await run(
        `select position, event, queued_ms from ${this.quoted} where state = 'waiting' order by position limit ${Math.trunc(most)}`,
        [],
      ),
    );
    return rows.map(({ position, event, queued_ms }) => ({
      position,
      queuedMs: Number(queued_ms),
      event: readText(event),
    }));
  }

  /** Takes rows away by their positions, and no others: what was committed in between is still to be sent. */
  async remove(run: RunSql, positions: readonly unknown[]): Promise<void> {
    if (positions.length === 0) return;
    await run(`delete from ${this.quoted} where position in (${this.marks(positions.length)})`, positions);
  }

  /** Keeps a row, with the reason why it will not be sent. */
  async setAside(run: RunSql, position: unknown, reason: string): Promise<void> {
    const [first, second] = [this.mark(1), this.mark(2)];
    await run(`update ${this.quoted} set state = 'dead', reason = ${first} where position = ${second}`, [
      reason.slice(0, MAX_REASON),
      position,
    ]);
  }

  /** Counts the rows, which takes as long as there are many. */
  async counts(run: RunSql): Promise<OutboxCounts> {
    const rows = rowsOf(
      await run(`select state, count(*) as many, min(queued_ms) as oldest from ${this.quoted} group by state`, []),
    );
    const of = (state: string) => rows.find((row) => row['state'] === state);
    const oldest = of('waiting')?.['oldest'];
    return {
      waiting: Number(of('waiting')?.['many'] ?? 0),
      dead: Number(of('dead')?.['many'] ?? 0),
      oldestMs: oldest === undefined || oldest === null ? undefined : Number(oldest),
    };
  }

  private written(given: OutboxEvent, now: number): { readonly event: DomainEvent; readonly text: string } {
    const event = readEvent(
      isRecord(given) ? { ...given, id: given.id ?? this.id(), time: given.time ?? new Date(now) } : given,
    );
    if ('malformed' in event) refuse(event.malformed);
    let text: string;
    try {
      text = JSON.stringify(event);
    } catch (cause) {
      refuse('its data cannot be written as JSON; give plain objects, lists, texts and numbers', cause);
    }
    if (text.length > MAX_CHARACTERS) {
      refuse(`it has more than ${MAX_CHARACTERS} characters as JSON; name what changed instead of sending it along`);
    }
    return { event, text };
  }

  private id(): string {
    const id: unknown = this.newId();
    return typeof id === 'string' && id !== ''
      ? id
      : outboxCheck.fail('newId()', id, 'let it give a text that is not empty');
  }

  private marks(count: number, before = 0): string {
    return Array.from({ length: count }, (_, i) => this.mark(before + i + 1)).join(', ');
  }

  private mark(number: number): string {
    return this.dialect.numbered ? `$${number}` : '?';
  }
}

/** Beyond that there is no date. */
function isTime(ms: unknown): boolean {
  return typeof ms === 'number' && !Number.isNaN(new Date(ms).getTime());
}

function readText(text: unknown): OutboxRow['event'] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(String(text));
  } catch {
    // The parser's message quotes from the text.
    return { malformed: 'the row does not hold JSON' };
  }
  return readEvent(parsed);
}

function refuse(why: string, cause?: unknown): never {
  throw new CacheGuardError('CG_UNENCODABLE', `SqlOutbox: an event is refused: ${why}.`, { field: 'events', cause });
}

import { CacheGuardConfigError } from '../../core/errors.js';
import { OptionsChecker } from '../../core/field-checker.js';

export type SqlDialect = 'postgres' | 'mysql' | 'sqlite';

export const outboxCheck: OptionsChecker = new OptionsChecker('SqlOutbox');

/**
 * Runs one statement with its parameters: `$1`, `$2` … for Postgres, `?` for the others. What a `select` gives is either the rows, or an
 * object that has them as `rows`; what other statements give does not matter.
 */
export type RunSql = (sql: string, params: readonly unknown[]) => unknown;

/** What differs between databases. */
export interface Dialect {
  readonly quote: '"' | '`';
  readonly numbered: boolean;
  /** @param table quoted; `index` likewise */
  schema(table: string, index: string): readonly string[];
}

const DIALECTS: Readonly<Record<SqlDialect, Dialect>> = {
  postgres: {
    quote: '"',
    numbered: true,
    schema: (table, index) => [
      `create table if not exists ${table} (position bigint generated always as identity primary key, ` +
        `event text not null, queued_ms bigint not null, state varchar(8) not null default 'waiting', reason text)`,
      `create index if not exists ${index} on ${table} (state, position)`,
    ],
  },
  mysql: {
    quote: '`',
    numbered: false,
    schema: (table, index) => [
      `create table if not exists ${table} (position bigint not null auto_increment primary key, ` +
        `event longtext not null, queued_ms bigint not null, state varchar(8) not null default 'waiting', reason text, ` +
        // Not the server's defaults, which may be without transactions, or without most of the world's letters.
        `key ${index} (state, position)) engine = InnoDB default charset = utf8mb4`,
    ],
  },
  sqlite: {
    quote: '"',
    numbered: false,
    schema: (table, index) => [
      `create table if not exists ${table} (position integer primary key autoincrement, ` +
        `event text not null, queued_ms integer not null, state text not null default 'waiting', reason text)`,
      `create index if not exists ${index} on ${table} (state, position)`,
    ],
  },
};

/** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
export function dialectOf(given: unknown): Dialect {
  if (typeof given === 'string' && Object.hasOwn(DIALECTS, given)) return DIALECTS[given as SqlDialect];
  return outboxCheck.fail('dialect', given, `use one of ${Object.keys(DIALECTS).join(', ')}`);
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,47}$/;

/** The parts of a table's name, perhaps with that of its schema before it. They become part of statements, hence the strictness. */
export function tableParts(given: unknown): readonly string[] {
  const parts = typeof given === 'string' ? given.split('.') : [];
  if (parts.length >= 1 && parts.length <= 2 && parts.every((part) => NAME.test(part))) return parts;
  return outboxCheck.fail(
    'table',
    given,
    'give up to 48 letters, digits and _, perhaps with a schema and a point before them',
  );
}

/** The rows of an answer, whichever way the driver gives them. @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
export function rowsOf(answer: unknown): readonly Readonly<Record<string, unknown>>[] {
  const rows = Array.isArray(answer) ? answer : (answer as { rows?: unknown } | null | undefined)?.rows;
  const isRow = (row: unknown) => typeof row === 'object' && row !== null && !Array.isArray(row);
  if (Array.isArray(rows) && rows.every(isRow)) return rows as Record<string, unknown>[];
  throw new CacheGuardConfigError(
    'CG_INVALID_OPTIONS',
    'SqlOutbox: query has given no rows; let it give the list of rows by the names of their columns, or an object that has them as rows.',
    { field: 'query' },
  );
}

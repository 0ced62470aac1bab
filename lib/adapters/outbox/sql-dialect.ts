import { CacheGuardConfigError, describeValue } from '../../core/errors.js';

export type SqlDialect = 'postgres' | 'mysql' | 'sqlite';

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
        `key ${index} (state, position))`,
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
  throw refused('dialect', given, `use one of ${Object.keys(DIALECTS).join(', ')}`);
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,47}$/;

/** The parts of a table's name, perhaps with that of its schema before it. They become part of statements, hence the strictness. */
export function tableParts(given: unknown): readonly string[] {
  const parts = typeof given === 'string' ? given.split('.') : [];
  if (parts.length >= 1 && parts.length <= 2 && parts.every((part) => NAME.test(part))) return parts;
  throw refused('table', given, 'give up to 48 letters, digits and _, perhaps with a schema and a point before them');
}

export function refused(field: string, value: unknown, mend: string): CacheGuardConfigError {
  return new CacheGuardConfigError(
    'CG_INVALID_OPTIONS',
    `SqlOutbox: ${field} = ${describeValue(value)} is refused; ${mend}.`,
    { field },
  );
}

/** The rows of an answer, whichever way the driver gives them. */
export function rowsOf(answer: unknown): readonly Readonly<Record<string, unknown>>[] {
  const rows = Array.isArray(answer) ? answer : (answer as { rows?: unknown } | null | undefined)?.rows;
  if (Array.isArray(rows)) return rows as Record<string, unknown>[];
  throw new TypeError('The query function gave no rows; give the list of rows, or an object that has them as rows.');
}

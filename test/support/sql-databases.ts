import { setTimeout as sleep } from 'node:timers/promises';
import { createPool, type Pool as MySqlPool, type PoolConnection, type RowDataPacket } from 'mysql2/promise';
import sqlite, { type Database, type JSValue } from 'node-sqlite3-wasm';
import { Pool as PostgresPool } from 'pg';

/** What the tests do with any database. */
export interface SqlDatabase {
  readonly query: <Row extends object>(sql: string, params?: readonly unknown[]) => Promise<Row[]>;
  /** Commits when `work` resolves, rolls back when it rejects. */
  transaction<T>(work: (query: SqlDatabase['query']) => Promise<T>): Promise<T>;
}

export interface OpenDatabase {
  readonly query: SqlDatabase['query'];
  close(): Promise<void>;
}

/** Where a database is; can be sent to another process. */
export type DatabasePlace =
  /** The folder of the socket. */
  | { readonly dialect: 'postgres'; readonly folder: string }
  /** `prepared`: the server puts the parameters in, and not the driver. */
  | { readonly dialect: 'mysql'; readonly port: number; readonly database: string; readonly prepared?: boolean }
  | { readonly dialect: 'sqlite'; readonly file: string };

export function openDatabase(place: DatabasePlace): OpenDatabase {
  if (place.dialect === 'mysql') return new MySqlDatabase(place);
  if (place.dialect === 'sqlite') return new SqliteDatabase(place.file);
  const pool = new PostgresPool({ host: place.folder, user: 'postgres', max: 1 });
  return {
    query: async <Row extends object>(sql: string, params: readonly unknown[] = []) =>
      (await pool.query<Row>(sql, [...params])).rows,
    close: () => pool.end(),
  };
}

/** MySQL or MariaDB on a loopback port, by mysql2. */
export class MySqlDatabase implements SqlDatabase, OpenDatabase {
  private readonly pool: MySqlPool;
  private readonly prepared: boolean;

  constructor(place: { readonly port: number; readonly database?: string; readonly prepared?: boolean }) {
    const { port, database, prepared = false } = place;
    this.pool = createPool({
      host: '127.0.0.1',
      port,
      user: 'root',
      connectionLimit: 8,
      ...(database && { database }),
    });
    this.prepared = prepared;
  }

  query = <Row extends object>(sql: string, params: readonly unknown[] = []): Promise<Row[]> =>
    this.run(this.pool, sql, params);

  async transaction<T>(work: (query: SqlDatabase['query']) => Promise<T>): Promise<T> {
    const connection = await this.pool.getConnection();
    try {
      await connection.beginTransaction();
      const result = await work((sql, params = []) => this.run(connection, sql, params));
      await connection.commit();
      return result;
    } catch (error) {
      await connection.rollback();
      throw error;
    } finally {
      connection.release();
    }
  }

  close = (): Promise<void> => this.pool.end();

  /** The driver gives rows together with a description of their columns. */
  private async run<Row extends object>(
    on: MySqlPool | PoolConnection,
    sql: string,
    params: readonly unknown[],
  ): Promise<Row[]> {
    const given = [...params] as string[];
    const [rows] = await (this.prepared
      ? on.execute<RowDataPacket[]>(sql, given)
      : on.query<RowDataPacket[]>(sql, given));
    return rows as Row[];
  }
}

/**
 * SQLite in a file, by two connections: what runs outside of a transaction must not become part of the one that is open. Transactions come
 * one after the other.
 */
export class SqliteDatabase implements SqlDatabase, OpenDatabase {
  private readonly plain: Database;
  private readonly transacting: Database;
  private last: Promise<unknown> = Promise.resolve();

  constructor(file: string) {
    this.plain = new sqlite.Database(file);
    this.transacting = new sqlite.Database(file);
  }

  query = async <Row extends object>(sql: string, params: readonly unknown[] = []): Promise<Row[]> =>
    whenFree(() => run<Row>(this.plain, sql, params));

  transaction<T>(work: (query: SqlDatabase['query']) => Promise<T>): Promise<T> {
    const turn = this.last.then(() => this.transact(work));
    this.last = turn.catch(() => {});
    return turn;
  }

  async close(): Promise<void> {
    await this.last;
    this.plain.close();
    this.transacting.close();
  }

  private async transact<T>(work: (query: SqlDatabase['query']) => Promise<T>): Promise<T> {
    await whenFree(() => this.transacting.exec('begin immediate'));
    try {
      const result = await work(async (sql, params = []) => run(this.transacting, sql, params));
      this.transacting.exec('commit');
      return result;
    } catch (error) {
      this.transacting.exec('rollback');
      throw error;
    }
  }
}

/** Waits, for 5 s at most, while another connection or process has the file to itself; the driver would block this whole process. */
async function whenFree<T>(work: () => T): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return work();
    } catch (error) {
      if (!/database is locked/.test(String(error)) || tries === 1_000) throw error;
      await sleep(5);
    }
  }
}

function run<Row extends object>(on: Database, sql: string, params: readonly unknown[]): Row[] {
  return on.all(sql, [...params] as JSValue[]) as Row[];
}

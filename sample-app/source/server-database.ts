import { Pool, type PoolConfig } from 'pg';
import { Database, type Query } from './database.js';

/** A Postgres server, by node-postgres. */
export class ServerDatabase extends Database {
  private readonly pool: Pool;

  private constructor(
    readonly label: string,
    config: PoolConfig,
  ) {
    super();
    this.pool = new Pool({ max: 8, connectionTimeoutMillis: 5_000, ...config });
    // An idle connection that breaks is replaced at the next query; unheard, its error would end the process.
    this.pool.on('error', () => {});
  }

  /** @throws what the driver throws when the server cannot be reached */
  static async connect(label: string, config: PoolConfig): Promise<ServerDatabase> {
    const database = new ServerDatabase(label, config);
    try {
      await database.query('select 1');
    } catch (error) {
      await database.close();
      throw error;
    }
    return database;
  }

  async query<Row extends object>(sql: string, params: readonly unknown[] = []): Promise<Row[]> {
    const { rows } = await this.pool.query<Row>(sql, [...params]);
    return rows;
  }

  async transaction<T>(work: (query: Query) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    let broken: Error | undefined;
    // As with idle connections: the statement that is under way fails by itself.
    const lost = (error: Error) => (broken = error);
    client.on('error', lost);
    try {
      await client.query('begin');
      const result = await work(async <Row extends object>(sql: string, params: readonly unknown[] = []) => {
        const { rows } = await client.query<Row>(sql, [...params]);
        return rows;
      });
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch((cause: Error) => (broken = cause));
      throw error;
    } finally {
      client.off('error', lost);
      client.release(broken);
    }
  }

  async run(script: string): Promise<void> {
    await this.pool.query(script);
  }

  async close(): Promise<void> {
    await this.pool.end();
  }
}

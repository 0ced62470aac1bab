import { PGlite } from '@electric-sql/pglite';
import { Database } from './database.js';
import { SocketServer } from './socket-server.js';

/** Postgres inside this process, in memory. */
export class EmbeddedDatabase extends Database {
  readonly label = 'embedded Postgres';
  private server: SocketServer | undefined;

  private constructor(private readonly postgres: PGlite) {
    super();
  }

  static async start(): Promise<EmbeddedDatabase> {
    return new EmbeddedDatabase(await PGlite.create());
  }

  async query<Row extends object>(sql: string, params: readonly unknown[] = []): Promise<Row[]> {
    const { rows } = await this.postgres.query<Row>(sql, [...params]);
    return rows;
  }

  async run(script: string): Promise<void> {
    await this.postgres.transaction(async (transaction) => {
      await transaction.exec(script);
    });
  }

  /**
   * Lets other processes of this machine use it as a Postgres server.
   *
   * @throws Error (`EADDRINUSE`) when another process serves the socket
   */
  async serve(socketPath: string): Promise<void> {
    this.server = await SocketServer.listen(this.postgres, socketPath);
  }

  async close(): Promise<void> {
    await this.server?.close();
    await this.postgres.close();
  }
}

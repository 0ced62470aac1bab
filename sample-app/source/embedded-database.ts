import { rmdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { Database, type Query } from './database.js';
import { SocketServer } from './socket-server.js';
import { Turns } from './turns.js';

/** Postgres inside this process, in memory. */
export class EmbeddedDatabase extends Database {
  readonly label = 'embedded Postgres';
  /** There is one session, and who has begun a transaction in it must be alone until its end. */
  private readonly turns = new Turns();
  private served: { readonly server: SocketServer; readonly folder: string } | undefined;

  private constructor(private readonly postgres: PGlite) {
    super();
  }

  static async start(): Promise<EmbeddedDatabase> {
    return new EmbeddedDatabase(await PGlite.create());
  }

  async query<Row extends object>(sql: string, params: readonly unknown[] = []): Promise<Row[]> {
    const { rows } = await this.turns.run(() => this.postgres.query<Row>(sql, [...params]));
    return rows;
  }

  async transaction<T>(work: (query: Query) => Promise<T>): Promise<T> {
    return this.turns.run(() =>
      this.postgres.transaction((open) =>
        work(async <Row extends object>(sql: string, params: readonly unknown[] = []) => {
          const { rows } = await open.query<Row>(sql, [...params]);
          return rows;
        }),
      ),
    );
  }

  async run(script: string): Promise<void> {
    await this.turns.run(() =>
      this.postgres.transaction(async (open) => {
        await open.exec(script);
      }),
    );
  }

  /**
   * Lets other processes of this machine use it as a Postgres server, by a socket in a folder of its own.
   *
   * @throws Error (`EADDRINUSE`) when another process serves the socket
   */
  async serve(socketPath: string): Promise<void> {
    this.served = {
      server: await SocketServer.listen(this.postgres, this.turns, socketPath),
      folder: dirname(socketPath),
    };
  }

  async close(): Promise<void> {
    await this.served?.server.close();
    await this.postgres.close();
    try {
      if (this.served) rmdirSync(this.served.folder);
    } catch {
      // Another process is using it already.
    }
  }
}

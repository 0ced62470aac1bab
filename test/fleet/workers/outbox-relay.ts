import 'reflect-metadata';
import { Module, type DynamicModule, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheGuardModule, outboxRelay, SqlOutbox } from 'nestjs-cache-guard';
import { Pool } from 'pg';
import { serve } from '../../support/worker-main.js';

export interface RelayWorkerOptions {
  readonly namespace: string;
  readonly redisUrl: string;
  /** The folder of the database's socket. */
  readonly database: string;
  readonly table: string;
  readonly stream: string;
  readonly batch: number;
  /** Before which delete the process stops for ever, from 1; left out: before none. */
  readonly stopsBefore?: number;
}

@Module({})
class RelayApp {
  static of(options: RelayWorkerOptions, pool: Pool): DynamicModule {
    const { namespace, redisUrl, table, stream, batch, stopsBefore } = options;
    let deletes = 0;
    const query = async (sql: string, params: readonly unknown[]): Promise<object[]> => {
      if (sql.startsWith('delete') && ++deletes === stopsBefore) {
        sent();
        await new Promise(() => {});
      }
      return (await pool.query<object>(sql, [...params])).rows;
    };
    const outbox = new SqlOutbox({ dialect: 'postgres', table });
    return {
      module: RelayApp,
      imports: [CacheGuardModule.forRoot({ namespace, redisUrl })],
      providers: [outboxRelay({ outbox, query, stream, batch, every: '50ms' })],
    };
  }
}

let app: INestApplicationContext | undefined;
let pool: Pool | undefined;
let sent = (): void => {};
const stopped = new Promise<void>((resolve) => (sent = resolve));

serve({
  async boot(options: RelayWorkerOptions) {
    pool = new Pool({ host: options.database, user: 'postgres', max: 1 });
    app = await NestFactory.createApplicationContext(RelayApp.of(options, pool), { logger: false });
  },
  /** Resolves when the process has sent a batch and stands before the delete. */
  stopped: () => stopped,
  async close() {
    await app?.close();
    await pool?.end();
  },
});

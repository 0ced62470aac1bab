import 'reflect-metadata';
import { Module, type DynamicModule, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheGuardModule, outboxRelay, SqlOutbox } from 'nestjs-cache-guard';
import { openDatabase, type DatabasePlace, type OpenDatabase } from '../../support/sql-databases.js';
import { serve } from '../../support/worker-main.js';

export interface RelayWorkerOptions {
  readonly namespace: string;
  readonly redisUrl: string;
  readonly database: DatabasePlace;
  readonly table: string;
  readonly stream: string;
  readonly batch: number;
  /** Before which delete the process stops for ever, from 1; left out: before none. */
  readonly stopsBefore?: number;
}

@Module({})
class RelayApp {
  static of(options: RelayWorkerOptions, opened: OpenDatabase): DynamicModule {
    const { namespace, redisUrl, database, table, stream, batch, stopsBefore } = options;
    let deletes = 0;
    const query = async (sql: string, params: readonly unknown[]): Promise<object[]> => {
      if (sql.startsWith('delete') && ++deletes === stopsBefore) {
        sent();
        await new Promise(() => {});
      }
      return opened.query(sql, params);
    };
    const outbox = new SqlOutbox({ dialect: database.dialect, table });
    return {
      module: RelayApp,
      imports: [CacheGuardModule.forRoot({ namespace, redisUrl })],
      providers: [outboxRelay({ outbox, query, stream, batch, every: '50ms' })],
    };
  }
}

let app: INestApplicationContext | undefined;
let opened: OpenDatabase | undefined;
let sent = (): void => {};
const stopped = new Promise<void>((resolve) => (sent = resolve));

serve({
  async boot(options: RelayWorkerOptions) {
    opened = openDatabase(options.database);
    app = await NestFactory.createApplicationContext(RelayApp.of(options, opened), { logger: false });
  },
  /** Resolves when the process has sent a batch and stands before the delete. */
  stopped: () => stopped,
  async close() {
    await app?.close();
    await opened?.close();
  },
});

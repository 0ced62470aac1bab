import { Module, type DynamicModule } from '@nestjs/common';
import type { SampleConfig } from '../config.js';
import { SAMPLE_CONFIG } from '../tokens.js';
import { Database } from './database.js';
import { openDatabase } from './open-database.js';
import { setUp } from './schema.js';
import { SourceController } from './source.controller.js';
import { Source } from './source.js';

/** The bank's source, for all bounded contexts. */
@Module({})
export class SourceModule {
  /** @param given a database to use instead of what the configuration names */
  static register(config: SampleConfig, given?: Database): DynamicModule {
    return {
      module: SourceModule,
      global: true,
      controllers: [SourceController],
      providers: [
        { provide: SAMPLE_CONFIG, useValue: config },
        {
          provide: Database,
          useFactory: async () => {
            const database = given ?? (await openDatabase(config));
            await setUp(database);
            return database;
          },
        },
        Source,
      ],
      exports: [SAMPLE_CONFIG, Database, Source],
    };
  }
}

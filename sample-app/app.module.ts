import { Module, type DynamicModule, type FactoryProvider, type OnApplicationShutdown } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { CacheGuard, CacheGuardModule } from 'nestjs-cache-guard';
import { cardsPolicy } from './cards/cards.policy.js';
import type { SampleConfig } from './config.js';
import { DashboardModule } from './dashboard/dashboard.module.js';
import { UnavailableFilter } from './http/unavailable.filter.js';
import { Database } from './source/database.js';
import { identityOf } from './source/schema.js';
import { SourceModule } from './source/source.module.js';
import { Source } from './source/source.js';

/** Ends the database last: loads that the guard still lets land need it. */
const closeDatabase: FactoryProvider<OnApplicationShutdown> = {
  provide: Symbol('close database'),
  inject: [CacheGuard, Database],
  useFactory: (cache: CacheGuard, database: Database) => ({
    onApplicationShutdown: async () => {
      await cache.close();
      await database.close();
    },
  }),
};

@Module({})
export class AppModule {
  /** @param database as `AppParts` has it */
  static register(config: SampleConfig, database?: Database): DynamicModule {
    return {
      module: AppModule,
      imports: [
        SourceModule.register(config, database),
        CacheGuardModule.forRootAsync({
          inject: [Database, Source],
          useFactory: async (source: Database, probed: Source) => ({
            namespace: config.namespace ?? `bank-dashboard-${await identityOf(source)}`,
            ...(config.redisUrl ? { redisUrl: config.redisUrl } : {}),
            domains: cardsPolicy(probed),
          }),
        }),
        DashboardModule,
      ],
      providers: [{ provide: APP_FILTER, useClass: UnavailableFilter }, ...(database ? [] : [closeDatabase])],
    };
  }
}

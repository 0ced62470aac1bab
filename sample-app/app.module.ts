import { Module, type DynamicModule, type FactoryProvider, type OnApplicationShutdown } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { CacheGuard, CacheGuardModule } from 'nestjs-cache-guard';
import { cardsRules } from './cards/cards.events.js';
import { cardsPolicy } from './cards/cards.policy.js';
import type { SampleConfig } from './config.js';
import { DashboardModule } from './dashboard/dashboard.module.js';
import { EventJournal } from './events/event-journal.js';
import { namespaceOf, sourcesOf, streamOf } from './events/event-stream.js';
import { EventsModule } from './events/events.module.js';
import { principalOf } from './http/customer.js';
import { UnavailableFilter } from './http/unavailable.filter.js';
import { offersRules } from './offers/offers.events.js';
import { offersPolicy } from './offers/offers.policy.js';
import { Database } from './source/database.js';
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
          inject: [Database, Source, EventJournal],
          useFactory: async (source: Database, probed: Source, journal: EventJournal) => ({
            namespace: await namespaceOf(config, source),
            ...(config.redisUrl ? { redisUrl: config.redisUrl } : {}),
            principal: principalOf,
            domains: { ...cardsPolicy(probed), ...offersPolicy(probed) },
            events: {
              rules: [...cardsRules, ...offersRules],
              sources: sourcesOf(await streamOf(config, source), journal),
            },
          }),
        }),
        EventsModule,
        DashboardModule,
      ],
      providers: [{ provide: APP_FILTER, useClass: UnavailableFilter }, ...(database ? [] : [closeDatabase])],
    };
  }
}

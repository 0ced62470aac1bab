import { Module, type DynamicModule } from '@nestjs/common';
import { Redis } from 'ioredis';
import { CacheGuardModule } from 'nestjs-cache-guard';
import { GuardedItems, GuardedService } from './guarded-items.js';
import type { Sizes } from './options.js';
import { OriginClient } from './origin-client.js';
import { freshForMs, policies } from './policies.js';
import { UnguardedItems } from './unguarded-items.js';

/** What a process of the fleet is told when it is started. */
export interface ProcessConfig extends Sizes {
  readonly redisUrl: string;
  readonly originPort: number;
}

@Module({})
export class DemoModule {
  static register(config: ProcessConfig): DynamicModule {
    return {
      module: DemoModule,
      imports: [
        CacheGuardModule.forRoot({
          namespace: 'stampede-demo',
          redisUrl: config.redisUrl,
          domains: policies(config),
        }),
      ],
      providers: [
        { provide: OriginClient, useFactory: () => new OriginClient(config.originPort) },
        GuardedService,
        GuardedItems,
        {
          provide: UnguardedItems,
          inject: [OriginClient],
          useFactory: (origin: OriginClient) =>
            new UnguardedItems(new Redis(config.redisUrl), origin, freshForMs(config)),
        },
      ],
    };
  }
}

import 'reflect-metadata';
import { Inject, Injectable, Module, type DynamicModule, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Cached, CacheGuard, CacheGuardModule, Follows, loadContext, type DomainEvent } from 'nestjs-cache-guard';
import { serve } from '../../support/worker-main.js';
import type { Quote, RefresherOptions } from '../support/protocol.js';

const OPTIONS = Symbol('options');

type Moved = DomainEvent<{ readonly id: string }>;

/** Rates that are loaded again when they have moved. */
@Injectable()
class Rates {
  constructor(@Inject(OPTIONS) private readonly options: RefresherOptions) {}

  @Follows({ on: 'rate.moved', args: ({ data }: Moved) => [data.id], action: 'refresh' })
  @Cached({ domain: 'rates', key: (id: string) => id })
  async read(id: string): Promise<Quote> {
    const { origin, name } = this.options;
    const response = await fetch(`${origin}/${id}?process=${name}`, { signal: loadContext().signal });
    return (await response.json()) as Quote;
  }
}

@Module({})
class AppModule {
  static of(options: RefresherOptions): DynamicModule {
    const { namespace, redisUrl, role } = options;
    const policy = {
      freshness: 'operational',
      softTtl: '5m',
      hardTtl: '10m',
      stalePolicy: 'while-revalidate',
      loadTimeout: '20s',
      lease: { duration: '800ms' },
    } as const;
    return {
      module: AppModule,
      imports: [CacheGuardModule.forRoot({ namespace, redisUrl, role, domains: { rates: policy } })],
      providers: [{ provide: OPTIONS, useValue: options }, Rates],
    };
  }
}

let context: INestApplicationContext | undefined;
let lastId = 0;

serve({
  boot: async (options: RefresherOptions): Promise<void> => {
    context = await NestFactory.createApplicationContext(AppModule.of(options), { logger: false });
  },

  close: () => context?.close(),

  read: (id: string): Promise<Quote> => context!.get(Rates).read(id),

  /** Whether what is cached is fresh, and as of which version. */
  peek: async (id: string) => {
    const peeked = await context!.get(CacheGuard).peek<Quote>({ domain: 'rates', key: id });
    return peeked && { state: peeked.state, version: peeked.value.version };
  },

  publish: (id: string) =>
    context!.get(CacheGuard).events.publish({
      id: `${process.pid}-${++lastId}`,
      source: '/rates',
      type: 'rate.moved',
      data: { id },
    }),
});

import 'reflect-metadata';
import { Controller, Injectable, Module, type DynamicModule, type INestMicroservice, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventPattern, Transport, type MicroserviceOptions, type RmqOptions } from '@nestjs/microservices';
import {
  Cached,
  CacheGuard,
  cacheEventsController,
  CacheGuardModule,
  FeedsCache,
  type DomainEvent,
} from 'nestjs-cache-guard';
import { serve } from '../../support/worker-main.js';

export interface BrokerConsumerOptions {
  readonly namespace: string;
  readonly redisUrl: string;
  readonly pattern: string;
  readonly rabbit: RmqOptions['options'];
  readonly controller: 'handler' | 'ready-made';
  /**
   * What befalls the process: it holds the first message in its handler for ever; it dies when it has the message and has not acted on it yet,
   * or when it has acted and has not acknowledged it yet.
   */
  readonly fate?: 'holds' | 'dies-before-action' | 'dies-after-action' | undefined;
}

@Injectable()
class Offers {
  private loads = 0;

  @Cached({ domain: 'offers', key: (segment: string) => segment })
  async find(segment: string): Promise<string> {
    return `${segment}, load ${++this.loads} of process ${process.pid}`;
  }
}

const die = (): void => void process.kill(process.pid, 'SIGKILL');
let held = (): void => {};
const holding = new Promise<void>((resolve) => (held = resolve));

function controllerOf({ pattern, controller, fate }: BrokerConsumerOptions): Type {
  const toEvent = (event: DomainEvent): DomainEvent => {
    if (fate === 'dies-before-action') die();
    return event;
  };
  if (controller === 'ready-made') return cacheEventsController({ patterns: pattern, toEvent });

  @Controller()
  class OfferEvents {
    @EventPattern(pattern)
    @FeedsCache({ toEvent: (event) => toEvent(event as DomainEvent) })
    async onOffer(_event: unknown): Promise<void> {
      if (fate !== 'holds') return;
      held();
      await new Promise(() => {});
    }
  }
  return OfferEvents;
}

@Module({})
class ConsumerApp {
  static of(options: BrokerConsumerOptions): DynamicModule {
    const { namespace, redisUrl } = options;
    const root = CacheGuardModule.forRoot({
      namespace,
      redisUrl,
      domains: { offers: { freshness: 'reference', stalePolicy: 'never' } },
      events: {
        rules: [{ on: 'offer.changed', domain: 'offers', key: ({ data }) => (data as { segment: string }).segment }],
      },
    });
    return { module: ConsumerApp, imports: [root], controllers: [controllerOf(options)], providers: [Offers] };
  }
}

let app: INestMicroservice | undefined;
const outcomes: Record<string, number> = {};

serve({
  async boot(options: BrokerConsumerOptions) {
    app = await NestFactory.createMicroservice<MicroserviceOptions>(ConsumerApp.of(options), {
      logger: false,
      transport: Transport.RMQ,
      options: options.rabbit!,
    });
    app.get(CacheGuard).on((event) => {
      if (event.type !== 'domain-events') return;
      outcomes[event.outcome] = (outcomes[event.outcome] ?? 0) + event.count;
      if (event.outcome === 'applied' && options.fate === 'dies-after-action') die();
    });
    await app.init();
  },
  find: (segment: string) => app!.get(Offers).find(segment),
  /** From here on messages come. */
  listen: () => app!.listen(),
  /** Resolves when the handler has a message. */
  holding: () => holding,
  outcomes: () => outcomes,
  close: () => app?.close(),
});

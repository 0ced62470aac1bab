import 'reflect-metadata';
import { Controller, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventEmitter2, EventEmitterModule } from '@nestjs/event-emitter';
import { ClientProxyFactory, EventPattern, Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { Redis } from 'ioredis';
import {
  Cached,
  CacheGuard,
  cacheEventsController,
  CacheGuardModule,
  eventEmitter,
  FeedsCache,
  Follows,
  redisStream,
  type DomainEvent,
} from 'nestjs-cache-guard';
import { lastValueFrom } from 'rxjs';
import { baseOptions } from './offers.js';

/** What the application prints: for each way of an event, how often the method had run before and after it, and the source that told. */
export type FollowedReport = Readonly<
  Record<string, { readonly before: number; readonly after: number; readonly source: string }>
>;

const redisUrl = process.env['REDIS_URL'] ?? '';
const STREAM = `${baseOptions().namespace}:events`;
const SERVER = {
  transport: Transport.TCP,
  options: { host: '127.0.0.1', port: Number(process.env['APP_PORT']) },
} as const;

@Injectable()
class OfferService {
  private readonly loads = new Map<string, number>();

  @Cached({ domain: 'offers', key: (segment: string) => segment })
  @Follows({ on: 'offer.changed', args: ({ subject }: DomainEvent) => [String(subject)] })
  async count(segment: string): Promise<number> {
    const load = (this.loads.get(segment) ?? 0) + 1;
    this.loads.set(segment, load);
    return load;
  }
}

@Controller()
class OfferEvents {
  @EventPattern('bank.handler')
  @FeedsCache({ source: 'handler' })
  async onOffer(_event: unknown): Promise<void> {}
}

@Module({
  imports: [
    EventEmitterModule.forRoot(),
    CacheGuardModule.forRoot({
      ...baseOptions(),
      redisUrl,
      events: { sources: [redisStream({ stream: STREAM, from: 'start' }), eventEmitter()] },
    }),
  ],
  controllers: [OfferEvents, cacheEventsController({ patterns: 'bank.ready-made', source: 'ready-made' })],
  providers: [OfferService],
})
class AppModule {}

async function run(): Promise<FollowedReport> {
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(AppModule, {
    ...SERVER,
    logger: ['fatal', 'error', 'warn'],
    abortOnError: false,
  });
  const redis = new Redis(redisUrl);
  const client = ClientProxyFactory.create(SERVER);
  try {
    await app.listen();
    const [guard, offers] = [app.get(CacheGuard), app.get(OfferService)];
    const ways: Record<string, (event: DomainEvent) => unknown> = {
      publish: (event) => guard.events.publish(event),
      stream: (event) => redis.xadd(STREAM, '*', 'event', JSON.stringify(event)),
      emitter: (event) => app.get(EventEmitter2).emitAsync(event.type, event),
      handler: (event) => lastValueFrom(client.emit('bank.handler', event), { defaultValue: undefined }),
      readyMade: (event) => lastValueFrom(client.emit('bank.ready-made', event), { defaultValue: undefined }),
    };
    const report: Record<string, FollowedReport[string]> = {};
    for (const [way, send] of Object.entries(ways)) {
      const before = await offers.count(way);
      const applied = new Promise<string>((resolve) => {
        guard.on((event) => {
          if (event.type === 'domain-events' && event.outcome === 'applied') resolve(event.source);
        });
      });
      await send({ id: way, source: '/bank/offers', type: 'offer.changed', subject: way, data: {} });
      const source = await applied;
      report[way] = { before, after: await offers.count(way), source };
    }
    return report;
  } finally {
    await client.close();
    await redis.quit();
    await app.close();
  }
}

void run().then((report) => console.log(JSON.stringify(report)));

import 'reflect-metadata';
import { Inject, Injectable, Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import {
  Cached,
  CacheGuard,
  CacheGuardModule,
  redisStream,
  type CacheGuardEvent,
  type DomainEvent,
} from 'nestjs-cache-guard';
import { serve } from '../../support/worker-main.js';
import type { FollowerOptions } from '../support/stream-followers.js';

const TRUTH = Symbol('truth');

/** Offers whose truth is a hash in Redis. */
@Injectable()
class Offers {
  constructor(@Inject(TRUTH) private readonly truth: (id: string) => Promise<string | null>) {}

  @Cached({ domain: 'offers', key: (id: string) => id })
  async find(id: string): Promise<string> {
    return (await this.truth(id)) ?? 'none';
  }
}

@Module({})
class FollowerModule {}

let context: INestApplicationContext | undefined;
let redis: Redis | undefined;
let events: CacheGuardEvent[] = [];

/** Ends this process where it stands. */
function die(): never {
  for (;;) process.kill(process.pid, 'SIGKILL');
}

function dieBefore(command: string): void {
  const { sendCommand } = Object.getOwnPropertyDescriptors(Redis.prototype);
  const send = sendCommand.value as (this: Redis, ...args: readonly [{ readonly name: string }]) => unknown;
  Object.assign(Redis.prototype, {
    sendCommand(this: Redis, ...args: Parameters<typeof send>) {
      if (args[0].name.toLowerCase() === command) die();
      return send.apply(this, args);
    },
  });
}

serve({
  async boot({ namespace, url, stream, killAt }: FollowerOptions) {
    redis = new Redis(url);
    const truth = redis;
    let rules = 0;
    events = [];
    const key = (event: DomainEvent<{ id: string }>): string => {
      if (event.type === 'offer.broken') throw new Error('this event breaks its rule');
      rules++;
      if (killAt === 'received' && rules === 5) die();
      // The action is on its way then.
      if (killAt === 'acting' && rules === 5) setImmediate(() => setImmediate(die));
      return event.data.id;
    };
    if (killAt === 'done') dieBefore('xack');
    context = await NestFactory.createApplicationContext(
      {
        module: FollowerModule,
        imports: [
          CacheGuardModule.forRoot({
            namespace,
            redisUrl: url,
            domains: { offers: { freshness: 'reference', stalePolicy: 'never' } },
            events: {
              rules: [{ on: ['offer.changed', 'offer.broken'], domain: 'offers', key }],
              sources: [redisStream({ stream, claimAfter: '300ms', retryAfter: '100ms', maxTries: 3, batch: 16 })],
            },
          }),
        ],
        providers: [{ provide: TRUTH, useValue: (id: string) => truth.hget(`${namespace}:truth`, id) }, Offers],
      },
      { logger: false },
    );
    context.get(CacheGuard).on((event) => events.push(event));
  },
  find: (id: string) => context!.get(Offers).find(id),
  events: (type: CacheGuardEvent['type']) => events.filter((event) => event.type === type),
  async close() {
    await context?.close();
    redis?.disconnect();
    context = undefined;
  },
});

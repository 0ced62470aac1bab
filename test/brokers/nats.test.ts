import { connect, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { Controller } from '@nestjs/common';
import { EventPattern, Transport, type NatsContext, type NatsOptions } from '@nestjs/microservices';
import { cacheEventsController, FeedsCache } from 'nestjs-cache-guard';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { startNats, type NatsServer } from '../support/nats-server.js';
import { startRedis, until } from '../support/redis-server.js';
import { changed, startConsumer, type Consumer, type ConsumerOptions } from './support/consumer.js';

let nats: NatsServer;
let client: NatsConnection;
beforeAll(async () => {
  nats = await startNats();
  client = await connect({ servers: nats.address });
});
afterAll(async () => {
  await client?.close();
  await nats?.stop();
});

const start = async (options: Pick<ConsumerOptions, 'controllers'> & Partial<ConsumerOptions>): Promise<Consumer> => {
  const consumer = await startConsumer({
    microservice: { transport: Transport.NATS, options: { servers: [nats.address] } },
    redisUrl: inject('redisUrl'),
    namespace: uniqueNamespace('nats'),
    ...options,
  });
  // Nest does not wait until the server knows of the subscriptions; what comes before that is heard by nobody.
  await (consumer.client() as NatsConnection).flush();
  return consumer;
};

/** As Nest's client sends it. */
const emit = (pattern: string, data: unknown): void => client.publish(pattern, JSON.stringify({ pattern, data }));

/** What `@EventPattern` makes of an event is a matter of its class, so each test has one of its own. */
const reader = () => {
  @Controller()
  class OfferEvents {
    readonly seen: unknown[] = [];

    @EventPattern('bank.offers')
    @FeedsCache({ source: 'nats' })
    async onOffer(event: unknown): Promise<void> {
      this.seen.push(event);
    }
  }
  return OfferEvents;
};

describe('NATS', () => {
  test('events reach the rules through a handler of the application', async () => {
    const { offers, outcomes } = await start({ controllers: [reader()], from: 'nats' });
    expect(await offers.find('gold')).toBe('gold 1');
    emit('bank.offers', changed('1', 'gold'));
    await until('the event is applied', async () => outcomes('applied') === 1);
    expect(await offers.find('gold')).toBe('gold 2');
    emit('bank.offers', changed('1', 'gold'));
    await until('the repeat is recognised', async () => outcomes('duplicate') === 1);
    expect(await offers.find('gold')).toBe('gold 2');
  });

  test('events reach the rules through a ready-made controller, in the form that toEvent gives them', async () => {
    const ready = cacheEventsController({
      patterns: 'bank.*.v1',
      source: 'feed',
      toEvent: ({ segment, revision }: { segment: string; revision: number }, context: NatsContext) =>
        segment === 'other' ? undefined : { ...changed(`${context.getSubject()} ${revision}`, segment) },
    });
    const { offers, outcomes } = await start({ controllers: [ready], from: 'feed' });
    expect(await offers.find('gold')).toBe('gold 1');
    emit('bank.cards.v1', { segment: 'other', revision: 1 });
    emit('bank.offers.v1', { segment: 'gold', revision: 1 });
    await until('the event is applied', async () => outcomes('applied') === 1);
    expect(await offers.find('gold')).toBe('gold 2');
  });

  test('events of publishers that do not use Nest come through a deserializer', async () => {
    // As the documentation shows it: without it Nest takes the event for its own envelope, which has data and id as well.
    const options: NatsOptions['options'] = {
      servers: [nats.address],
      deserializer: {
        deserialize: (message: Msg, about) => ({
          pattern: about?.['channel'] as string,
          data: message.json<unknown>(),
        }),
      },
    };
    const { outcomes } = await start({
      controllers: [cacheEventsController({ patterns: 'bank.>' })],
      microservice: { transport: Transport.NATS, options },
    });
    client.publish('bank.offers', JSON.stringify(changed('1', 'gold')));
    await until('the event is applied', async () => outcomes('applied') === 1);
  });

  test('what is malformed is put aside, and what comes after it is applied', async () => {
    const { offers, outcomes, events } = await start({
      controllers: [
        reader(),
        cacheEventsController({
          patterns: 'throws',
          toEvent: () => {
            throw new Error('no such field');
          },
        }),
      ],
    });
    await offers.find('gold');
    emit('throws', {});
    for (const payload of [{ id: 'no source' }, 'text', null]) emit('bank.offers', payload);
    emit('bank.offers', changed('1', 'gold'));
    await until('the event is applied', async () => outcomes('applied') === 1);
    expect(outcomes('poison')).toBe(3);
    const letters = events.filter(({ type }) => type === 'dead-letter');
    expect(letters).toHaveLength(4);
    expect(letters).toContainEqual(
      expect.objectContaining({ source: 'microservices', reason: 'toEvent: Error: no such field' }),
    );
  });

  test('an event that comes while Redis is away is applied when it is back', async () => {
    const redis = await startRedis();
    try {
      const { offers, outcomes } = await start({ controllers: [reader()], redisUrl: redis.url });
      expect(await offers.find('gold')).toBe('gold 1');
      await redis.pause();
      emit('bank.offers', changed('1', 'gold'));
      await until('the first try has failed', async () => outcomes('later') > 0);
      redis.resume();
      await until('the event is applied', async () => outcomes('applied') === 1, 20_000);
      expect(await offers.find('gold')).toBe('gold 2');
    } finally {
      await redis.stop();
    }
  });
});

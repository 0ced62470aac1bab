import { Controller, type Type } from '@nestjs/common';
import { EventPattern, Transport } from '@nestjs/microservices';
import { connect, type Channel, type ChannelModel } from 'amqplib';
import { FeedsCache, type DomainEvent, type FeedsCacheOptions } from 'nestjs-cache-guard';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { gate } from '../e2e/support/app.js';
import { uniqueNamespace } from '../support/namespace.js';
import { startRabbitMq, type RabbitMqServer } from '../support/rabbitmq-server.js';
import { startRedis, until } from '../support/redis-server.js';
import { changed, startConsumer, type Consumer, type ConsumerOptions } from './support/consumer.js';
import { spliceTo } from './support/splice.js';

let rabbit: RabbitMqServer;
let connection: ChannelModel;
let channel: Channel;
beforeAll(async () => {
  rabbit = await startRabbitMq();
  connection = await connect(rabbit.url);
  channel = await connection.createChannel();
});
afterAll(async () => {
  await connection?.close();
  await rabbit?.stop();
});

const PATTERN = 'bank.offers';

/** A queue with a dead-letter queue, and consumers of it. */
async function makeQueue() {
  const name = uniqueNamespace('offers');
  const dead = `${name}-dead`;
  const queueOptions = {
    durable: false,
    arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead },
  };
  await channel.assertQueue(dead, { durable: false });
  await channel.assertQueue(name, queueOptions);
  const start = (
    controller: Type | Type[],
    { url = rabbit.url, ...options }: Partial<ConsumerOptions> & { url?: string } = {},
  ): Promise<Consumer> =>
    startConsumer({
      microservice: {
        transport: Transport.RMQ,
        // One at a time: what blocks, blocks everything.
        options: {
          urls: [url],
          queue: name,
          queueOptions,
          noAck: false,
          prefetchCount: 1,
          socketOptions: { reconnectTimeInSeconds: 1 },
        },
      },
      controllers: [controller].flat(),
      redisUrl: inject('redisUrl'),
      namespace: uniqueNamespace('rabbitmq'),
      ...options,
    });
  const ready = async (queue: string): Promise<number> => (await channel.checkQueue(queue)).messageCount;
  return {
    start,
    emit: (data: unknown): void => {
      channel.sendToQueue(name, Buffer.from(JSON.stringify({ pattern: PATTERN, data })));
    },
    /** Without those that a consumer has and has not acknowledged. */
    ready: () => ready(name),
    dead: () => ready(dead),
  };
}

/** @param body of the handler, called with how often it was called before */
function handler(options: FeedsCacheOptions = {}, body: (call: number) => void | Promise<void> = () => {}) {
  @Controller()
  class OfferEvents {
    static calls = 0;

    @EventPattern(PATTERN)
    @FeedsCache(options)
    async onOffer(_event: unknown): Promise<void> {
      await body(OfferEvents.calls++);
    }
  }
  return OfferEvents;
}

describe('RabbitMQ', () => {
  test('a message is applied, then acknowledged', async () => {
    const queue = await makeQueue();
    const { offers, outcomes, close } = await queue.start(handler());
    expect(await offers.find('gold')).toBe('gold 1');
    queue.emit(changed('1', 'gold'));
    await until('the event is applied', async () => outcomes('applied') === 1);
    expect(await offers.find('gold')).toBe('gold 2');
    queue.emit(changed('2', 'gold'));
    await until('the next is applied, so the first was acknowledged', async () => outcomes('applied') === 2);
    await close();
    expect(await queue.dead()).toBe(0);
  });

  test('is not acknowledged while Redis is away, and comes again when the consumer is gone', async () => {
    const queue = await makeQueue();
    const redis = await startRedis();
    try {
      const place = { redisUrl: redis.url, namespace: uniqueNamespace('rabbitmq') };
      const first = await queue.start(handler(), place);
      expect(await first.offers.find('gold')).toBe('gold 1');
      await redis.pause();
      queue.emit(changed('1', 'gold'));
      await until('the first try has failed', async () => first.outcomes('later') > 0);
      await first.close();
      expect([await queue.ready(), await queue.dead()]).toEqual([1, 0]);

      redis.resume();
      const second = await queue.start(handler(), place);
      await until('the event is applied', async () => second.outcomes('applied') === 1);
      await second.close();
      expect([await queue.ready(), await queue.dead()]).toEqual([0, 0]);
    } finally {
      await redis.stop();
    }
  });

  test('is applied by the same consumer when Redis is back', async () => {
    const queue = await makeQueue();
    const redis = await startRedis();
    try {
      const { offers, outcomes, close } = await queue.start(handler(), { redisUrl: redis.url });
      expect(await offers.find('gold')).toBe('gold 1');
      await redis.pause();
      queue.emit(changed('1', 'gold'));
      await until('the first try has failed', async () => outcomes('later') > 0);
      redis.resume();
      await until('the event is applied', async () => outcomes('applied') === 1, 20_000);
      expect(await offers.find('gold')).toBe('gold 2');
      await close();
      expect([await queue.ready(), await queue.dead()]).toEqual([0, 0]);
    } finally {
      await redis.stop();
    }
  });

  test('comes again when the connection breaks before the action', async () => {
    const queue = await makeQueue();
    const splice = await spliceTo(rabbit.port);
    const held = gate();
    const controller = handler({}, (call) => (call === 0 ? held.passed : undefined));
    const url = `amqp://guest:guest@127.0.0.1:${splice.port}`;
    const { offers, outcomes, logs, close } = await queue.start(controller, { url });
    await offers.find('gold');
    queue.emit(changed('1', 'gold'));
    await until('the handler is called', async () => controller.calls === 1);
    expect(outcomes('applied')).toBe(0);
    splice.cut();
    await until('the event comes again and is applied', async () => outcomes('applied') === 1);
    expect(controller.calls).toBe(2);
    // The first call now answers on a channel that is gone; that must not disturb the one that is there.
    held.open();
    await until('the first call has ended', async () => outcomes('duplicate') === 1);
    queue.emit(changed('2', 'gold'));
    await until('the next event is applied', async () => outcomes('applied') === 2);
    await close();
    expect([await queue.ready(), await queue.dead()]).toEqual([0, 0]);
    expect(logs.of('error').filter((line) => line.includes('Channel closed'))).toEqual([]);
    await splice.close();
  });

  test('is answered once where two handlers have the pattern', async () => {
    const queue = await makeQueue();
    const { outcomes, close } = await queue.start([handler(), handler()]);
    for (const id of ['1', '2', '3']) queue.emit(changed(id, 'gold'));
    // A second answer would close the channel.
    await until('all are applied', async () => outcomes('applied') === 3);
    await until('by both', async () => outcomes('duplicate') === 3);
    await close();
    expect([await queue.ready(), await queue.dead()]).toEqual([0, 0]);
  });

  test.each<[string, Type, unknown]>([
    ['an event that is malformed', handler(), { id: 'no source' }],
    ['a message of which toEvent can make nothing', handler({ toEvent: throwing }), 'bad'],
    ['an event whose rule fails again and again', handler(), changed('1', 'failing')],
    ['a message whose handler fails', handler({}, (call) => void (call === 0 && throwing())), changed('1', 'a')],
  ])('%s goes to the dead-letter exchange, and blocks nothing', async (_, controller, message) => {
    const queue = await makeQueue();
    let failures = 0;
    const onRule = (segment: string): void => {
      if (segment !== 'failing') return;
      failures += 1;
      throw new Error('the rule fails');
    };
    const { outcomes, close } = await queue.start(controller, { onRule });
    queue.emit(message);
    queue.emit(changed('2', 'gold'));
    await until('the next event is applied', async () => outcomes('applied') === 1);
    await until('the letter has arrived', async () => (await queue.dead()) === 1);
    await close();
    expect(await queue.ready()).toBe(0);
    expect(failures).toBe((message as { id?: string }).id === '1' && outcomes('retry') > 0 ? 5 : 0);
  });

  test('with ack: false the handler acknowledges for itself', async () => {
    const queue = await makeQueue();
    const { outcomes, close } = await queue.start(handler({ ack: false }));
    queue.emit(changed('1', 'gold'));
    await until('the event is applied', async () => outcomes('applied') === 1);
    await close();
    expect(await queue.ready()).toBe(1);
  });
});

function throwing(given?: unknown): DomainEvent {
  if (typeof given === 'object') return given as DomainEvent;
  throw new Error('nothing to be made of it');
}

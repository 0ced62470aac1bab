import { Controller } from '@nestjs/common';
import { EventPattern, Transport } from '@nestjs/microservices';
import { Kafka, logLevel, type Admin, type Producer } from 'kafkajs';
import { FeedsCache } from 'nestjs-cache-guard';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { startKafka, type KafkaServer } from '../support/kafka-server.js';
import { uniqueNamespace } from '../support/namespace.js';
import { startRedis, until } from '../support/redis-server.js';
import { changed, startConsumer, type Consumer, type ConsumerOptions } from './support/consumer.js';

let kafka: KafkaServer;
let client: Kafka;
let producer: Producer;
let admin: Admin;
beforeAll(async () => {
  kafka = await startKafka();
  client = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING });
  producer = client.producer();
  admin = client.admin();
  await Promise.all([producer.connect(), admin.connect()]);
});
afterAll(async () => {
  await Promise.all([producer?.disconnect(), admin?.disconnect()]);
  await kafka?.stop();
});

/** A topic with one consumer group; all messages go to one partition, in order. */
async function makeTopic() {
  const topic = uniqueNamespace('offers');
  const groupId = `${topic}-cache`;

  @Controller()
  class OfferEvents {
    @EventPattern(topic)
    @FeedsCache({ source: 'kafka' })
    async onOffer(_event: unknown): Promise<void> {}
  }
  const send = async (...messages: unknown[]): Promise<void> => {
    await producer.send({
      topic,
      messages: messages.map((message) => ({ partition: 0, value: JSON.stringify(message) })),
    });
  };
  const start = (options: Partial<ConsumerOptions> = {}): Promise<Consumer> =>
    startConsumer({
      microservice: {
        transport: Transport.KAFKA,
        options: {
          // Nest would make `…-server` of it.
          postfixId: '',
          client: { brokers: [...kafka.brokers] },
          consumer: { groupId, maxWaitTimeInMs: 50, sessionTimeout: 6_000, heartbeatInterval: 500 },
          subscribe: { fromBeginning: true },
        },
      },
      controllers: [OfferEvents],
      redisUrl: inject('redisUrl'),
      namespace: uniqueNamespace('kafka'),
      from: 'kafka',
      ...options,
    });
  /** Where the group goes on in the partition; -1 before the first commit. */
  const committed = async (): Promise<number> => {
    const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] });
    return Number(offsets?.partitions.find(({ partition }) => partition === 0)?.offset ?? -1);
  };
  return { send, start, committed };
}

describe('Kafka', () => {
  test('a message is applied, and what is poison does not block the partition', async () => {
    const topic = await makeTopic();
    let failures = 0;
    const onRule = (segment: string): void => {
      if (segment !== 'failing') return;
      failures += 1;
      throw new Error('the rule fails');
    };
    const { offers, outcomes, events, close } = await topic.start({ onRule });
    expect(await offers.find('gold')).toBe('gold 1');
    await topic.send({ id: 'no source' }, changed('1', 'failing'), 'text', changed('2', 'gold'));
    await until('the last event is applied', async () => outcomes('applied') === 1, 30_000);
    expect(await offers.find('gold')).toBe('gold 2');
    expect(failures).toBe(5);
    expect(events.filter(({ type }) => type === 'dead-letter')).toHaveLength(3);
    await close();
    expect(await topic.committed()).toBe(4);
  });

  test('the offset is not committed before the action, and the message comes again after a restart', async () => {
    const topic = await makeTopic();
    const redis = await startRedis();
    try {
      const place = { redisUrl: redis.url, namespace: uniqueNamespace('kafka') };
      const first = await topic.start(place);
      expect(await first.offers.find('gold')).toBe('gold 1');
      await topic.send(changed('1', 'silver'));
      await until('the first event is applied', async () => first.outcomes('applied') === 1, 30_000);
      await until('its offset is committed', async () => (await topic.committed()) === 1);
      await redis.pause();
      await topic.send(changed('2', 'gold'));
      await until('the second event has failed', async () => first.outcomes('later') > 0);
      await first.close();
      expect(await topic.committed()).toBe(1);

      redis.resume();
      const second = await topic.start(place);
      await until('the event is applied', async () => second.outcomes('applied') === 1, 30_000);
      expect(await second.offers.find('gold')).toBe('gold 1');
      await second.close();
      expect(await topic.committed()).toBe(2);
    } finally {
      await redis.stop();
    }
  });

  test('the consumer takes the message again by itself when Redis is back', async () => {
    const topic = await makeTopic();
    const redis = await startRedis();
    try {
      const { offers, outcomes } = await topic.start({ redisUrl: redis.url });
      expect(await offers.find('gold')).toBe('gold 1');
      await redis.pause();
      await topic.send(changed('1', 'gold'));
      await until('it has failed', async () => outcomes('later') > 0, 30_000);
      redis.resume();
      await until('the event is applied', async () => outcomes('applied') === 1, 30_000);
      expect(await offers.find('gold')).toBe('gold 2');
    } finally {
      await redis.stop();
    }
  });
});

import { connect, type Channel, type ChannelModel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import type { BrokerConsumerOptions } from '../fleet/workers/broker-consumer.js';
import { startWorker, type FleetWorker } from '../support/fleet-worker.js';
import { uniqueNamespace } from '../support/namespace.js';
import { startRabbitMq, type RabbitMqServer } from '../support/rabbitmq-server.js';
import { until } from '../support/redis-server.js';
import { changed } from './support/consumer.js';

const PATTERN = 'bank.offers';

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

/** Processes that share a queue and a cache. */
async function makeFleet(controller: BrokerConsumerOptions['controller']) {
  const queue = uniqueNamespace('killed');
  const queueOptions = { durable: false };
  await channel.assertQueue(queue, queueOptions);
  const common = {
    namespace: uniqueNamespace('killed'),
    redisUrl: inject('redisUrl'),
    pattern: PATTERN,
    rabbit: { urls: [rabbit.url], queue, queueOptions, noAck: false, prefetchCount: 1 },
    controller,
  };
  const start = async (fate?: BrokerConsumerOptions['fate']): Promise<FleetWorker> => {
    const worker = await startWorker('broker-consumer', { execArgv: [] });
    onTestFinished(() => worker.kill());
    await worker.call('boot', { ...common, fate } satisfies BrokerConsumerOptions);
    return worker;
  };
  const emit = (data: unknown): void => {
    channel.sendToQueue(queue, Buffer.from(JSON.stringify({ pattern: PATTERN, data })));
  };
  /** Without those that a consumer has and has not acknowledged. */
  const ready = async (): Promise<number> => (await channel.checkQueue(queue)).messageCount;
  return { start, emit, ready };
}

const find = (worker: FleetWorker): Promise<string> => worker.call('find', 'gold');
const ended = async (worker: FleetWorker): Promise<boolean> =>
  worker.call('outcomes').then(
    () => false,
    () => true,
  );
const handled = async (worker: FleetWorker, outcome: string): Promise<boolean> =>
  (await worker.call<Record<string, number>>('outcomes'))[outcome] === 1;

describe('a consumer of RabbitMQ that is killed', () => {
  test('between receiving an event and acting on it leaves it to another process', async () => {
    const { start, emit, ready } = await makeFleet('handler');
    const [victim, other] = [await start('holds'), await start()];
    const before = await find(other);
    expect(await find(victim)).toBe(before);
    await victim.call('listen');
    emit(changed('1', 'gold'));
    await victim.call('holding');
    await other.call('listen');
    expect(await find(other)).toBe(before);
    await victim.kill();
    await until('the event is applied by the other', () => handled(other, 'applied'));
    expect(await find(other)).not.toBe(before);
    expect(await other.stop(), other.log).toBe(true);
    expect(await ready()).toBe(0);
  });

  test('while a ready-made controller has the event leaves it to another process', async () => {
    const { start, emit, ready } = await makeFleet('ready-made');
    const [victim, other] = [await start('dies-before-action'), await start()];
    const before = await find(other);
    await victim.call('listen');
    emit(changed('1', 'gold'));
    await until('the process is dead', () => ended(victim));
    expect(await find(other)).toBe(before);
    await other.call('listen');
    await until('the event is applied by the other', () => handled(other, 'applied'));
    expect(await find(other)).not.toBe(before);
    expect(await other.stop(), other.log).toBe(true);
    expect(await ready()).toBe(0);
  });

  test.each(['handler', 'ready-made'] as const)(
    'between acting on an event and acknowledging it has it delivered again, which is known as a repeat (%s)',
    async (controller) => {
      const { start, emit, ready } = await makeFleet(controller);
      const [victim, other] = [await start('dies-after-action'), await start()];
      const before = await find(other);
      await victim.call('listen');
      emit(changed('1', 'gold'));
      await until('the process is dead', () => ended(victim));
      const after = await find(other);
      expect(after).not.toBe(before);
      await other.call('listen');
      await until('the repeat is recognised', () => handled(other, 'duplicate'));
      expect(await find(other)).toBe(after);
      expect(await other.stop(), other.log).toBe(true);
      expect(await ready()).toBe(0);
    },
  );
});

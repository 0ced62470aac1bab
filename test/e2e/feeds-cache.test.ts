import { Controller, Injectable, type ModuleMetadata } from '@nestjs/common';
import {
  EventPattern,
  KafkaContext,
  RmqContext,
  Server,
  Transport,
  type CustomTransportStrategy,
} from '@nestjs/microservices';
import {
  Cached,
  cacheEventsController,
  CacheGuardModule,
  FeedsCache,
  type EventRule,
  type FeedsCacheOptions,
} from 'nestjs-cache-guard';
import { isObservable, lastValueFrom } from 'rxjs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createApp, failureOf, gate } from './support/app.js';

/** A transport without a broker; resolves as soon as a broker may move on. */
class Loop extends Server implements CustomTransportStrategy {
  listen(started: () => void): void {
    started();
  }

  close(): void {}

  on(): void {}

  unwrap(): never {
    throw new Error('there is no client');
  }

  async deliver(data: unknown, context?: unknown): Promise<unknown> {
    const result: unknown = await this.getHandlerByPattern('offers')!(data, context);
    return isObservable(result) ? lastValueFrom(result) : result;
  }
}

@Injectable()
class Offers {
  loads = 0;

  @Cached({ domain: 'offers', key: (segment: string) => segment })
  async find(segment: string): Promise<string> {
    return `${segment} ${++this.loads}`;
  }
}

const changed = (id: string, segment = 'gold') => ({
  id,
  source: '/bank/offers',
  type: 'offer.changed',
  data: segment,
});
const rule: EventRule = { on: 'offer.changed', domain: 'offers', key: ({ data }) => data as string };

const guarded = (...rules: EventRule[]): ModuleMetadata => ({
  imports: [
    CacheGuardModule.forRoot({
      namespace: 'feeds',
      domains: { offers: { freshness: 'reference', stalePolicy: 'never' } },
      events: { rules },
    }),
  ],
});

async function start(metadata: ModuleMetadata) {
  const loop = new Loop();
  const made = await createApp({ ...metadata, providers: [Offers] });
  made.app.connectMicroservice({ strategy: loop });
  await made.app.init();
  await made.app.startAllMicroservices();
  return { ...made, loop, offers: made.of<Offers>(Offers) };
}

/** A message of RabbitMQ, and the answers about it. */
function rabbitMessage() {
  const answers: string[] = [];
  const channel = {
    ack: () => answers.push('ack'),
    nack: (_: unknown, allUpTo: boolean, requeue: boolean) => answers.push(`nack ${allUpTo} ${requeue}`),
  };
  return { answers, context: new RmqContext([{}, channel, 'offers']) };
}

function kafkaMessage(): KafkaContext {
  return new KafkaContext([{} as never, 0, 'offers', {} as never, async () => {}, {} as never]);
}

function handler(options?: FeedsCacheOptions, body: () => unknown = () => {}) {
  @Controller()
  class OfferEvents {
    @FeedsCache(options)
    @EventPattern('offers')
    async onOffer(_event: unknown): Promise<unknown> {
      return body();
    }
  }
  return OfferEvents;
}

describe('@FeedsCache', () => {
  test('runs the body, then the rules, then answers the broker', async () => {
    const held = gate();
    const { loop, offers } = await start({ ...guarded(rule), controllers: [handler({}, () => held.passed)] });
    await offers.find('gold');
    const { answers, context } = rabbitMessage();
    const done = loop.deliver(changed('1'), context);
    expect(await offers.find('gold')).toBe('gold 1');
    expect(answers).toEqual([]);
    held.open();
    await done;
    expect(answers).toEqual(['ack']);
    expect(await offers.find('gold')).toBe('gold 2');
  });

  test('answers only after the action', async () => {
    const { loop, guard } = await start({ ...guarded(rule), controllers: [handler()] });
    const { answers, context } = rabbitMessage();
    const seen: string[][] = [];
    guard.on(({ type }) => type === 'invalidation' && seen.push([...answers]));
    await loop.deliver(changed('1'), context);
    expect(seen).toEqual([[]]);
    expect(answers).toEqual(['ack']);
  });

  test('sends what is malformed to the dead-letter exchange, and not to the queue again', async () => {
    const { loop, events } = await start({ ...guarded(rule), controllers: [handler()] });
    const { answers, context } = rabbitMessage();
    await loop.deliver({ id: '' }, context);
    expect(answers).toEqual(['nack false false']);
    expect(events).toContainEqual(expect.objectContaining({ type: 'dead-letter', source: 'microservices' }));
  });

  test('gives back what waits for its next try when the application closes', async () => {
    let tries = 0;
    const throws: EventRule = {
      ...rule,
      key: () => {
        tries += 1;
        throw new Error('not now');
      },
    };
    const { app, loop } = await start({ ...guarded(throws), controllers: [handler()] });
    const { answers, context } = rabbitMessage();
    const rabbit = loop.deliver(changed('1'), context);
    const log = failureOf(() => loop.deliver(changed('2'), kafkaMessage()));
    await app.close();
    await rabbit;
    expect(answers).toEqual([]);
    // Kafka's consumer does not commit after a rejection.
    expect(await log).toBeDefined();
    expect(tries).toBeLessThan(10);
  });

  test('before the application has started, RabbitMQ waits for it, and Kafka is to deliver again', async () => {
    const loop = new Loop();
    const { app, events } = await createApp({ ...guarded(rule), controllers: [handler()] });
    app.connectMicroservice({ strategy: loop });
    await app.startAllMicroservices();
    const { answers, context } = rabbitMessage();
    const waiting = loop.deliver(changed('1'), context);
    // At once: its consumer must send heartbeats, and an application that shuts down waits for the call.
    await failureOf(() => loop.deliver(changed('2'), kafkaMessage()));
    expect(answers).toEqual([]);
    await app.init();
    await waiting;
    expect(answers).toEqual(['ack']);
    expect(events).toContainEqual(expect.objectContaining({ type: 'domain-events', outcome: 'applied', count: 1 }));
  });

  test('keeps two applications in a process apart', async () => {
    const controller = handler();
    const one = await start({ ...guarded(rule), controllers: [controller] });
    const other = await start({ ...guarded(rule), controllers: [controller] });
    await Promise.all([one.offers.find('gold'), other.offers.find('gold')]);
    await one.loop.deliver(changed('1'));
    expect([await one.offers.find('gold'), await other.offers.find('gold')]).toEqual(['gold 2', 'gold 1']);
  });

  test('leaves the handler alone in an application without the module', async () => {
    const loop = new Loop();
    const { Test } = await import('@nestjs/testing');
    const app = (
      await Test.createTestingModule({ controllers: [handler({}, () => 'the body')] }).compile()
    ).createNestApplication();
    onTestFinished(() => app.close());
    app.connectMicroservice({ strategy: loop });
    await app.init();
    const { answers, context } = rabbitMessage();
    expect(await loop.deliver(changed('1'), context)).toBe('the body');
    expect(answers).toEqual(['ack']);
  });

  test('gives its source a name that rules can use', async () => {
    const named = { ...rule, from: 'kafka' };
    const metadata = { ...guarded(named), controllers: [handler({ source: 'kafka' }), handler()] };
    const { loop, offers } = await start(metadata);
    await offers.find('gold');
    await loop.deliver(changed('1'));
    expect(await offers.find('gold')).toBe('gold 2');
    const unnamed = start({ ...guarded(named), controllers: [handler({ source: 'nats' })] });
    expect(await failureOf(() => unnamed)).toMatchObject({ code: 'CG_INVALID_RULE' });
  });

  test.each([
    ['source', { source: '' }],
    ['toEvent', { toEvent: 'data' }],
    ['ack', { ack: 'yes' }],
    ['acknowledge', { acknowledge: true }],
  ])('refuses a wrong %s when the class is defined', async (field, options) => {
    const error = await failureOf(() => handler(options as never));
    expect(error).toMatchObject({ code: 'CG_INVALID_DECORATION' });
    expect((error as Error).message).toContain(`${field} = `);
  });

  test('refuses to be there twice, and on what is no method', async () => {
    const twice = () => {
      class Twice {
        @FeedsCache()
        @FeedsCache()
        async onOffer(): Promise<void> {}
      }
      return Twice;
    };
    const accessor = () => {
      class Accessor {
        @FeedsCache()
        get offer(): string {
          return '';
        }
      }
      return Accessor;
    };
    expect(await failureOf(twice)).toMatchObject({ code: 'CG_INVALID_DECORATION' });
    expect(await failureOf(accessor)).toMatchObject({ code: 'CG_INVALID_DECORATION' });
  });
});

describe('cacheEventsController', () => {
  test('feeds the cache from the patterns, of a transport if one is given', async () => {
    const loops = cacheEventsController({ patterns: ['cards', 'offers'] });
    const kafka = cacheEventsController({ patterns: 'accounts', transport: Transport.KAFKA });
    const { loop, offers } = await start({ ...guarded(rule), controllers: [loops, kafka] });
    await offers.find('gold');
    await loop.deliver(changed('1'));
    expect(await offers.find('gold')).toBe('gold 2');
    expect([...loop.getHandlers().keys()]).toEqual(expect.arrayContaining(['cards', 'offers']));
  });

  test.each([[[]], [''], [undefined], [[1]]])('refuses the patterns %j', async (patterns) => {
    const error = await failureOf(() => cacheEventsController({ patterns: patterns as never }));
    expect(error).toMatchObject({ code: 'CG_INVALID_OPTIONS' });
  });
});

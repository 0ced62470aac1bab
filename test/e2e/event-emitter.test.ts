import { Injectable } from '@nestjs/common';
import { EventEmitter2, EventEmitterModule } from '@nestjs/event-emitter';
import {
  Cached,
  CacheGuardModule,
  eventEmitter,
  type EventEmitterOptions,
  type EventRule,
  type EventSink,
  type Verdict,
} from 'nestjs-cache-guard';
import { FakeClock } from 'nestjs-cache-guard/testing';
import { describe, expect, test } from 'vitest';
import { startRedis, until } from '../support/redis-server.js';
import { uniqueNamespace } from '../support/namespace.js';
import { failureOf, gate, startApp } from './support/app.js';

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
const rule: EventRule = { on: ['offer.changed', 'offer.gone'], domain: 'offers', key: ({ data }) => data as string };

async function start(options: EventEmitterOptions = {}, redisUrl?: string, emitter = true) {
  const root = CacheGuardModule.forRoot({
    namespace: uniqueNamespace('emitter'),
    redisUrl,
    domains: { offers: { freshness: 'reference', stalePolicy: 'never' } },
    events: { rules: [rule], sources: [eventEmitter(options)] },
  });
  const imports = emitter ? [root, EventEmitterModule.forRoot()] : [root];
  const { app, of, events } = await startApp({ imports, providers: [Offers] });
  return { app, offers: of<Offers>(Offers), emitter: of<EventEmitter2>(EventEmitter2), events };
}

describe('eventEmitter()', () => {
  test('follows what the application emits; emitAsync waits for the action', async () => {
    const { offers, emitter } = await start();
    expect(await offers.find('gold')).toBe('gold 1');
    await emitter.emitAsync('offer.changed', changed('1'));
    expect(await offers.find('gold')).toBe('gold 2');
    await emitter.emitAsync('offer.changed', changed('1'));
    expect(await offers.find('gold')).toBe('gold 2');
    await emitter.emitAsync('offer.gone', { ...changed('2'), type: 'offer.gone' });
    expect(await offers.find('gold')).toBe('gold 3');
  });

  test('makes events of plain payloads with toEvent', async () => {
    let id = 0;
    const toEvent = (segment: string, type: string) => {
      if (segment === 'bad') throw new Error('no segment');
      return segment === 'other' ? undefined : { ...changed(String(++id), segment), type };
    };
    const { offers, emitter, events } = await start({ name: 'bus', toEvent });
    await offers.find('gold');
    for (const segment of ['bad', 'other', 'gold']) await emitter.emitAsync('offer.gone', segment);
    expect(await offers.find('gold')).toBe('gold 2');
    expect(events.filter(({ type }) => type === 'dead-letter')).toEqual([
      expect.objectContaining({ source: 'bus', reason: 'toEvent: Error: no segment' }),
    ]);
    expect(id).toBe(1);
  });

  test('listens to the types that it is given, instead of those of the rules', async () => {
    const { offers, emitter } = await start({ types: ['legacy'] });
    await offers.find('gold');
    await emitter.emitAsync('offer.changed', changed('1'));
    expect(await offers.find('gold')).toBe('gold 1');
    await emitter.emitAsync('legacy', changed('2'));
    expect(await offers.find('gold')).toBe('gold 2');
  });

  test('puts aside what is no event', async () => {
    const { emitter, events } = await start();
    await emitter.emitAsync('offer.changed', 'gold');
    await until('it is told', async () => events.some(({ type }) => type === 'dead-letter'));
  });

  test('applies what was emitted while Redis was away', async () => {
    const redis = await startRedis();
    try {
      const { offers, emitter } = await start({}, redis.url);
      expect(await offers.find('gold')).toBe('gold 1');
      await redis.pause();
      await emitter.emitAsync('offer.changed', changed('1'));
      redis.resume();
      await until('it is loaded anew', async () => (await offers.find('gold')) !== 'gold 1', 20_000);
    } finally {
      await redis.stop();
    }
  });

  test('stops listening and waiting when it is closed', async () => {
    const emitter = new EventEmitter2();
    const clock = new FakeClock();
    const environment = { clock, resolve: () => emitter } as never;
    const source = await eventEmitter()(environment);
    const held = gate();
    const letters: string[] = [];
    const sink = {
      types: ['offer.changed'],
      deliver: async (): Promise<Verdict[]> => {
        await held.passed;
        return [{ kind: 'later', reason: 'the store is away' }];
      },
      giveUp: async () => {},
      deadLettered: (_: unknown, reason: string) => letters.push(reason),
    };
    await source.open(sink as unknown as EventSink);
    emitter.emit('offer.changed', changed('1'));
    expect(emitter.listenerCount('offer.changed')).toBe(1);
    let closed = false;
    const closing = source.close().then(() => (closed = true));
    expect(emitter.listenerCount('offer.changed')).toBe(0);
    await clock.run(1);
    expect(closed).toBe(false);
    held.open();
    await closing;
    expect(clock.pending).toBe(0);
    expect(letters).toEqual(['the store is away']);
  });

  test('needs EventEmitterModule', async () => {
    const error = await failureOf(() => start({}, undefined, false));
    expect(error).toMatchObject({ code: 'CG_INVALID_OPTIONS', field: 'events.sources' });
    expect((error as Error).message).toContain('EventEmitterModule.forRoot()');
  });

  test.each([{ name: '' }, { types: 'a' }, { types: [1] }, { toEvent: 'a' }])('refuses %j', async (options) => {
    expect(await failureOf(() => eventEmitter(options as never))).toMatchObject({ code: 'CG_INVALID_OPTIONS' });
  });
});

import { Injectable } from '@nestjs/common';
import {
  Cached,
  CacheGuard,
  CacheGuardModule,
  type DomainEvent,
  type EventRule,
  type EventSource,
} from 'nestjs-cache-guard';
import { describe, expect, inject, test } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { failureOf, startApp } from './support/app.js';

interface OfferChanged {
  readonly segment: string;
  readonly revision: number;
}

@Injectable()
class Offers {
  loads = 0;

  @Cached({ domain: 'offers', key: (segment: string) => segment })
  async find(segment: string): Promise<string> {
    return `${segment} ${++this.loads}`;
  }
}

const changed = (id: string, data: OfferChanged) => ({ id, source: '/bank/offers', type: 'offer.changed', data });
const segmentOf = (event: DomainEvent<OfferChanged>): string => event.data.segment;
const domains = { offers: { freshness: 'reference', stalePolicy: 'never' } } as const;

describe.each(['memory', 'redis'])('domain events that the application publishes itself, on %s', (store) => {
  const start = async (...rules: EventRule[]) => {
    const redisUrl = store === 'redis' ? { redisUrl: inject('redisUrl') } : {};
    const namespace = uniqueNamespace('events');
    const root = CacheGuardModule.forRoot({ namespace, ...redisUrl, domains, events: { rules } });
    const app = await startApp({ imports: [root], providers: [Offers] });
    return { offers: app.of<Offers>(Offers), guard: app.of<CacheGuard>(CacheGuard) };
  };

  test('invalidate what a rule says', async () => {
    const { offers, guard } = await start({ on: 'offer.changed', domain: 'offers', key: segmentOf });
    expect([await offers.find('gold'), await offers.find('gold')]).toEqual(['gold 1', 'gold 1']);
    expect(await guard.events.publish(changed('1', { segment: 'gold', revision: 2 }))).toEqual({
      kind: 'done',
      outcome: 'applied',
    });
    expect(await offers.find('gold')).toBe('gold 2');
    expect(await guard.events.publish(changed('1', { segment: 'gold', revision: 2 }))).toMatchObject({
      outcome: 'duplicate',
    });
    expect(await offers.find('gold')).toBe('gold 2');
  });
});

test('a rule for a domain that does not exist fails at boot', async () => {
  const rule = { on: 'offer.changed', domain: 'ofers', all: true } as const;
  const root = CacheGuardModule.forRoot({ namespace: 'a', domains, events: { rules: [rule] } });
  expect(await failureOf(() => startApp({ imports: [root] }))).toMatchObject({ code: 'CG_UNKNOWN_DOMAIN' });
});

describe('event sources of the user', () => {
  class Recorded implements EventSource {
    readonly calls: string[] = [];

    constructor(
      readonly name: string,
      readonly delivery: EventSource['delivery'] = 'shared',
      private readonly failure?: Error,
    ) {}

    async open(): Promise<void> {
      this.calls.push('open');
      if (this.failure) throw this.failure;
    }

    async close(): Promise<void> {
      this.calls.push('close');
    }
  }

  const appOf = (sources: readonly EventSource[], rules: readonly EventRule[]) => ({
    imports: [CacheGuardModule.forRoot({ namespace: uniqueNamespace('events'), domains, events: { rules, sources } })],
  });
  const rule = { on: 'offer.changed', domain: 'offers', all: true } as const;

  test('are closed again when another one keeps the application from starting', async () => {
    const [good, bad] = [new Recorded('good'), new Recorded('bad', 'shared', new Error('no way in'))];
    expect(await failureOf(() => startApp(appOf([good, bad], [rule])))).toMatchObject({ message: 'no way in' });
    expect(good.calls.slice(0, 2)).toEqual(['open', 'close']);
  });

  test('are left to others who have rules for them, where an event reaches one process only', async () => {
    const [shared, each] = [new Recorded('shared'), new Recorded('each', 'each')];
    await startApp(appOf([shared, each], [{ ...rule, from: 'each' }]));
    expect([shared.calls, each.calls]).toEqual([[], ['open']]);
  });
});

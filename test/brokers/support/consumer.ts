import { Injectable, type Type } from '@nestjs/common';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Cached, CacheGuardModule, type CacheGuardEvent, type DomainEvent, type EventRule } from 'nestjs-cache-guard';
import { createApp, type LogBook } from '../../e2e/support/app.js';

@Injectable()
export class Offers {
  loads = 0;

  @Cached({ domain: 'offers', key: (segment: string) => segment })
  async find(segment: string): Promise<string> {
    return `${segment} ${++this.loads}`;
  }
}

export const OFFER_CHANGED = 'offer.changed';

/** An event about one segment of offers. */
export function changed(id: string, segment: string): DomainEvent<{ segment: string }> {
  return { id, source: '/bank/offers', type: OFFER_CHANGED, data: { segment } };
}

export interface ConsumerOptions {
  readonly microservice: MicroserviceOptions;
  readonly controllers: readonly Type[];
  readonly redisUrl: string;
  readonly namespace: string;
  /** Of the rule. */
  readonly from?: string;
  /** Called by the rule with the segment; a throw fails the action. */
  readonly onRule?: (segment: string) => void;
}

export interface Consumer {
  readonly offers: Offers;
  readonly events: readonly CacheGuardEvent[];
  readonly logs: LogBook;
  /** How many events had this outcome so far. */
  /** What the transport connects with. */
  readonly client: () => unknown;
  readonly outcomes: (outcome: string) => number;
  readonly close: () => Promise<void>;
}

/** An application that caches offers and follows a broker. */
export async function startConsumer(options: ConsumerOptions): Promise<Consumer> {
  const { microservice, controllers, redisUrl, namespace, from, onRule } = options;
  const rule: EventRule = {
    on: OFFER_CHANGED,
    domain: 'offers',
    from,
    key: ({ data }) => {
      const { segment } = data as { segment: string };
      onRule?.(segment);
      return segment;
    },
  };
  const root = CacheGuardModule.forRoot({
    namespace,
    redisUrl,
    domains: { offers: { freshness: 'reference', stalePolicy: 'never' } },
    events: { rules: [rule] },
  });
  const { app, events, logs, of } = await createApp({
    imports: [root],
    controllers: [...controllers],
    providers: [Offers],
  });
  app.connectMicroservice(microservice);
  await app.init();
  await app.startAllMicroservices();
  const outcomes = (outcome: string): number =>
    events.reduce(
      (sum, event) => sum + (event.type === 'domain-events' && event.outcome === outcome ? event.count : 0),
      0,
    );
  return {
    offers: of<Offers>(Offers),
    events,
    logs,
    client: () => app.getMicroservices()[0]!.unwrap(),
    outcomes,
    close: () => app.close(),
  };
}

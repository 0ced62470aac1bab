import type { DomainEvent, EventRule, OutboxEvent } from 'nestjs-cache-guard';

const TYPE = 'bank.offer.published';

interface OfferPublished {
  readonly segment: string;
  /** Of the segment's offers; every change counts. */
  readonly revision: number;
}

export function offerPublished(data: OfferPublished): OutboxEvent {
  return { source: '/bank/offers', type: TYPE, subject: data.segment, data };
}

const dataOf = ({ data }: DomainEvent): OfferPublished => data as OfferPublished;

/** Nobody has to ask first: the event itself has the segment's offers loaded again, once in the fleet. */
export const offersRules: readonly EventRule[] = [
  {
    on: TYPE,
    domain: 'offers',
    key: (event) => dataOf(event).segment,
    version: (event) => dataOf(event).revision,
    action: 'refresh',
  },
];

import type { DomainEvent, EventRule, OutboxEvent } from 'nestjs-cache-guard';

const TYPE = 'bank.card-controls.changed';

interface CardControlsChanged {
  readonly customer: string;
}

export function cardControlsChanged(data: CardControlsChanged): OutboxEvent {
  return { source: '/bank/cards', type: TYPE, subject: data.customer, data };
}

const dataOf = ({ data }: DomainEvent): CardControlsChanged => data as CardControlsChanged;

/** The probe before every read would find out too. An event comes from nobody: it can invalidate what is private, and loads nothing. */
export const cardsRules: readonly EventRule[] = [
  {
    on: TYPE,
    domain: 'card-controls',
    tags: (event) => [`customer:${dataOf(event).customer}`],
  },
];

import type { DomainEvent, EventRule, OutboxEvent } from 'nestjs-cache-guard';

const TYPE = 'bank.card-controls.changed';

interface CardControlsChanged {
  readonly customer: string;
  /** Of all the customer's cards, as the policy's probe counts it. */
  readonly version: number;
}

export function cardControlsChanged(data: CardControlsChanged): OutboxEvent {
  return { source: '/bank/cards', type: TYPE, subject: data.customer, data };
}

const dataOf = ({ data }: DomainEvent): CardControlsChanged => data as CardControlsChanged;

/** The probe before every read would find out too; the event spares the next reader the load. */
export const cardsRules: readonly EventRule[] = [
  {
    on: TYPE,
    domain: 'card-controls',
    key: (event) => dataOf(event).customer,
    version: (event) => dataOf(event).version,
    action: 'refresh',
  },
];

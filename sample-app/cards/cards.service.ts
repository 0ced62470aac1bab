import { Injectable, NotFoundException } from '@nestjs/common';
import { Cached, loadContext } from 'nestjs-cache-guard';
import { EventWriter } from '../events/event-writer.js';
import type { Query } from '../source/database.js';
import { Source } from '../source/source.js';
import { cardControlsChanged } from './cards.events.js';

export interface Card {
  readonly id: string;
  readonly label: string;
  readonly blocked: boolean;
}

type VersionedCard = Card & { readonly version: number };

const SET_BLOCKED = `update bank_dashboard.cards set blocked = $3, version = version + 1
  where id = $2 and customer_id = $1 returning id, label, blocked`;

/** Writes to one customer's cards follow one another, so that their versions do. */
const LOCK = 'select 1 from bank_dashboard.customers where id = $1 for update';

/** The route and the service are two doors to one entry. Events come from nobody, and reach what is private by its tag. */
export const cardsOf = {
  domain: 'card-controls',
  key: (customer: string) => customer,
  tags: (customer: string) => [`customer:${customer}`],
  shared: true,
} as const;

@Injectable()
export class CardsService {
  constructor(
    private readonly source: Source,
    private readonly writer: EventWriter,
  ) {}

  /** The version that it states is the one that the policy's probe asks for before every later read. */
  @Cached(cardsOf)
  async of(customer: string): Promise<Card[]> {
    const cards = await this.source.read<VersionedCard>(
      'card-controls',
      `select id, label, blocked, (sum(version) over ())::int as version
       from bank_dashboard.cards where customer_id = $1 order by id`,
      [customer],
    );
    const [first] = cards;
    if (!first) throw new NotFoundException(`There is no customer '${customer}' with a card.`);
    loadContext().setVersion(BigInt(first.version));
    return cards.map(({ id, label, blocked }) => ({ id, label, blocked }));
  }

  /** The event is written with the change. */
  setBlocked(customer: string, card: string, blocked: boolean): Promise<Card> {
    return this.writer.write(async (query, publish) => {
      const changed = await change(query, customer, card, blocked);
      await publish(cardControlsChanged({ customer }));
      return changed;
    });
  }

  /** Somebody else's program writes to the same table and tells no cache: the version probe finds out all the same. */
  setBlockedInBackOffice(customer: string, card: string, blocked: boolean): Promise<Card> {
    return this.source.transaction((query) => change(query, customer, card, blocked));
  }
}

async function change(query: Query, customer: string, card: string, blocked: boolean): Promise<Card> {
  await query(LOCK, [customer]);
  const [changed] = await query<Card>(SET_BLOCKED, [customer, card, blocked]);
  if (!changed) throw new NotFoundException(`Customer '${customer}' has no card '${card}'.`);
  return changed;
}

import { Injectable, NotFoundException } from '@nestjs/common';
import { Cached, Invalidates, loadContext } from 'nestjs-cache-guard';
import { Source } from '../source/source.js';

export interface Card {
  readonly id: string;
  readonly label: string;
  readonly blocked: boolean;
}

type VersionedCard = Card & { readonly version: number };

const SET_BLOCKED = `update bank_dashboard.cards set blocked = $3, version = version + 1
  where id = $2 and customer_id = $1 returning id, label, blocked`;

@Injectable()
export class CardsService {
  constructor(private readonly source: Source) {}

  /** The version that it states is the one that the policy's probe asks for before every later read. */
  @Cached({ domain: 'card-controls', key: (customer: string) => customer })
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

  @Invalidates({ domain: 'card-controls', key: (customer: string) => customer, when: 'settled' })
  async setBlocked(customer: string, card: string, blocked: boolean): Promise<Card> {
    return this.write(customer, card, blocked);
  }

  /** Somebody else's program writes to the same table and tells no cache: the version probe finds out all the same. */
  async setBlockedInBackOffice(customer: string, card: string, blocked: boolean): Promise<Card> {
    return this.write(customer, card, blocked);
  }

  private async write(customer: string, card: string, blocked: boolean): Promise<Card> {
    const [changed] = await this.source.write<Card>(SET_BLOCKED, [customer, card, blocked]);
    if (!changed) throw new NotFoundException(`Customer '${customer}' has no card '${card}'.`);
    return changed;
  }
}

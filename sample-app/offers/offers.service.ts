import { Injectable } from '@nestjs/common';
import { Cached, loadContext } from 'nestjs-cache-guard';
import { EventWriter } from '../events/event-writer.js';
import { Source } from '../source/source.js';
import { offerPublished } from './offers.events.js';

export interface Offer {
  readonly id: number;
  readonly title: string;
  readonly published: Date;
}

export interface PublishOffer {
  readonly segment: string;
  readonly title: string;
}

interface OffersRow {
  readonly revision: number;
  readonly offers: readonly { readonly id: number; readonly title: string; readonly published: string }[];
}

/** One statement, so that the offers and their revision are of one moment. */
const BY_SEGMENT = `select revision, coalesce((
    select json_agg(latest) from (
      select id, title, published from bank_dashboard.offers where segment = $1 order by id desc limit 4) as latest
  ), '[]') as offers
  from bank_dashboard.segments where segment = $1`;

const NEXT_REVISION = `insert into bank_dashboard.segments (segment) values ($1)
  on conflict (segment) do update set revision = segments.revision + 1 returning revision`;

const INSERT = `insert into bank_dashboard.offers (segment, title) values ($1, $2) returning id, title, published`;

/** The route and the service are two doors to one entry. */
export const offersOf = {
  domain: 'offers',
  key: (segment: string) => segment,
  tags: (segment: string) => [`segment:${segment}`],
  shared: true,
} as const;

@Injectable()
export class OffersService {
  constructor(
    private readonly source: Source,
    private readonly writer: EventWriter,
  ) {}

  @Cached(offersOf)
  async bySegment(segment: string): Promise<Offer[]> {
    const [row] = await this.source.read<OffersRow>('offers', BY_SEGMENT, [segment]);
    if (!row) return [];
    loadContext().setVersion(BigInt(row.revision));
    return row.offers.map(({ published, ...offer }) => ({ ...offer, published: new Date(published) }));
  }

  /** The event is written with the offer. When it has come to the cache, readers still get the old offers until the new ones are loaded. */
  publish({ segment, title }: PublishOffer): Promise<Offer> {
    return this.writer.write(async (query, publish) => {
      const [next] = await query<{ revision: number }>(NEXT_REVISION, [segment]);
      const [offer] = await query<Offer>(INSERT, [segment, title]);
      await publish(offerPublished({ segment, revision: next!.revision }));
      return offer!;
    });
  }
}

import { Injectable } from '@nestjs/common';
import { Cached, Invalidates } from 'nestjs-cache-guard';
import { Source } from '../source/source.js';

export interface Offer {
  readonly id: number;
  readonly title: string;
  readonly published: Date;
}

export interface PublishOffer {
  readonly segment: string;
  readonly title: string;
}

@Injectable()
export class OffersService {
  constructor(private readonly source: Source) {}

  @Cached({
    domain: 'offers',
    key: (segment: string) => segment,
    tags: (segment: string) => [`segment:${segment}`],
  })
  async bySegment(segment: string): Promise<Offer[]> {
    return this.source.read<Offer>(
      'offers',
      'select id, title, published from bank_dashboard.offers where segment = $1 order by id desc limit 4',
      [segment],
    );
  }

  /** Marks stale: the next reader still gets the old offers at once, and starts the one load that brings the new ones. */
  @Invalidates({ domain: 'offers', tags: ({ segment }: PublishOffer) => [`segment:${segment}`] })
  async publish({ segment, title }: PublishOffer): Promise<Offer> {
    const [offer] = await this.source.write<Offer>(
      'insert into bank_dashboard.offers (segment, title) values ($1, $2) returning id, title, published',
      [segment, title],
    );
    return offer!;
  }
}

import { Injectable } from '@nestjs/common';
import { Cached } from 'nestjs-cache-guard';
import { BalancesService } from '../balances/balances.service.js';
import { OffersService } from '../offers/offers.service.js';
import { ProfileService } from '../profile/profile.service.js';

export interface Summary {
  readonly greeting: string;
  readonly totalCents: number;
  readonly offer: string | null;
}

/** The route and the service are two doors to one entry. */
export const summaryOf = { domain: 'dashboard', key: (customer: string) => customer, shared: true } as const;

/** An `experience` made from a `critical` value: the strictest of what it is made from wins, so no old balance is served. */
@Injectable()
export class SummaryService {
  constructor(
    private readonly profiles: ProfileService,
    private readonly balances: BalancesService,
    private readonly offers: OffersService,
  ) {}

  @Cached(summaryOf)
  async of(customer: string): Promise<Summary> {
    const [{ name, segment }, balances] = await Promise.all([this.profiles.of(customer), this.balances.of(customer)]);
    const [offer] = await this.offers.bySegment(segment);
    return {
      greeting: `Good day, ${name}`,
      totalCents: balances.reduce((sum, { cents }) => sum + cents, 0),
      offer: offer?.title ?? null,
    };
  }
}

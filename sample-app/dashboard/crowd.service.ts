import { Injectable } from '@nestjs/common';
import { CacheGuard } from 'nestjs-cache-guard';
import { BalancesService } from '../balances/balances.service.js';
import { CardsService } from '../cards/cards.service.js';
import { actFor } from '../http/customer.js';
import { OffersService } from '../offers/offers.service.js';
import { ProfileService } from '../profile/profile.service.js';
import { Source } from '../source/source.js';
import { TransactionsService } from '../transactions/transactions.service.js';

export const CROWD_DOMAINS = ['offers', 'profile', 'transactions', 'balances', 'card-controls'] as const;

export interface Crowd {
  readonly domain: (typeof CROWD_DOMAINS)[number];
  /** A customer, or the segment of offers. */
  readonly key: string;
  readonly readers: number;
}

export interface CrowdResult extends Crowd {
  readonly answered: number;
  readonly failed: number;
  /** How often the source was asked. */
  readonly loads: number;
  readonly ms: number;
}

/** Takes a value away and sends a crowd for it. */
@Injectable()
export class CrowdService {
  private readonly reads: Readonly<Record<Crowd['domain'], (key: string) => Promise<unknown>>>;

  constructor(
    private readonly cache: CacheGuard,
    private readonly source: Source,
    offers: OffersService,
    profiles: ProfileService,
    transactions: TransactionsService,
    balances: BalancesService,
    cards: CardsService,
  ) {
    this.reads = {
      offers: (segment) => offers.bySegment(segment),
      profile: (customer) => profiles.of(customer),
      transactions: (customer) => transactions.latest(customer),
      balances: (customer) => balances.of(customer),
      'card-controls': (customer) => cards.of(customer),
    };
  }

  /** The requests of a crowd are made up: each reader is the customer whose value it is. */
  release(crowd: Crowd): Promise<CrowdResult> {
    return actFor(crowd.key, () => this.releaseAs(crowd));
  }

  private async releaseAs({ domain, key, readers }: Crowd): Promise<CrowdResult> {
    const read = this.reads[domain];
    await this.cache.invalidate({ domain, key, mode: 'remove' });
    const before = this.source.loads(domain);
    const started = performance.now();
    const outcomes = await Promise.allSettled(Array.from({ length: readers }, () => read(key)));
    const ms = Math.round(performance.now() - started);
    const answered = outcomes.filter(({ status }) => status === 'fulfilled').length;
    const loads = this.source.loads(domain) - before;
    return { domain, key, readers, answered, failed: readers - answered, loads, ms };
  }
}

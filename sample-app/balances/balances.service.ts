import { Injectable, NotFoundException } from '@nestjs/common';
import { Cached } from 'nestjs-cache-guard';
import { Source } from '../source/source.js';

export interface Balance {
  readonly account: string;
  readonly name: string;
  readonly cents: number;
}

/** The route and the service are two doors to one entry. */
export const balancesOf = { domain: 'balances', key: (customer: string) => customer, shared: true } as const;

@Injectable()
export class BalancesService {
  constructor(private readonly source: Source) {}

  @Cached(balancesOf)
  async of(customer: string): Promise<Balance[]> {
    const balances = await this.source.read<Balance>(
      'balances',
      `select id as account, name, cents::float8 as cents
       from bank_dashboard.accounts where customer_id = $1 order by id`,
      [customer],
    );
    if (balances.length === 0) throw new NotFoundException(`There is no customer '${customer}' with an account.`);
    return balances;
  }
}

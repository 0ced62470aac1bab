import { Injectable, NotFoundException, UnprocessableEntityException } from '@nestjs/common';
import { Cached, Invalidates } from 'nestjs-cache-guard';
import { Source } from '../source/source.js';

export interface Transaction {
  readonly id: number;
  readonly account: string;
  readonly description: string;
  readonly cents: number;
  readonly at: Date;
}

export interface PostTransaction {
  readonly account: string;
  readonly description: string;
  readonly cents: number;
}

/** The route and the service are two doors to one entry. */
export const transactionsOf = { domain: 'transactions', key: (customer: string) => customer, shared: true } as const;

@Injectable()
export class TransactionsService {
  constructor(private readonly source: Source) {}

  @Cached(transactionsOf)
  async latest(customer: string): Promise<Transaction[]> {
    return this.source.read<Transaction>(
      'transactions',
      `select t.id, t.account_id as account, t.description, t.cents::float8 as cents, t.at
       from bank_dashboard.transactions t join bank_dashboard.accounts a on a.id = t.account_id
       where a.customer_id = $1 order by t.at desc, t.id desc limit 6`,
      [customer],
    );
  }

  /** A booking concerns two bounded contexts. When its outcome is unknown, both must look again all the same. */
  @Invalidates({ domain: 'balances', key: (customer: string) => customer, when: 'settled' })
  @Invalidates({ domain: 'transactions', key: (customer: string) => customer, when: 'settled' })
  async post(customer: string, { account, description, cents }: PostTransaction): Promise<Transaction> {
    const [booked] = await this.source.write<Transaction>(
      `with moved as (
         update bank_dashboard.accounts set cents = cents + $4
         where id = $2 and customer_id = $1 and cents + $4 >= 0 returning id)
       insert into bank_dashboard.transactions (account_id, description, cents) select id, $3, $4 from moved
       returning id, account_id as account, description, cents::float8 as cents, at`,
      [customer, account, description, cents],
    );
    return booked ?? this.refuse(customer, account);
  }

  private async refuse(customer: string, account: string): Promise<never> {
    const sql = 'select 1 from bank_dashboard.accounts where id = $2 and customer_id = $1';
    const [found] = await this.source.probe(sql, [customer, account]);
    if (found) throw new UnprocessableEntityException(`Account '${account}' does not cover this.`);
    throw new NotFoundException(`Customer '${customer}' has no account '${account}'.`);
  }
}

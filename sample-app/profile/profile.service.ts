import { Injectable, NotFoundException } from '@nestjs/common';
import { Cached, Refreshes } from 'nestjs-cache-guard';
import { Source } from '../source/source.js';

export interface Profile {
  readonly name: string;
  readonly email: string;
  readonly city: string;
  readonly segment: string;
}

export interface ProfileChange {
  readonly email?: string;
  readonly city?: string;
}

/** The route and the service are two doors to one entry. */
export const profileOf = { domain: 'profile', key: (customer: string) => customer, shared: true } as const;

@Injectable()
export class ProfileService {
  constructor(private readonly source: Source) {}

  @Cached(profileOf)
  async of(customer: string): Promise<Profile> {
    const [profile] = await this.source.read<Profile>(
      'profile',
      'select name, email, city, segment from bank_dashboard.customers where id = $1',
      [customer],
    );
    return profile ?? unknownCustomer(customer);
  }

  /** What it resolves to becomes the cached value. */
  @Refreshes({ domain: 'profile', key: (customer: string) => customer })
  async change(customer: string, { email, city }: ProfileChange): Promise<Profile> {
    const [profile] = await this.source.write<Profile>(
      `update bank_dashboard.customers set email = coalesce($2, email), city = coalesce($3, city)
       where id = $1 returning name, email, city, segment`,
      [customer, email ?? null, city ?? null],
    );
    return profile ?? unknownCustomer(customer);
  }
}

function unknownCustomer(customer: string): never {
  throw new NotFoundException(`There is no customer '${customer}'.`);
}

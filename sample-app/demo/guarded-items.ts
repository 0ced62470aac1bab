import { Injectable } from '@nestjs/common';
import { Cached, CacheGuard, Invalidates } from 'nestjs-cache-guard';
import type { Items, ItemRead } from './items.js';
import { OriginClient, type Item } from './origin-client.js';
import type { Domain } from './policies.js';

/** The service of an application: nothing but annotations beside the plain calls of the origin. */
@Injectable()
export class GuardedService {
  constructor(private readonly origin: OriginClient) {}

  @Cached({ domain: 'offers', key: (id: string) => id })
  offers(id: string): Promise<Item> {
    return this.origin.load(id);
  }

  @Cached({ domain: 'catalog', key: (id: string) => id })
  catalog(id: string): Promise<Item> {
    return this.origin.load(id);
  }

  @Cached({ domain: 'profiles', key: (id: string) => id })
  profiles(id: string): Promise<Item> {
    return this.origin.load(id);
  }

  @Invalidates({ domain: 'profiles', key: (id: string) => id })
  saveProfile(id: string): Promise<Item> {
    return this.origin.write(id);
  }

  @Cached({ domain: 'balances', key: (id: string) => id })
  balances(id: string): Promise<Item> {
    return this.origin.load(id);
  }

  @Invalidates({ domain: 'balances', key: (id: string) => id })
  saveBalance(id: string): Promise<Item> {
    return this.origin.write(id);
  }

  @Cached({ domain: 'branches', key: (id: string) => id })
  branches(id: string): Promise<Item> {
    return this.origin.load(id);
  }
}

/** The crowd's way into the service; it also asks whether what it got is marked stale. */
@Injectable()
export class GuardedItems implements Items {
  constructor(
    private readonly service: GuardedService,
    private readonly cache: CacheGuard,
  ) {}

  async read(domain: Domain, id: string): Promise<ItemRead> {
    const { value, served } = await this.cache.trace(() => this.service[domain](id));
    return { version: value.version, marked: served.some(({ state }) => state === 'stale') };
  }

  async write(domain: Domain, id: string): Promise<Item> {
    if (domain === 'profiles') return this.service.saveProfile(id);
    if (domain === 'balances') return this.service.saveBalance(id);
    throw new Error(`Nobody writes to ${domain} in this demo.`);
  }
}

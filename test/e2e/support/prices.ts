import { Injectable, type DynamicModule } from '@nestjs/common';
import { AsyncLocalStorage } from 'node:async_hooks';
import { argsKey, Cached, CacheGuardModule, Invalidates, Refreshes, type AfterCommit } from 'nestjs-cache-guard';
import { uniqueNamespace } from '../../support/namespace.js';
import { startApp, type TestApp } from './app.js';

/** The partition of the domain `accounts`. */
export const tenants = new AsyncLocalStorage<string>();

export const root = (afterCommit?: AfterCommit): DynamicModule =>
  CacheGuardModule.forRoot({
    namespace: uniqueNamespace(),
    afterCommit,
    domains: {
      offers: { freshness: 'experience' },
      prices: { freshness: 'experience', stalePolicy: 'never' },
      accounts: { freshness: 'critical', partition: () => tenants.getStore() },
    },
  });

export interface Offer {
  id: string;
  segments: string[];
}

/** Reads and writes; `version` is what the source holds. */
@Injectable()
export class Prices {
  version = 1;
  reads = 0;
  failure: Error | undefined;

  @Cached({ domain: 'prices', key: (id: string) => id, tags: (id: string) => [`first:${id[0]}`] })
  async get(id: string): Promise<string> {
    this.reads++;
    return `${id} v${this.version}`;
  }

  @Cached({ domain: 'prices' })
  async list(segment: string, page: number): Promise<string> {
    return `${segment} ${page} v${this.version}`;
  }

  @Invalidates({ domain: 'prices', key: (offer: Offer) => offer.id })
  async one(offer: Offer): Promise<string> {
    return this.write(offer.id);
  }

  @Invalidates({ domain: 'prices', keys: (...ids: string[]) => ids })
  async many(...ids: string[]): Promise<string> {
    return this.write(ids.join());
  }

  @Invalidates({ domain: 'prices', tags: (first: string) => [`first:${first}`] })
  async tagged(_first: string): Promise<string> {
    return this.write('tagged');
  }

  @Invalidates({ domain: 'prices', all: true })
  async everything(): Promise<string> {
    return this.write('all');
  }

  @Invalidates({ domain: 'prices', name: 'Prices.list', key: (segment: string) => argsKey(segment, 1) })
  @Invalidates({ domain: 'prices', key: (segment: string) => segment })
  async stacked(_segment: string): Promise<string> {
    return this.write('stacked');
  }

  @Invalidates({ domain: 'prices', key: (id: string) => id, when: 'settled' })
  async settled(_id: string): Promise<string> {
    return this.write('settled');
  }

  @Refreshes({ domain: 'prices', key: (id: string) => id })
  async rebuild(id: string): Promise<string> {
    this.write(id);
    return `${id} rebuilt`;
  }

  @Refreshes({ domain: 'prices', name: 'Prices.list' })
  async rebuildList(segment: string, page: number): Promise<string> {
    return `${segment} ${page} rebuilt`;
  }

  protected write(what: string): string {
    this.version++;
    if (this.failure) throw this.failure;
    return `wrote ${what}`;
  }
}

export const start = async (afterCommit?: AfterCommit): Promise<TestApp & { prices: Prices }> => {
  const made = await startApp({ imports: [root(afterCommit)], providers: [Prices] });
  return { ...made, prices: made.of<Prices>(Prices) };
};

import type { INestApplication } from '@nestjs/common';
import { CacheGuard } from 'nestjs-cache-guard';
import { expect, onTestFinished } from 'vitest';
import type { SampleConfig } from '../../../sample-app/config.js';
import { createApp } from '../../../sample-app/create-app.js';
import type { Database } from '../../../sample-app/source/database.js';
import { Source } from '../../../sample-app/source/source.js';

/** What the tests look at of any answer. */
export interface Reply<Body = { readonly message: string }> {
  readonly status: number;
  readonly headers: Headers;
  /** What `Cache-Status` says of a fragment. */
  readonly state: 'fresh' | 'stale' | 'loaded' | 'uncached';
  readonly body: Body;
}

async function replyOf<Body>(response: Response): Promise<Reply<Body>> {
  const { status, headers } = response;
  return { status, headers, state: stateOf(headers.get('cache-status') ?? ''), body: (await response.json()) as Body };
}

function stateOf(status: string): Reply['state'] {
  if (/; hit\b/.test(status)) return /; ttl=-/.test(status) ? 'stale' : 'fresh';
  return /; (?:stored|collapsed)\b/.test(status) ? 'loaded' : 'uncached';
}

export const FRAGMENTS = {
  offers: '/api/offers/gold',
  profile: '/api/customers/ada/profile',
  transactions: '/api/customers/ada/transactions',
  balances: '/api/customers/ada/balances',
  'card-controls': '/api/customers/ada/cards',
} as const;

/** An instance of the sample app, and how the tests talk with it. */
export class Bank {
  readonly source: Source;
  readonly cache: CacheGuard;
  private closing: Promise<void> | undefined;

  constructor(
    private readonly app: INestApplication,
    readonly url: string,
  ) {
    this.source = this.of(Source);
    this.cache = this.of(CacheGuard);
  }

  of = <T>(type: abstract new (...args: never[]) => T): T => this.app.get<T>(type, { strict: false });
  close = (): Promise<void> => (this.closing ??= this.app.close());

  page(path: string): Promise<Response> {
    return fetch(this.url + path);
  }

  async get<Body>(path: string): Promise<Reply<Body>> {
    return replyOf<Body>(await this.page(path));
  }

  async value<T>(path: string): Promise<T> {
    const { status, body } = await this.get<T>(path);
    expect(status).toBe(200);
    return body;
  }

  async send(method: string, path: string, body: unknown): Promise<Reply> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const headers = { 'content-type': 'application/json' };
    return replyOf(await fetch(this.url + path, { method, headers, body: text }));
  }

  balance = async (): Promise<number> => (await this.value<{ cents: number }[]>(FRAGMENTS.balances))[0]!.cents;
  blocked = async (): Promise<boolean> =>
    (await this.value<{ blocked: boolean }[]>(FRAGMENTS['card-controls']))[0]!.blocked;
}

/** An instance of its own, with nothing but what is given. */
export async function openBank(config: Partial<SampleConfig>, database: Database | undefined): Promise<Bank> {
  const alone = { port: 0, instance: 'test', originDelayMs: 5, originSlowMs: 900 };
  const app = await createApp({ ...alone, ...config }, { logger: false, database });
  await app.listen(0, '127.0.0.1');
  const bank = new Bank(app, await app.getUrl());
  onTestFinished(bank.close);
  return bank;
}

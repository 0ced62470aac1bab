import { setImmediate } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheGuardModule,
  redisStream,
  type CacheGuardModuleOptions,
  type EventSource,
} from 'nestjs-cache-guard';
import { expect, inject, it, onTestFinished } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { startProxy } from '../support/tcp-proxy.js';
import { failureOf } from './support/app.js';

@Injectable()
class Unknown {
  @Cached({ domain: 'ofers' })
  async get(): Promise<void> {}
}

const source = (name: string, open = async () => {}): EventSource => ({
  name,
  delivery: 'shared',
  open,
  close: async () => {},
});
const followed = { on: 'offer.changed', domain: 'offers', all: true } as const;
const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

it.each<[string, Partial<CacheGuardModuleOptions>, (abstract new () => object)[], string]>([
  ['before the store is open', {}, [Unknown], 'CG_UNKNOWN_DOMAIN'],
  ['by a rule that names no source', { events: { rules: [{ ...followed, from: 'nowhere' }] } }, [], 'CG_INVALID_RULE'],
  [
    'by one of its sources, while the others are open',
    {
      events: {
        rules: [followed],
        sources: [
          redisStream({ stream: uniqueNamespace('s') }),
          source('theirs', () => Promise.reject(new Error('no'))),
        ],
      },
    },
    [],
    'no',
  ],
])(
  'an application that cannot be started leaves nothing open: %s',
  async (_, options, providers, why) => {
    const proxy = await startProxy(Number(new URL(inject('redisUrl')).port));
    onTestFinished(() => proxy.stop());
    const before = timers();
    const root = CacheGuardModule.forRoot({
      namespace: uniqueNamespace(),
      redisUrl: proxy.url,
      domains: { offers: { freshness: 'experience' } },
      ...options,
    });
    const compiled = await Test.createTestingModule({ imports: [root], providers: providers as never }).compile();
    const error = await failureOf(() => compiled.createNestApplication({ logger: false }).init());
    expect((error as { code?: unknown }).code ?? (error as Error).message).toBe(why);
    // Whoever waits by a timer counts his own.
    while (proxy.counts.open > 0 || timers() > before) await setImmediate();
  },
  30_000,
);

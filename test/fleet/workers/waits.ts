import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheGuard, CacheGuardModule, type DomainPolicies, type EventsOptions } from 'nestjs-cache-guard';

/** A plain script: nothing keeps its process alive but what the guard does. Its argument says what it waits for. */
const never = () => new Promise<never>(() => {});
const TTLS = { softTtl: '1h', hardTtl: '2h', jitter: 0 } as const;
const SHORT = { loadTimeout: '60ms', softTimeout: '30ms', lease: { duration: '1s' } } as const;

const domains = {
  plain: { freshness: 'reference' },
  slow: { freshness: 'operational', ...TTLS, ...SHORT, stalePolicy: 'never' },
  stale: { freshness: 'operational', ...TTLS, ...SHORT, softTtl: '1ms', stalePolicy: 'if-error' },
  probed: { freshness: 'operational', ...TTLS, ...SHORT, stalePolicy: 'validate', probe: never },
  paced: { freshness: 'operational', ...TTLS, stalePolicy: 'never', maxLoadsPerSecond: 5 },
  narrow: {
    freshness: 'operational',
    ...TTLS,
    stalePolicy: 'never',
    loadTimeout: '200ms',
    bulkhead: { concurrency: 1, queue: 0 },
  },
  compared: { freshness: 'reference', reconcile: { every: '1h', versions: async (keys) => keys.map(() => '1') } },
  mute: { freshness: 'reference', ...SHORT, reconcile: { every: '1h', versions: never } },
} satisfies DomainPolicies;

const rules: EventsOptions['rules'] = [
  { on: 'changed', domain: 'plain', key: (event: { data: unknown }) => String(event.data) },
];

async function start(sources: EventsOptions['sources'] = []) {
  @Module({
    imports: [
      CacheGuardModule.forRoot({
        namespace: 'waits',
        domains,
        events: { rules, sources },
        warming: [{ name: 'again', domain: 'plain', keys: ['a'], load: async () => 1, every: '1h' }],
      }),
    ],
  })
  class App {}
  const app = await NestFactory.createApplicationContext(App, { logger: false });
  return { app, guard: app.get(CacheGuard) };
}

const event = (id: string) => ({ id, source: '/waits', type: 'changed', data: 'gold' });
const codeOf = (work: Promise<unknown>) => work.catch((error: { code?: unknown }) => error.code);
const gold = (domain: keyof typeof domains) => ({ domain, key: 'gold' });

const cases: Record<string, () => Promise<unknown>> = {
  async publish() {
    const { guard } = await start();
    await guard.events.publish(event('1'));
    return (await guard.events.publish(event('2'))).kind;
  },
  async reconcile() {
    const { guard } = await start();
    for (const key of ['a', 'b']) {
      await guard.getOrLoad({ domain: 'compared', key }, async ({ setVersion }) => (setVersion('0'), key));
    }
    return (await guard.reconcile('compared')).repaired;
  },
  async question() {
    const { guard } = await start();
    await guard.put(gold('mute'), 1, { version: '0' });
    return codeOf(guard.reconcile('mute'));
  },
  async load() {
    const { guard } = await start();
    return codeOf(guard.getOrLoad(gold('slow'), never));
  },
  async refresh() {
    const { guard } = await start();
    return codeOf(guard.refresh(gold('slow'), never));
  },
  async uncacheable() {
    const { guard } = await start();
    await guard.getOrLoad(gold('slow'), async ({ doNotCache }) => doNotCache());
    return codeOf(guard.getOrLoad(gold('slow'), never));
  },
  async soft() {
    const { guard } = await start();
    await guard.getOrLoad(gold('stale'), async () => 'old');
    await sleep(5);
    return guard.getOrLoad(gold('stale'), never);
  },
  async probe() {
    const { guard } = await start();
    await guard.put(gold('probed'), 'old', { version: '1' });
    return guard.getOrLoad(gold('probed'), async () => 'new');
  },
  async turn() {
    const { guard } = await start();
    const loads = ['a', 'b'].map((key) => guard.getOrLoad({ domain: 'paced', key }, async () => key));
    return (await Promise.all(loads)).join();
  },
  async warm() {
    const { guard } = await start();
    const keys = ['a', 'b'];
    return (await guard.warm({ name: 'w', domain: 'paced', keys, load: async () => 1 }).done).done;
  },
  async room() {
    const { guard } = await start();
    void guard.getOrLoad(gold('narrow'), never).catch(() => {});
    return (await guard.warm({ name: 'w', domain: 'narrow', keys: ['a'], load: async () => 1 }).done).state;
  },
  async list() {
    const { guard } = await start();
    const next = async () => ({ done: false, value: 'b' });
    const keys: AsyncIterable<string> = { [Symbol.asyncIterator]: () => ({ next, return: never }) };
    const load = async () => void warming.stop();
    const warming = guard.warm({ name: 'w', domain: 'plain', keys, load });
    return (await warming.done).state;
  },
  async close() {
    const { app, guard } = await start();
    const reading = codeOf(guard.getOrLoad(gold('plain'), never));
    await app.close();
    return reading;
  },
  async source() {
    const { app, guard } = await start([{ name: 'hangs', delivery: 'each', open: never, close: never }]);
    const published = await guard.events.publish(event('1'));
    await app.close();
    return published.kind;
  },
  /** Waits for nothing. */
  async idle() {
    const { guard } = await start();
    await guard.events.publish(event('1'));
    await guard.getOrLoad(gold('paced'), async () => 1);
    await guard.getOrLoad(gold('stale'), async () => 1);
    await guard.reconcile('compared');
    return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  },
};

process.stdout.write(`${String(await cases[process.argv[2]!]!())}\n`);

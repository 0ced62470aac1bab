import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { CacheGuard, CacheGuardModule, redisStream, type CacheGuardEvent } from 'nestjs-cache-guard';
import { Test } from '@nestjs/testing';
import { expect, onTestFinished, test, vi } from 'vitest';
import { PROJECT_ROOT } from '../support/paths.js';
import { startRedis } from '../support/redis-server.js';

const page = readFileSync(join(PROJECT_ROOT, 'docs', 'redis.md'), 'utf8');
const rightsIn = (line: RegExp): string[] =>
  [...line.exec(page)![0].matchAll(/[~&+-][@\w:*<>|]+/g)].map(([right]) => right);

/** What the page says, for the namespace `bank` and the stream `changes`. */
const rules = [
  'resetchannels',
  ...rightsIn(/^ACL SETUSER .*$/m),
  ...rightsIn(/^\| `mode: 'purge'` .*$/m),
  ...rightsIn(/^\| domain events from a Redis Stream .*$/m),
].flatMap((right) => (right.startsWith('~<') ? ['~changes', '~changes:dead', '~{changes}:dead'] : [right]));

const target = { domain: 'offers', key: 'gold' };
const tags = ['all'];
const event = (id: string, data: unknown = 'gold') => ({ id, source: '/bank', type: 'offer.changed', data });
const inStream = (given: unknown) => ['changes', '*', 'event', JSON.stringify(given)] as const;

test('the documented rights are enough for everything that is sent', async () => {
  const server = await startRedis({ users: [{ name: 'app', password: 'secret', rules }] });
  onTestFinished(() => server.stop());
  const admin = new Redis(server.url);
  onTestFinished(() => admin.disconnect());

  const current = vi.fn(async (keys: readonly unknown[]) => keys.map(() => 2n));
  const root = CacheGuardModule.forRoot({
    namespace: 'bank',
    redisUrl: server.urlFor('app'),
    domains: { offers: { freshness: 'reference', reconcile: { every: '1h', versions: current } } },
    events: {
      rules: [{ on: 'offer.changed', domain: 'offers', key: ({ data }) => data as string }],
      sources: [redisStream({ stream: 'changes', maxTries: 1, from: 'start' })],
    },
  });
  const app = (await Test.createTestingModule({ imports: [root] }).compile()).createNestApplication({ logger: false });
  onTestFinished(() => app.close());
  const guard = app.get(CacheGuard);
  const heard: CacheGuardEvent[] = [];
  guard.on((one) => heard.push(one));
  await app.init();

  const load = async ({ setVersion }: { setVersion: (version: bigint) => void }) => (setVersion(1n), 'offer');
  await guard.getOrLoad({ ...target, tags }, load);
  expect(await guard.peek({ ...target, tags })).toMatchObject({ value: 'offer' });
  expect(await guard.reconcile('offers')).toMatchObject({ checked: 1, drifted: 1 });
  await guard.put(target, 'put', { version: 3n });
  await guard.invalidate(target);
  for (const mode of ['expire', 'purge'] as const) await guard.invalidateTags({ domain: 'offers', tags, mode });
  await guard.invalidateDomain('offers');
  await expect(guard.getOrLoad({ ...target, key: 'tin' }, () => Promise.reject(new Error('no tin')))).rejects.toThrow(
    'no tin',
  );
  expect(
    await guard.warm({ name: 'boot', domain: 'offers', keys: ['gold'], load: async () => 1, rest: '1m' }).done,
  ).toMatchObject({
    state: 'done',
  });
  expect(await guard.events.publish(event('1'))).toMatchObject({ outcome: 'applied' });

  await admin.xadd(...inStream(event('2')));
  await admin.xadd(...inStream({ poison: true }));
  await vi.waitFor(() => expect(heard).toContainEqual(expect.objectContaining({ type: 'dead-letter' })), 10_000);
  await vi.waitFor(
    () =>
      expect(heard).toContainEqual(
        expect.objectContaining({ type: 'domain-events', source: 'changes', outcome: 'applied' }),
      ),
    10_000,
  );
  expect(await admin.exists('changes:dead', '{changes}:dead')).toBe(1);

  await app.close();
  expect(heard.filter(({ type }) => type === 'store-error' || type === 'event-source-error')).toEqual([]);
  const refused = (await admin.call('ACL', 'LOG')) as unknown[][];
  // ioredis tries to name its connections.
  expect(
    refused.map((entry) => String(entry[entry.indexOf('object') + 1])).filter((object) => !object.startsWith('client')),
  ).toEqual([]);
});

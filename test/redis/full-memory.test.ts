import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { Codecs } from '../../lib/adapters/codecs/index.js';
import { makeBreaker } from '../../lib/adapters/breaker.js';
import { RedisStore } from '../../lib/adapters/redis/redis-store.js';
import { systemClock, systemIds } from '../../lib/adapters/system.js';
import { CacheGuard } from '../../lib/engine/cache-guard.js';
import { Domains } from '../../lib/engine/domains.js';
import { startRedis } from '../support/redis-server.js';

test('promise 3: a Redis that is full and evicts nothing still takes invalidations', async () => {
  const server = await startRedis({ args: ['--maxmemory', '3mb', '--maxmemory-policy', 'noeviction'] });
  onTestFinished(() => server.stop());
  const domains = new Domains();
  domains.register({ balances: { freshness: 'critical', softTtl: '1m' } }, 'test');
  const ids = systemIds();
  const connect = { url: server.url };
  const store = new RedisStore({
    namespace: 'full',
    connect,
    clock: systemClock,
    ids,
    commandTimeoutMs: 2_000,
    makeBreaker,
  });
  const guard = new CacheGuard({ domains, store, clock: systemClock, ids, codecs: new Codecs() });
  await guard.open();
  onTestFinished(() => guard.close());
  const target = (key: string) => ({ domain: 'balances', key, tags: [`tag ${key}`] });
  for (const key of ['by key', 'by tag', 'by domain']) await guard.getOrLoad(target(key), async () => 'old');

  const filler = new Redis(server.url);
  onTestFinished(() => filler.disconnect());
  const fill = async () => {
    for (let i = 0; i < 1_000; i++) await filler.set(`filler ${i}`, Buffer.alloc(20_000));
  };
  await expect(fill()).rejects.toThrow('OOM');

  await guard.invalidate(target('by key'));
  await guard.invalidateTags({ domain: 'balances', tags: ['tag by tag'] });
  for (const key of ['by key', 'by tag']) expect(await guard.getOrLoad(target(key), async () => 'new')).toBe('new');
  expect(await guard.getOrLoad(target('by domain'), async () => 'new')).toBe('old');
  await guard.invalidateDomain('balances');
  expect(await guard.getOrLoad(target('by domain'), async () => 'new')).toBe('new');
});

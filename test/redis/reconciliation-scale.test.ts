import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { makeBreaker } from '../../lib/adapters/breaker.js';
import { Codecs } from '../../lib/adapters/codecs/index.js';
import { Keyspace } from '../../lib/adapters/redis/keyspace.js';
import { RedisStore } from '../../lib/adapters/redis/redis-store.js';
import { systemClock, systemIds } from '../../lib/adapters/system.js';
import { encodeEntry } from '../../lib/core/entry.js';
import { Sealing } from '../../lib/core/sealing.js';
import { entryKey, keySegment } from '../../lib/core/keys.js';
import { CacheGuard } from '../../lib/engine/cache-guard.js';
import { CallRecords } from '../../lib/engine/call-records.js';
import type { GuardedCall } from '../../lib/engine/call.js';
import { Domains } from '../../lib/engine/domains.js';
import { startRedis } from '../support/redis-server.js';

const KEYS = 100_000;
const BATCH = 500;
const PAYLOAD = Buffer.alloc(500, 'x');
/** All of it would be more than 50 MB of payloads alone, and as much again of what is compared. */
const MOST_GROWTH = 24 * 1024 * 1024;
const DAY_MS = 86_400_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What is alive. */
function memory(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test(`${KEYS} keys are reconciled in bounded memory and bounded steps`, { timeout: 120_000 }, async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const asked = { calls: 0, keys: 0, most: 0, memory: [] as number[] };
  const versions = async (keys: readonly unknown[]): Promise<bigint[]> => {
    asked.keys += keys.length;
    asked.most = Math.max(asked.most, keys.length);
    if (asked.calls++ % 40 === 0) asked.memory.push(memory());
    return keys.map((key) => (Number(key) % 1_000 === 0 ? 2n : 1n));
  };
  const domains = new Domains();
  const reconcile = { every: '1d', versions, batch: BATCH } as const;
  domains.register(
    { offers: { freshness: 'reference', softTtl: '1d', hardTtl: '2d', stalePolicy: 'never', reconcile } },
    'the test',
  );
  const ids = systemIds();
  const store = new RedisStore({
    namespace: 'scale',
    connect: { url: server.url },
    clock: systemClock,
    ids,
    commandTimeoutMs: 5_000,
    makeBreaker,
  });
  const codecs = new Codecs();
  const guard = new CacheGuard({ domains, store, clock: systemClock, ids, codecs });
  await guard.open({ scheduled: false });
  onTestFinished(() => guard.close());

  const raw = new Redis(server.url);
  onTestFinished(() => raw.disconnect());
  const keyspace = new Keyspace('scale');
  const records = new CallRecords(store, codecs, new Sealing(undefined, () => false));
  const policy = domains.policy('offers');
  const now = Date.now();
  const common = {
    flags: 0,
    codec: 1,
    loadMs: 1,
    etag: undefined,
    epoch: 1,
    schema: 1,
    provenance: 'test',
    stamps: [],
  };
  const times = { beganMs: now, softMs: now + DAY_MS, hardMs: now + 2 * DAY_MS, whileRevalidateMs: 0, ifErrorMs: 0 };
  for (let from = 0; from < KEYS; from += 5_000) {
    const writes = raw.pipeline();
    for (let i = from; i < from + 5_000; i++) {
      const key = entryKey({ domain: 'offers', segment: keySegment(i) });
      const id = i.toString(16).padStart(16, '0');
      const bytes = encodeEntry({ ...common, ...times, id, version: 1n, payload: PAYLOAD });
      const record = records.take({ policy, key, keyInput: i } as unknown as GuardedCall)!;
      writes.set(keyspace.entry(key), bytes, 'PX', 2 * DAY_MS).set(keyspace.record(key), record, 'PX', 2 * DAY_MS);
      // Nobody's business.
      if (i % 10 === 0) writes.set(`scale:e:{other:::n.${i}}`, bytes);
    }
    await writes.exec();
  }

  const report = await guard.reconcile('offers');
  expect(report).toMatchObject({ drifted: KEYS / 1_000, repaired: KEYS / 1_000, unchecked: 0 });
  // A walk may come across some of them twice, and across each of them at least once.
  expect(report.checked).toBeGreaterThanOrEqual(KEYS);
  expect(report.checked).toBeLessThan(KEYS * 1.05);
  expect(asked.keys).toBe(report.checked);
  expect(asked.most).toBe(BATCH);
  expect(asked.memory.length).toBeGreaterThanOrEqual(5);
  expect(Math.max(...asked.memory) - asked.memory[0]!).toBeLessThan(MOST_GROWTH);

  const commands = await raw.info('commandstats');
  const calls = (name: string) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(commands)?.[1] ?? 0);
  expect(calls('keys')).toBe(0);
  expect(calls('scan')).toBeGreaterThan(KEYS / BATCH);
});

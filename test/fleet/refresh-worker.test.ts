import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { startWorker, type FleetWorker } from '../support/fleet-worker.js';
import { uniqueNamespace } from '../support/namespace.js';
import { startOrigin, type Origin } from './support/origin.js';
import type { RefresherOptions } from './support/protocol.js';

const APPLIED = { kind: 'done', outcome: 'applied' };

let origin: Origin;
const workers: FleetWorker[] = [];

async function start(namespace: string, name: string, role: RefresherOptions['role']): Promise<FleetWorker> {
  const worker = await startWorker('refresher', { execArgv: [] });
  workers.push(worker);
  const options: RefresherOptions = { name, namespace, role, origin: origin.url, redisUrl: inject('redisUrl') };
  await worker.call('boot', options);
  return worker;
}

beforeAll(async () => {
  origin = await startOrigin();
});

afterAll(async () => {
  expect(await Promise.all(workers.map((worker) => worker.stop()))).not.toContain(false);
  await origin.close();
});

describe('a refresh after an event', () => {
  test('is done by a worker and by no web process, once for each key', async () => {
    const namespace = uniqueNamespace('refresh');
    const [web, , reader] = await Promise.all([
      start(namespace, 'web1', 'web'),
      start(namespace, 'worker1', 'worker'),
      start(namespace, 'web2', 'web'),
      start(namespace, 'worker2', 'worker'),
    ]);
    const ids = Array.from({ length: 20 }, (_, n) => `eur.${n}`);
    await Promise.all(ids.map((id) => web.call('read', id)));
    for (const id of ids) origin.bump(id);
    const verdicts = await Promise.all(ids.map((id) => web.call('publish', id)));
    expect(verdicts).toEqual(ids.map(() => APPLIED));
    const fresh = { state: 'fresh', version: 2 };
    await expect
      .poll(() => Promise.all(ids.map((id) => reader.call('peek', id))), { timeout: 10_000 })
      .toEqual(ids.map(() => fresh));
    for (const id of ids) {
      expect(origin.loads(id).map(({ process }) => process.replace(/\d/, ''))).toEqual(['web', 'worker']);
    }
  });

  test('waits for a worker, and is done by another one if the first dies in mid-load', async () => {
    const namespace = uniqueNamespace('refresh');
    const web = await start(namespace, 'web', 'web');
    await web.call('read', 'usd');
    origin.bump('usd');
    await origin.next('usd');
    origin.hold('usd');
    expect(await web.call('publish', 'usd')).toEqual(APPLIED);

    const first = await start(namespace, 'first', 'worker');
    const lost = await origin.next('usd');
    expect(lost.process).toBe('first');
    await start(namespace, 'second', 'both');
    await first.kill();
    workers.splice(workers.indexOf(first), 1);
    const load = await origin.next('usd');
    expect(load.process).toBe('second');
    await load.release();
    await expect.poll(() => web.call('peek', 'usd')).toEqual({ state: 'fresh', version: 2 });
    expect(origin.loads('usd')).toHaveLength(3);
  });
});

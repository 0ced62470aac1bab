import { setTimeout as pause } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { startCluster } from '../support/redis-cluster.js';
import { startFleet } from './support/fleet.js';
import { startOrigin } from './support/origin.js';

/** How far apart the processes end: a client of a hanging cluster is in one state or another for about as long. */
const APART_MS = 400;

it('promise 15: nothing keeps a process whose cluster hangs, in whatever state it is closed', async () => {
  const [cluster, origin, fleet] = await Promise.all([startCluster(), startOrigin(), startFleet(8)]);
  onTestFinished(async () => {
    await Promise.all([fleet.kill(), origin.close(), cluster.stop()]);
  });
  const policy = { freshness: 'operational', softTtl: '1m', hardTtl: '1m', stalePolicy: 'never' } as const;
  await fleet.boot({ origin: origin.url, policy, redis: { cluster: cluster.nodes } });
  await Promise.all(cluster.servers.map((server) => server.pause()));
  await fleet.all((member) => member.seen({ type: 'store-state', state: 'away' }));
  const ended = await Promise.all(
    fleet.members.map(async ({ worker }, index) => {
      await pause(index * APART_MS);
      return (await worker.stop()) || worker.log;
    }),
  );
  expect(ended).toEqual(ended.map(() => true));
});

import { Cluster, Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { startCluster } from '../support/redis-cluster.js';
import { startSentinel, type RedisSentinel } from '../support/redis-sentinel.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** Every process of the group is gone: nothing answers the signal 0. */
function areGone(pids: readonly number[]): boolean {
  return pids.every((pid) => {
    try {
      return !process.kill(pid, 0);
    } catch {
      return true;
    }
  });
}

async function ownSentinel(): Promise<RedisSentinel> {
  const sentinel = await startSentinel();
  cleanups.push(() => sentinel.stop());
  return sentinel;
}

/** A client that asks the sentinels where the master is. */
function connectBy(sentinel: RedisSentinel): Redis {
  const client = new Redis({
    sentinels: sentinel.sentinels,
    name: sentinel.name,
    sentinelRetryStrategy: () => 50,
    retryStrategy: () => 50,
    maxRetriesPerRequest: null,
  });
  client.on('error', () => undefined);
  cleanups.push(() => client.disconnect());
  return client;
}

describe('startSentinel', () => {
  it('fails over to the replica when the master is killed, and takes the old master back as a replica', async () => {
    const sentinel = await ownSentinel();
    const client = connectBy(sentinel);
    await client.set('key', 'before');
    expect(await client.wait(1, 1_000)).toBe(1);
    expect(await sentinel.masterUrl()).toBe(sentinel.servers[0].url);

    const old = await sentinel.killMaster();
    expect(old).toBe(sentinel.servers[0]);
    const promoted = sentinel.otherThan(old);
    await sentinel.untilMaster(promoted);
    expect(await sentinel.master()).toBe(promoted);
    expect(await client.get('key')).toBe('before');
    await client.set('key', 'after');

    await sentinel.restartOld(old);
    expect(await old.command('GET', 'key')).toBe('after');
    await expect(old.command('SET', 'key', 'x')).rejects.toThrow('READONLY');

    // And back again.
    expect(await sentinel.killMaster()).toBe(promoted);
    await sentinel.untilMaster(old);
    expect(await client.get('key')).toBe('after');
  }, 90_000);

  it('fails over when the master hangs, which then comes back thinking that it is one', async () => {
    const sentinel = await ownSentinel();
    const old = await sentinel.pauseMaster();
    await sentinel.untilMaster(sentinel.otherThan(old));
    old.resume();
    expect(await old.command('INFO', 'replication')).toContain('role:master');
    const pids = [...sentinel.servers, ...sentinel.sentinelServers].map(({ pid }) => pid);
    expect(pids).toHaveLength(5);
    await sentinel.stop();
    expect(areGone(pids)).toBe(true);
  }, 60_000);
});

describe('startCluster with replicas', () => {
  it('promotes the replica of a killed master, and keeps what it had', async () => {
    const cluster = await startCluster({ replicas: true });
    cleanups.push(() => cluster.stop());
    expect(cluster.replicas).toHaveLength(3);
    const client = new Cluster(cluster.nodes, { clusterRetryStrategy: () => 50 });
    cleanups.push(() => client.disconnect());
    const keys = Array.from({ length: 30 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    await cluster.untilReplicated();

    const promoted = await cluster.killMaster(1);
    expect(promoted).toBe(cluster.replicas[1]);
    expect(cluster.servers[1]!.isRunning).toBe(false);
    await cluster.untilCovered();
    expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys);

    await cluster.servers[1]!.restart();
    await cluster.untilCovered();
    expect(await cluster.killMaster(2)).toBe(cluster.replicas[2]);
    expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys);
  }, 90_000);
});

import { setImmediate } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { StreamLink } from '../../lib/adapters/redis/stream/stream-link.js';
import { startSentinel } from '../support/redis-sentinel.js';
import { startRedis, until, type RedisServer } from '../support/redis-server.js';
import { DONE, StreamBench, type Heard } from './support/stream.js';

const benches: StreamBench[] = [];
afterEach(async () => {
  for (const one of benches.splice(0)) await one.close();
});

const KEEPS = ['--appendonly', 'yes', '--appendfsync', 'always'];

async function own(args: readonly string[] = []): Promise<{ server: RedisServer; b: StreamBench }> {
  const server = await startRedis({ args });
  const b = StreamBench.on(server.url);
  benches.push(b);
  b.finally(() => server.stop());
  return { server, b };
}

const came = (heard: Heard, ...ids: readonly string[]) =>
  until(`${ids.join()} came`, async () => ids.every((id) => heard.ids.includes(id)));

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

describe('a Redis', () => {
  it('that hangs: it is told, no lag is, and it goes on where it was', async () => {
    const { server, b } = await own();
    const { heard } = await b.follow({ commandTimeoutMs: 300 });
    await b.publish('a');
    await came(heard, 'a');
    await server.pause();
    await until('trouble is told', async () => heard.troubles.length >= 2);
    const said = heard.lags.length;
    const troubled = heard.troubles.length;
    await until('and again', async () => heard.troubles.length >= troubled + 2);
    expect(heard.lags.length).toBe(said);
    server.resume();
    await b.publish('b');
    await came(heard, 'b');
    await until('lag is told', async () => heard.lags.length > said);
    expect(heard.ids).toEqual(['a', 'b']);
    expect(heard.losses).toEqual([]);
  });

  it('that is restarted: what was not acknowledged comes again, and nothing is lost', async () => {
    const { server, b } = await own(KEEPS);
    let go = () => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    const { heard } = await b.follow({ claimAfterMs: 200 }, (other) => {
      other.answer = (id) => (id === 'slow' ? gate.then(() => DONE) : DONE);
    });
    await b.publish('slow', 'a');
    await came(heard, 'slow');
    await server.kill();
    go();
    await until('trouble is told', async () => heard.troubles.length > 0);
    await server.restart();
    await b.publish('b');
    await came(heard, 'b');
    await until('nothing is pending', async () => (await b.pending()) === 0);
    expect(heard.losses).toEqual([]);
  });

  it('that is not there at boot: the boot takes no longer than a command, and it follows later', async () => {
    const { server, b } = await own(KEEPS);
    await b.makeGroup();
    await b.publish('waiting');
    await server.kill();
    let heard: Heard | undefined;
    expect(await timed(async () => ({ heard } = await b.follow({ commandTimeoutMs: 300 })))).toBeLessThan(1_500);
    await until('trouble is told', async () => heard!.troubles.length > 0);
    await server.restart();
    await came(heard!, 'waiting');
  });

  it('that hangs at boot and at the end: both are over in bounded time', async () => {
    const { server, b } = await own();
    await server.pause();
    const source = b.source({ commandTimeoutMs: 300 });
    const { heard } = await b.follow({ commandTimeoutMs: 300 });
    expect(heard.troubles.every((error) => (error as Error).name === 'CacheGuardStoreError')).toBe(true);
    expect(await timed(() => source.open(heard))).toBeLessThan(1_500);
    expect(await timed(() => source.close())).toBeLessThan(3_000);
    server.resume();
  });

  it('has no connection of the source left when that is closed', async () => {
    const { server, b } = await own();
    const { source, heard } = await b.follow();
    await b.publish('a');
    await came(heard, 'a');
    const ours = async () => {
      const clients = (await server.command('CLIENT', 'LIST')).split('\n');
      return clients.filter((line) => / cmd=(xread|eval|xack|xpending)/.test(line));
    };
    await until('they are seen', async () => (await ours()).length === 2);
    await source.close();
    await until('they are closed', async () => (await ours()).length === 0);
  });

  it('whose master dies: its heir is asked, and nothing is lost that it has', async () => {
    const sentinel = await startSentinel();
    const options = { sentinels: sentinel.sentinels, name: sentinel.name, sentinelRetryStrategy: () => 50 };
    const b = new StreamBench({ options }, sentinel.servers[0].url);
    benches.push(b);
    b.finally(() => sentinel.stop());
    const { heard } = await b.follow({ commandTimeoutMs: 500 });
    await b.publish('a');
    await came(heard, 'a');
    await sentinel.untilReplica(sentinel.servers[1]);
    await sentinel.killMaster();
    await sentinel.untilMaster(sentinel.servers[1]);
    await until('the heir takes it', () => b.publish('b').then(() => true));
    await came(heard, 'b');
    expect(heard.losses).toEqual([]);
  }, 60_000);
});

describe('StreamLink', () => {
  it('ends what waits when it is closed, with no timer left', async () => {
    const { b } = await own();
    const clock = new FakeClock();
    const link = new StreamLink(b.connect, clock, 10_000);
    const blocking = link.run(
      's',
      'XREAD',
      (node) => node.callBuffer('XREAD', 'BLOCK', 60_000, 'STREAMS', 's', '$'),
      60_000,
    );
    const ended = blocking.catch((error: unknown) => error);
    await until('it blocks', async () => /blocked_clients:1/.test(await b.raw.info('clients')));
    link.close();
    expect(await ended).toMatchObject({ code: 'CG_STORE_UNAVAILABLE' });
    expect(clock.pending).toBe(0);
    await expect(link.run('s', 'PING', (node) => node.callBuffer('PING'))).rejects.toThrow('closed');
  });

  it('ends what waits for a connection to a cluster when it is closed, however far that has come', async () => {
    const client = new Cluster(inject('clusterNodes'), { lazyConnect: true });
    for (let turns = 0; turns < 40; turns++) {
      const clock = new FakeClock();
      const link = new StreamLink({ client }, clock, 10_000);
      const waiting = link.run('s', 'PING', (node) => node.callBuffer('PING')).catch(() => {});
      for (let turn = 0; turn < turns; turn++) await setImmediate();
      link.close();
      await waiting;
      expect(clock.pending).toBe(0);
    }
    client.disconnect();
  });

  it('opens a new connection after a command that was not answered', async () => {
    const { server, b } = await own();
    const clock = new FakeClock();
    const link = new StreamLink(b.connect, clock, 1_000);
    b.finally(() => link.close());
    const id = async () => Number(await link.run('s', 'CLIENT', (node) => node.callBuffer('CLIENT', 'ID')));
    const first = await id();
    expect(await id()).toBe(first);
    await server.pause();
    const hung = id().catch((error: unknown) => error);
    await clock.run(1_000);
    await clock.run(1);
    expect(await hung).toMatchObject({ code: 'CG_STORE_UNAVAILABLE' });
    server.resume();
    expect(await id()).toBeGreaterThan(first);
    expect(clock.pending).toBe(0);
  });
});

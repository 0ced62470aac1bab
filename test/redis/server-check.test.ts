import { Injectable } from '@nestjs/common';
import { Redis } from 'ioredis';
import { Cached, CacheGuardModule, isCacheGuardError, type CacheGuardModuleOptions } from 'nestjs-cache-guard';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { connectionOf, type Advice } from '../../lib/adapters/redis/server-check.js';
import { ServerWatch } from '../../lib/adapters/redis/server-watch.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { createApp, failureOf, startApp } from '../e2e/support/app.js';
import { uniqueNamespace } from '../support/namespace.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';

const serverOf = async (...args: string[]): Promise<RedisServer> => {
  const server = await startRedis({ args });
  onTestFinished(() => server.stop());
  return server;
};

const clientOf = async (url: string): Promise<Redis> => {
  const client = new Redis(url);
  onTestFinished(() => client.disconnect());
  await client.ping();
  return client;
};

/** A server that claims to be older than it is, by the first digit of its version. */
async function oldRedis(): Promise<{ server: RedisServer; proxy: TcpProxy; version: string }> {
  const server = await serverOf();
  const proxy = await startProxy(server.port);
  onTestFinished(() => proxy.stop());
  const found = /^redis_version:(\d)(\S*)/m.exec(await server.command('INFO', 'server'))!;
  const version = `6${found[2]}`;
  proxy.rewrite(`redis_version:${found[1]}${found[2]}`, `redis_version:${version}`);
  return { server, proxy, version };
}

@Injectable()
class Offers {
  loads = 0;

  @Cached({ domain: 'offers', key: (id: string) => id })
  async get(_id: string): Promise<number> {
    return ++this.loads;
  }
}

const metadata = (options: Partial<CacheGuardModuleOptions>) => ({
  imports: [
    CacheGuardModule.forRoot({
      namespace: uniqueNamespace(),
      domains: { offers: { freshness: 'experience', stalePolicy: 'never' } },
      ...options,
    }),
  ],
  providers: [Offers],
});

const aboutVersion = (lines: string[]) => lines.filter((line) => line.includes('7.0 or newer'));

describe('a Redis that is too old', () => {
  it('gives way to the embedded store, with one line in the log and no connection left', async () => {
    const { server, proxy, version } = await oldRedis();
    const { app, events, logs, guard, of } = await startApp(metadata({ redisUrl: proxy.url }));
    const line = expect.stringMatching(
      new RegExp(`127\\.0\\.0\\.1:${proxy.port} has version ${version}, .*memory store`),
    );
    expect(logs.of('warn')).toEqual([line]);
    expect(events.filter(({ type }) => type === 'advice')).toEqual([
      { type: 'advice', code: 'unsupported-version', text: line },
    ]);
    await vi.waitFor(() => expect(proxy.counts.open).toBe(0));

    const offers = of<Offers>(Offers);
    const both = await Promise.all([offers.get('a'), offers.get('a')]);
    expect([...both, await offers.get('a')]).toEqual([1, 1, 1]);
    expect(await guard.invalidate({ domain: 'offers', key: 'a' })).toEqual({ outcome: 'applied' });
    expect(await offers.get('a')).toBe(2);
    await app.close();
    expect(await server.command('DBSIZE')).toBe('0');
    expect(aboutVersion(logs.lines.map(({ text }) => text))).toHaveLength(1);
    expect(proxy.counts.open).toBe(0);
  });

  it('gives way also after writes that came before the start, and what they invalidate is carried out', async () => {
    const { proxy } = await oldRedis();
    const { app, guard, events, logs, of } = await createApp(metadata({ redisUrl: proxy.url }));
    expect(await guard.invalidate({ domain: 'offers', key: 'a' })).toEqual({ outcome: 'pending' });
    await vi.waitFor(() =>
      expect(events).toContainEqual(expect.objectContaining({ type: 'store-state', state: 'away' })),
    );
    await app.init();
    expect(aboutVersion(logs.of('warn'))).toEqual([expect.stringContaining('memory store')]);
    await vi.waitFor(() => expect(events).toContainEqual(expect.objectContaining({ outcome: 'carried-out' })));
    const offers = of<Offers>(Offers);
    for (const key of ['a', 'b']) {
      const load = await offers.get(key);
      expect(await offers.get(key)).toBe(load);
    }
  });

  it('fails the boot where that is asked for', async () => {
    const { proxy, version } = await oldRedis();
    const { app } = await createApp(metadata({ redisUrl: proxy.url, unsupportedRedis: 'refuse' }));
    const error = await failureOf(() => app.init());
    expect(isCacheGuardError(error, 'CG_UNSUPPORTED_REDIS')).toBe(true);
    expect(error).toMatchObject({ name: 'CacheGuardConfigError', field: 'unsupportedRedis' });
    expect(String(error)).toMatch(new RegExp(`${version}.*7\\.0.*unsupportedRedis.*upgrade`, 's'));
    await vi.waitFor(() => expect(proxy.counts.open).toBe(0));
  });

  it('is not used either when it turns up after the boot', async () => {
    const { server, proxy, version } = await oldRedis();
    proxy.down();
    const { app, events, logs, of } = await startApp(
      metadata({ redisUrl: proxy.url, commandTimeout: '100ms', unsupportedRedis: 'refuse' }),
    );
    expect(aboutVersion(logs.of('warn'))).toEqual([]);
    proxy.up();
    const advised = () => events.filter((event) => event.type === 'advice' && event.code === 'unsupported-version');
    await vi.waitFor(() => expect(advised()).toHaveLength(1), 10_000);
    const offers = of<Offers>(Offers);
    expect([await offers.get('a'), await offers.get('a')]).toEqual([1, 2]);
    expect(aboutVersion(logs.of('warn'))).toEqual([expect.stringContaining(version)]);
    expect(await server.command('DBSIZE')).toBe('0');
    await app.close();
  });

  it('is told from one that is new enough', async () => {
    const server = await serverOf();
    const { logs, of } = await startApp(metadata({ redisUrl: server.url, unsupportedRedis: 'refuse' }));
    await of<Offers>(Offers).get('a');
    expect(aboutVersion(logs.lines.map(({ text }) => text))).toEqual([]);
    expect(Number(await server.command('DBSIZE'))).toBeGreaterThan(0);
  });
});

describe('the watch on a server', () => {
  const watchOn = async (url: string) => {
    const client = await clientOf(url);
    const heard: Advice[] = [];
    const clock = new FakeClock();
    const watch = new ServerWatch(clock, (advice) => heard.push(advice));
    const node = { connection: connectionOf(client), info: () => client.info('server', 'memory', 'stats') };
    return { client, clock, heard, look: () => watch.look([node]), codes: () => heard.map(({ code }) => code) };
  };

  it('has nothing to say of one that is limited and evicts nothing', async () => {
    const server = await serverOf('--maxmemory', '64mb', '--maxmemory-policy', 'noeviction');
    const { look, codes } = await watchOn(server.url);
    await look();
    expect(codes()).toEqual([]);
  });

  it('mentions that there is no limit', async () => {
    const server = await serverOf('--maxmemory', '0');
    const { look, codes } = await watchOn(server.url);
    await look();
    expect(codes()).toEqual(['no-memory-limit']);
  });

  it('advises on eviction, headroom, and tells of evictions', async () => {
    const server = await serverOf('--maxmemory', '4mb', '--maxmemory-policy', 'volatile-ttl');
    const { client, clock, heard, look, codes } = await watchOn(server.url);
    await look();
    expect(codes()).toEqual(['evicting-policy']);
    expect(heard[0]!.text).toMatch(new RegExp(`127\\.0\\.0\\.1:${server.port} evicts by volatile-ttl`));

    for (let i = 0; i < 400; i++) await client.set(`filler ${i}`, Buffer.alloc(20_000), 'PX', 600_000);
    await look();
    expect(codes()).toEqual(['evicting-policy', 'little-headroom', 'evicting']);
    const evicted = async () => Number(/^evicted_keys:(\d+)/m.exec(await server.command('INFO', 'stats'))![1]);
    const told = (text: string) => Number(/has evicted (\d+) keys/.exec(text)![1]);
    expect(told(heard[2]!.text)).toBeGreaterThan(100);
    expect(told(heard[2]!.text)).toBeLessThanOrEqual(await evicted());

    // A question may itself cause an eviction, while there is no room for its answer.
    await client.config('SET', 'maxmemory', '64mb');
    const rest = (await evicted()) - told(heard[2]!.text);
    clock.advance(30_000);
    await look();
    expect(heard.slice(3).map(({ text }) => told(text))).toEqual(rest > 0 ? [rest] : []);
    clock.advance(30_000);
    await look();
    expect(heard).toHaveLength(rest > 0 ? 4 : 3);
  });

  it('is heard through the application, each thing once', async () => {
    const server = await serverOf('--maxmemory', '4mb', '--maxmemory-policy', 'allkeys-lru');
    const { events, logs } = await startApp(metadata({ redisUrl: server.url }));
    const advised = () => events.flatMap((event) => (event.type === 'advice' ? [event.code] : []));
    await vi.waitFor(() => expect(advised()).toEqual(['evicting-policy']));
    expect(logs.of('warn')).toEqual([expect.stringContaining('evicts by allkeys-lru')]);
  });

  it('knows a Unix socket', async () => {
    const socket = join(tmpdir(), `${uniqueNamespace()}.sock`);
    const server = await serverOf('--unixsocket', socket);
    const client = new Redis(socket);
    onTestFinished(() => client.disconnect());
    await client.ping();
    expect(connectionOf(client)).toMatchObject({ path: socket, tls: false });
    expect(connectionOf(await clientOf(server.url))).toEqual({
      host: '127.0.0.1',
      port: server.port,
      tls: false,
      path: undefined,
    });
  });
});

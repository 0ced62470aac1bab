import { Redis } from 'ioredis';
import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { encodeCommand } from '../support/resp.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { whyNoTls } from '../support/tls.js';

const NO_TLS = await whyNoTls();
const SILENCE = { text: '', ended: false };
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function ownRedis(options: Parameters<typeof startRedis>[0] = {}): Promise<RedisServer> {
  const server = await startRedis(options);
  cleanups.push(() => server.stop());
  return server;
}

async function proxyTo(server: RedisServer): Promise<TcpProxy> {
  const proxy = await startProxy(server.port);
  cleanups.push(() => proxy.stop());
  return proxy;
}

function connect(url: string, ca?: string): Redis {
  const retry = { maxRetriesPerRequest: 0, retryStrategy: () => 20 };
  const client = new Redis(url, { ...retry, ...(ca !== undefined && { tls: { ca } }) });
  client.on('error', () => undefined);
  cleanups.push(() => client.disconnect());
  return client;
}

/** A connection without a client library: what comes over it, and whether it was told of an end. */
async function connectRaw(port: number) {
  const socket = createConnection({ host: '127.0.0.1', port });
  const seen = { text: '', ended: false };
  socket.setEncoding('utf8').on('data', (text: string) => (seen.text += text));
  socket.on('end', () => (seen.ended = true)).on('error', () => (seen.ended = true));
  cleanups.push(() => socket.destroy());
  await new Promise((resolve) => socket.once('connect', resolve));
  return { seen, socket, send: (...args: string[]) => socket.write(encodeCommand(args)) };
}

describe('restart from', () => {
  it.each([
    { persistence: 'none', args: [] },
    { persistence: 'AOF', args: ['--appendonly', 'yes', '--appendfsync', 'no'] },
  ])('a snapshot: the older state, after a crash (persistence: $persistence)', async ({ args }) => {
    const server = await ownRedis({ args });
    await server.command('SET', 'key', 'old');
    await server.snapshot();
    await server.command('SET', 'key', 'new');
    await server.command('SET', 'other', 'new');
    await server.kill();
    await server.restart({ from: 'snapshot' });
    expect(await server.command('GET', 'key')).toBe('old');
    expect(await server.command('EXISTS', 'other')).toBe('0');

    // A later one replaces it, and it can be used again and again.
    await server.command('SET', 'key', 'newer');
    await server.snapshot();
    for (let times = 0; times < 2; times++) {
      await server.command('SET', 'key', 'newest');
      await server.restart({ from: 'snapshot' });
      expect(await server.command('GET', 'key')).toBe('newer');
    }
  });

  it('data or nothing', async () => {
    const server = await ownRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'no'] });
    await server.command('SET', 'key', 'value');
    await server.kill();
    await server.restart({ from: 'data' });
    expect(await server.command('GET', 'key')).toBe('value');
    await server.restart({ from: 'empty' });
    expect(await server.command('DBSIZE')).toBe('0');
  });
});

describe('access', () => {
  it('by password: the URL carries it, and without it nothing is answered', async () => {
    const server = await ownRedis({ password: 'p@ss/word' });
    expect(await connect(server.url).ping()).toBe('PONG');
    await expect(connect(`redis://127.0.0.1:${server.port}`).ping()).rejects.toThrow('NOAUTH');
    await server.command('SET', 'key', 'value');
    await server.snapshot();
    await server.restart({ from: 'snapshot' });
    expect(await server.command('GET', 'key')).toBe('value');
  });

  it('by user: may do what its rules say', async () => {
    const rules = ['~app:*', '+@read', '+@connection', '+info'];
    const server = await ownRedis({ users: [{ name: 'app', password: 'secret', rules }] });
    await server.command('SET', 'app:key', 'value');
    const client = connect(server.urlFor('app'));
    expect(await client.get('app:key')).toBe('value');
    await expect(client.set('app:key', 'x')).rejects.toThrow('NOPERM');
    await expect(client.get('foreign')).rejects.toThrow('NOPERM');
    expect(() => server.urlFor('nobody')).toThrow('nobody');
  });

  it.skipIf(NO_TLS)(`by TLS${NO_TLS ? `: skipped, ${NO_TLS}` : ''}`, async () => {
    const server = await ownRedis({ tls: true, password: 'secret' });
    expect(server.url).toMatch(/^rediss:/);
    expect(await connect(server.url, server.ca).ping()).toBe('PONG');
    await expect(connect(server.url).ping()).rejects.toThrow();
    await server.command('SET', 'key', 'value');
    await server.snapshot();
    await server.restart({ from: 'snapshot' });
    expect(await connect(server.url, server.ca).get('key')).toBe('value');
  });
});

describe('the proxy', () => {
  it('rewrites what comes from the server, in answers and pushes, until told otherwise', async () => {
    const proxy = await proxyTo(await ownRedis());
    const client = connect(proxy.url);
    const version = /redis_version:(\S+)/.exec(await client.info('server'))![1]!;
    const forged = version.replaceAll(/\d/g, '1');
    const restore = proxy.rewrite(`redis_version:${version}`, `redis_version:${forged}`);
    expect(await client.info('server')).toContain(`redis_version:${forged}\r\n`);
    expect(await client.echo(`redis_version:${version} redis_version:${version}`)).toBe(
      `redis_version:${forged} redis_version:${forged}`,
    );
    await client.set('key', `redis_version:${version}`);
    restore();
    expect(await client.get('key')).toBe(`redis_version:${version}`);
    expect(() => proxy.rewrite('longer', 'short')).toThrow('same number of bytes');
  });

  it('half open: swallows everything without an end, accepts new connections and swallows theirs', async () => {
    const server = await ownRedis();
    const proxy = await proxyTo(server);
    const subscriber = await connectRaw(proxy.port);
    subscriber.send('SUBSCRIBE', 'news');
    const old = await connectRaw(proxy.port);
    old.send('SET', 'key', 'before');
    while (!subscriber.seen.text.includes('news') || old.seen.text === '') await sleep(1);
    old.seen.text = subscriber.seen.text = '';

    proxy.halfOpen();
    const fresh = await connectRaw(proxy.port);
    for (const connection of [old, fresh]) connection.send('SET', 'key', 'swallowed');
    // The server still believes in its subscriber.
    expect(await server.command('PUBLISH', 'news', 'unheard')).toBe('1');
    old.socket.end();
    await sleep(100);
    expect([subscriber.seen, old.seen, fresh.seen]).toEqual([SILENCE, SILENCE, SILENCE]);
    expect(await server.command('GET', 'key')).toBe('before');
    expect(await server.command('PUBLISH', 'news', 'unheard')).toBe('1');

    proxy.up();
    for (const connection of [subscriber, fresh]) connection.send('PING');
    const late = await connectRaw(proxy.port);
    late.send('GET', 'key');
    while (!late.seen.text.includes('before')) await sleep(1);
    expect([subscriber.seen, fresh.seen]).toEqual([SILENCE, SILENCE]);
    subscriber.socket.destroy();
    while ((await server.command('PUBLISH', 'news', 'x')) !== '0') await sleep(1);
  });

  it('half open: does not tell the clients that the server has ended', async () => {
    const server = await ownRedis();
    const proxy = await proxyTo(server);
    const client = await connectRaw(proxy.port);
    client.send('PING');
    while (client.seen.text === '') await sleep(1);
    proxy.halfOpen();
    await server.kill();
    await sleep(50);
    expect(client.seen.ended).toBe(false);
    proxy.cut();
    while (!client.seen.ended) await sleep(1);
  });
});

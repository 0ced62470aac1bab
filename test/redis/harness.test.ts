import { Redis, Cluster } from 'ioredis';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { countCommands } from '../support/command-count.js';
import { uniqueNamespace } from '../support/namespace.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function connect(url: string): Redis {
  const client = new Redis(url, { maxRetriesPerRequest: 0, enableOfflineQueue: true, retryStrategy: () => 20 });
  client.on('error', () => undefined);
  cleanups.push(() => client.disconnect());
  return client;
}

/** A client that sends each command at most once and never reconnects. */
function connectOnce(url: string): Redis {
  const client = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: null, autoResendUnfulfilledCommands: false });
  client.on('error', () => undefined);
  cleanups.push(() => client.disconnect());
  return client;
}

async function ownRedis(args: string[] = []): Promise<RedisServer> {
  const server = await startRedis({ args });
  cleanups.push(() => server.stop());
  return server;
}

async function proxyTo(server: RedisServer): Promise<TcpProxy> {
  const proxy = await startProxy(server.port);
  cleanups.push(() => proxy.stop());
  return proxy;
}

/** Whether the promise is still open after the event loop has had real time for it. */
function staysPending(promise: Promise<unknown>, ms = 100): Promise<boolean> {
  return Promise.race([
    promise.then(
      () => false,
      () => false,
    ),
    new Promise<boolean>((resolve) => setTimeout(() => resolve(true), ms)),
  ]);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('the shared servers', () => {
  it('provide one standalone Redis', async () => {
    const client = connect(inject('redisUrl'));
    const key = `${uniqueNamespace()}:key`;
    await client.set(key, 'value', 'PX', 10_000);
    expect(await client.get(key)).toBe('value');
  });

  it('provide a Cluster of three masters that serve every slot, on ports below 55535', async () => {
    const nodes = inject('clusterNodes');
    expect(nodes).toHaveLength(3);
    expect(nodes.every(({ port }) => port < 55_535)).toBe(true);
    const cluster = new Cluster(nodes);
    cleanups.push(() => cluster.disconnect());
    const namespace = uniqueNamespace();
    const keys = Array.from({ length: 50 }, (_, index) => `${namespace}:${index}`);
    await Promise.all(keys.map((key) => cluster.set(key, key, 'PX', 10_000)));
    expect(await Promise.all(keys.map((key) => cluster.get(key)))).toEqual(keys);
    for (const node of cluster.nodes('master')) expect(await node.cluster('INFO')).toContain('cluster_state:ok');
  });
});

describe('startRedis', () => {
  it('starts an empty server of its own and stops it', async () => {
    const server = await ownRedis();
    const { pid } = server;
    expect(await server.command('DBSIZE')).toBe('0');
    expect(server.url).toBe(`redis://127.0.0.1:${server.port}`);
    await server.stop();
    expect(isAlive(pid)).toBe(false);
  });

  it('passes arguments on, over its own defaults', async () => {
    const server = await ownRedis(['--maxmemory', '2mb', '--appendonly', 'yes']);
    const client = connect(server.url);
    expect(await client.config('GET', 'maxmemory')).toMatchObject(['maxmemory', '2097152']);
    expect(await client.config('GET', 'appendonly')).toMatchObject(['appendonly', 'yes']);
  });

  it('pauses without closing connections, and resumes', async () => {
    const server = await ownRedis();
    const client = connect(server.url);
    await client.ping();
    await server.pause();
    const reply = client.ping();
    expect(await staysPending(reply)).toBe(true);
    server.resume();
    expect(await reply).toBe('PONG');
  });

  it('comes back empty on the same port after a crash', async () => {
    const server = await ownRedis();
    const { pid, port } = server;
    await server.command('SET', 'key', 'value');
    await server.kill();
    await expect(server.command('PING')).rejects.toThrow('ECONNREFUSED');
    await server.restart();
    expect(server.port).toBe(port);
    expect(server.pid).not.toBe(pid);
    expect(await server.command('EXISTS', 'key')).toBe('0');
  });

  it('keeps its data folder over a restart, for tests with persistence', async () => {
    const server = await ownRedis(['--appendonly', 'yes', '--appendfsync', 'always']);
    await server.command('SET', 'key', 'value');
    await server.kill();
    await server.restart();
    expect(await server.command('GET', 'key')).toBe('value');
  });

  it('says what Redis said when it refuses to start', async () => {
    await expect(startRedis({ args: ['--no-such-setting', '1'] })).rejects.toThrow(/no-such-setting/);
  });
});

describe('startProxy', () => {
  it('forwards, and counts what it forwards', async () => {
    const server = await ownRedis();
    const proxy = await proxyTo(server);
    const client = connect(proxy.url);
    await client.ping();
    proxy.resetCounts();
    const large = 'x'.repeat(300_000);
    await client.set('key', large);
    expect(await Promise.all([client.get('key'), client.get('missing')])).toEqual([large, null]);
    expect(proxy.counts).toMatchObject({ open: 1, requests: 3, commands: { SET: 1, GET: 2 } });
    expect(proxy.counts.bytesToServer).toBeGreaterThan(300_000);
    expect(proxy.counts.bytesToClient).toBeGreaterThan(300_000);
  });

  it('loses the reply to exactly the request asked for: the server has executed it', async () => {
    const server = await ownRedis();
    const proxy = await proxyTo(server);
    const client = connectOnce(proxy.url);
    await client.ping();
    const fault = proxy.loseReplyOf('needle');
    const [before, lost, after] = await Promise.allSettled([
      client.incr('before'),
      client.incr('needle'),
      client.incr('after'),
    ]);
    await fault.struck;
    expect(before).toMatchObject({ status: 'fulfilled', value: 1 });
    expect(lost.status).toBe('rejected');
    expect(after.status).toBe('rejected');
    expect(await server.command('GET', 'needle')).toBe('1');
    expect(fault.count).toBe(1);

    const again = connect(proxy.url);
    expect(await again.incr('needle')).toBe(2);
  });

  it('drops the next reply when no request is named', async () => {
    const server = await ownRedis();
    const proxy = await proxyTo(server);
    const client = connectOnce(proxy.url);
    await client.ping();
    proxy.dropReplies();
    await expect(client.set('key', 'value')).rejects.toThrow();
    expect(await server.command('GET', 'key')).toBe('value');
  });

  it('holds a reply back until it is released', async () => {
    const server = await ownRedis();
    const proxy = await proxyTo(server);
    const client = connect(proxy.url);
    await client.ping();
    const fault = proxy.holdReplyOf('needle');
    const reply = client.incr('needle');
    await fault.struck;
    expect(await server.command('GET', 'needle')).toBe('1');
    expect(await staysPending(reply, 50)).toBe(true);
    fault.release();
    expect(await reply).toBe(1);
  });

  it('holds a request back until it is released: the server has not seen it', async () => {
    const server = await ownRedis();
    const proxy = await proxyTo(server);
    const client = connect(proxy.url);
    await client.ping();
    const fault = proxy.holdRequest((request) => request.includes('needle'));
    const reply = client.incr('needle');
    await fault.struck;
    expect(await server.command('EXISTS', 'needle')).toBe('0');
    fault.release();
    expect(await reply).toBe(1);
  });

  it('hangs without closing, and delivers what has piled up', async () => {
    const server = await ownRedis();
    const proxy = await proxyTo(server);
    const client = connect(proxy.url);
    await client.ping();
    proxy.hang();
    const reply = client.incr('key');
    expect(await staysPending(reply)).toBe(true);
    expect(await server.command('EXISTS', 'key')).toBe('0');
    expect(client.status).toBe('ready');
    proxy.resume();
    expect(await reply).toBe(1);
  });

  it('cuts connections, and turns them away while it is down', async () => {
    const server = await ownRedis();
    const proxy = await proxyTo(server);
    const client = connect(proxy.url);
    await client.ping();
    const closed = new Promise((resolve) => client.once('close', resolve));
    proxy.cut();
    await closed;
    expect(await client.ping()).toBe('PONG');
    expect(proxy.counts.connections).toBe(2);

    proxy.down();
    await expect(connectOnce(proxy.url).ping()).rejects.toThrow();
    proxy.up();
    expect(await connect(proxy.url).ping()).toBe('PONG');
  });

  it('delays replies, all by the same time', async () => {
    const server = await ownRedis();
    const proxy = await proxyTo(server);
    const client = connect(proxy.url);
    await client.ping();
    proxy.delay(60);
    const began = performance.now();
    await Promise.all(Array.from({ length: 20 }, () => client.ping()));
    const took = performance.now() - began;
    expect(took).toBeGreaterThanOrEqual(59);
    expect(took).toBeLessThan(20 * 60);
  });

  it('leaves RESP3 pushes out of the matching', async () => {
    const server = await ownRedis();
    const proxy = await proxyTo(server);
    const client = connect(proxy.url);
    await client.client('TRACKING', 'ON');
    await client.set('tracked', '1');
    await client.get('tracked');
    await server.command('SET', 'tracked', '2');
    const fault = proxy.holdReplyOf('needle');
    const reply = client.incr('needle');
    await fault.struck;
    expect(await staysPending(reply, 50)).toBe(true);
    fault.release();
    expect(await reply).toBe(1);
  });
});

describe('countCommands', () => {
  it('counts what the server executed, without its own questions', async () => {
    const server = await ownRedis();
    const client = connect(server.url);
    await client.set('before', '1');
    const observer = connect(server.url);
    const { result, counts, total } = await countCommands(observer, async () => {
      await client.mget('a', 'b');
      await client.set('a', '1');
      return client.eval("return redis.call('get', KEYS[1])", 1, 'a');
    });
    expect(result).toBe('1');
    expect(counts).toEqual({ mget: 1, set: 1, eval: 1, get: 1 });
    expect(total).toBe(4);
    expect((await countCommands([observer], () => client.info('server'))).counts).toEqual({ info: 1 });
  });

  it('sums over the nodes of a Cluster', async () => {
    const observers = inject('clusterNodes').map(({ host, port }) => connect(`redis://${host}:${port}`));
    const { counts } = await countCommands(observers, () => Promise.all(observers.map((node) => node.echo('x'))));
    expect(counts).toMatchObject({ echo: 3 });
  });
});

import { describe, expect, it } from 'vitest';
import {
  adviseOn,
  connectionOf,
  evictedSince,
  nameOf,
  parseInfo,
  refusalOf,
  type Advice,
} from '../../lib/adapters/redis/server-check.js';
import { ServerWatch } from '../../lib/adapters/redis/server-watch.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';

const MIB = 1_048_576;
const LOCAL = { host: '127.0.0.1', port: 6379, tls: false, path: undefined };

const info = (fields: Record<string, string | number> = {}) => {
  const all: Record<string, string | number> = { redis_version: '7.0.15', ...fields };
  return new Map(Object.entries(all).map(([name, value]) => [name, String(value)]));
};

const codes = (fields: Record<string, string | number>, connection: Partial<typeof LOCAL> = {}) =>
  adviseOn(info(fields), { ...LOCAL, ...connection }).map(({ code }) => code);

const textOf = (fields: Record<string, string | number>, connection: Partial<typeof LOCAL> = {}) =>
  adviseOn(info(fields), { ...LOCAL, ...connection })
    .map(({ text }) => text)
    .join('\n');

describe('INFO', () => {
  it('is read over all sections, and colons in values belong to them', () => {
    const read = parseInfo(
      '# Server\r\nredis_version:7.0.15\r\nos:Linux: x\r\n\r\n# Memory\r\nmaxmemory:0\r\nempty:\r\n',
    );
    expect([...read]).toEqual([
      ['redis_version', '7.0.15'],
      ['os', 'Linux: x'],
      ['maxmemory', '0'],
      ['empty', ''],
    ]);
    expect(parseInfo('').size).toBe(0);
  });
});

describe('the version', () => {
  it.each(['6.2.14', '6.0', '5.0.7', '2.8.24', '6.99.99'])('%s is too old', (version) => {
    const refusal = refusalOf(info({ redis_version: version }), LOCAL);
    expect(refusal).toMatchObject({ code: 'CG_UNSUPPORTED_REDIS' });
    expect(refusal!.message).toBe(`Redis at 127.0.0.1:6379 has version ${version}, 7.0 or newer is needed.`);
    expect(codes({ redis_version: version })).toEqual(['unsupported-version']);
  });

  it.each(['7.0', '7.0.15', '7.2.4', '8.0.2', '10.1.0', '255.255.255', '', 'unknown'])('%s is used', (version) => {
    expect(refusalOf(info({ redis_version: version, valkey_version: '8.1.1' }), LOCAL)).toBeUndefined();
    expect(codes({ redis_version: version })).toEqual([]);
  });

  it('that is hidden is used', () => {
    expect(refusalOf(new Map(), LOCAL)).toBeUndefined();
    expect(adviseOn(new Map(), LOCAL)).toEqual([]);
  });
});

describe('advice on memory', () => {
  const limit = 100 * MIB;

  it.each([
    'allkeys-lru',
    'allkeys-lfu',
    'allkeys-random',
    'volatile-lru',
    'volatile-lfu',
    'volatile-random',
    'volatile-ttl',
  ])('says what %s costs', (policy) => {
    const fields = { maxmemory: limit, maxmemory_policy: policy, used_memory: MIB };
    expect(codes(fields)).toEqual(['evicting-policy']);
    const text = textOf(fields);
    expect(text).toContain(`evicts by ${policy}`);
    expect(text).toContain('leases, generations and version floors');
    expect(text.includes('Every key of this library has a TTL')).toBe(policy.startsWith('volatile'));
    expect(text.includes('Set maxmemory-policy allkeys-lru')).toBe(/random|ttl/.test(policy));
  });

  it('has nothing to say of a policy that evicts nothing, or has no limit to act on', () => {
    expect(codes({ maxmemory: limit, maxmemory_policy: 'noeviction', used_memory: MIB })).toEqual([]);
    expect(codes({ maxmemory: 0, maxmemory_policy: 'allkeys-random' })).toEqual([]);
  });

  it('warns above nine tenths, and says what happens when it is full', () => {
    const full = (used: number, policy: string) => ({ maxmemory: limit, maxmemory_policy: policy, used_memory: used });
    expect(codes(full(90 * MIB, 'noeviction'))).toEqual([]);
    expect(codes(full(91 * MIB, 'noeviction'))).toEqual(['little-headroom']);
    expect(textOf(full(91 * MIB, 'noeviction'))).toMatch(/91 % .*91 MiB of 100 MiB.*nothing new is kept/);
    expect(codes(full(120 * MIB, 'allkeys-lru'))).toEqual(['evicting-policy', 'little-headroom']);
  });

  it('mentions a missing limit where the machine is known', () => {
    expect(codes({ maxmemory: 0, total_system_memory: 2_048 * MIB })).toEqual(['no-memory-limit']);
    expect(textOf({ maxmemory: 0, total_system_memory: 2_048 * MIB })).toContain('a machine of 2048 MiB');
    expect(codes({ maxmemory: 0 })).toEqual([]);
    expect(codes({ maxmemory: 0, total_system_memory: 0 })).toEqual([]);
  });
});

describe('advice on the connection', () => {
  it.each(['cache', '10.0.0.7', '192.168.1.2', '172.17.0.1', '0.0.0.0', 'localhost.example.com', '::2', 'fe80::1'])(
    'warns of plaintext to %s',
    (host) => {
      expect(codes({}, { host })).toEqual(['plaintext']);
      expect(textOf({}, { host })).toContain(host);
      expect(codes({}, { host, tls: true })).toEqual([]);
    },
  );

  it.each([
    undefined,
    'localhost',
    'LOCALHOST',
    'redis.localhost',
    '127.0.0.1',
    '127.8.9.10',
    '::1',
    '[::1]',
    '::ffff:127.0.0.1',
  ])('does not leave the machine to %s', (host) => {
    expect(adviseOn(info(), { ...LOCAL, host })).toEqual([]);
  });

  it('does not leave the machine through a Unix socket', () => {
    expect(adviseOn(info(), { ...LOCAL, host: 'cache', path: '/run/redis.sock' })).toEqual([]);
  });

  it('is read off a client: the options, and behind Sentinel the socket', () => {
    const options = { host: 'cache', port: 6380, path: undefined };
    expect(connectionOf({ options })).toEqual({ host: 'cache', port: 6380, tls: false, path: undefined });
    expect(connectionOf({ options: { ...options, tls: {} } }).tls).toBe(true);
    expect(connectionOf({ options: { path: '/run/redis.sock' } }).path).toBe('/run/redis.sock');
    const sentinels = [{ host: 's1' }];
    const stream = { encrypted: true, remoteAddress: '10.0.0.7', remotePort: 6381 };
    expect(connectionOf({ options: { host: 'localhost', sentinels }, stream })).toEqual({
      host: '10.0.0.7',
      port: 6381,
      tls: true,
      path: undefined,
    });
    expect(nameOf({ ...LOCAL, host: '::2' })).toBe('[::2]:6379');
    expect(nameOf({ ...LOCAL, host: undefined, port: undefined })).toBe('localhost:6379');
    expect(nameOf({ ...LOCAL, path: '/run/redis.sock' })).toBe('/run/redis.sock');
  });
});

describe('evictions', () => {
  it('are counted since the last time', () => {
    expect(evictedSince(undefined, info({ evicted_keys: 7 }))).toBe(0);
    expect(evictedSince(7, info({ evicted_keys: 7 }))).toBe(0);
    expect(evictedSince(7, info({ evicted_keys: 10 }))).toBe(3);
    expect(evictedSince(7, info())).toBe(0);
  });

  it('are counted from zero after a restart', () => {
    expect(evictedSince(7, info({ evicted_keys: 2 }))).toBe(2);
  });
});

describe('the watch', () => {
  const make = () => {
    const clock = new FakeClock();
    const heard: Advice[] = [];
    return { clock, heard, watch: new ServerWatch(clock, (advice) => heard.push(advice)) };
  };
  const text = (evicted: number, more = '') => `redis_version:7.0.15\r\nevicted_keys:${evicted}\r\n${more}`;
  const server = (reply: () => string, host = '127.0.0.1') => ({
    connection: { ...LOCAL, host },
    info: async () => reply(),
  });

  it('says each thing once per server', async () => {
    const { watch, heard } = make();
    const servers = ['one', 'two'].map((host) => server(() => text(0), host));
    await watch.look(servers);
    await watch.look(servers);
    expect(heard.map(({ code, text: said }) => [code, /at (\w+):/.exec(said)![1]])).toEqual([
      ['plaintext', 'one'],
      ['plaintext', 'two'],
    ]);
  });

  it('tells of evictions at most every 30 s, and then of all', async () => {
    const { watch, heard, clock } = make();
    let evicted = 100;
    const look = () => watch.look([server(() => text(evicted))]);
    await look();
    expect(heard).toEqual([]);
    evicted = 103;
    await look();
    expect(heard.map(({ code }) => code)).toEqual(['evicting']);
    expect(heard[0]!.text).toContain('has evicted 3 keys');
    evicted = 110;
    clock.advance(29_999);
    await look();
    expect(heard).toHaveLength(1);
    clock.advance(1);
    await look();
    expect(heard[1]!.text).toContain('has evicted 7 keys');
    clock.advance(30_000);
    await look();
    expect(heard).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });

  it('passes over servers that do not answer, and hears the others', async () => {
    const { watch, heard } = make();
    const broken = server(() => {
      throw new Error('away');
    });
    const closed = {
      connection: LOCAL,
      info: (): never => {
        throw new Error('closed');
      },
    };
    await watch.look([broken, closed, server(() => text(0), 'cache')]);
    expect(heard.map(({ code }) => code)).toEqual(['plaintext']);
  });

  it('takes what is known already', () => {
    const { watch, heard } = make();
    const known = parseInfo('redis_version:6.2.14');
    watch.learn(LOCAL, known);
    watch.learn(LOCAL, known);
    expect(heard.map(({ code }) => code)).toEqual(['unsupported-version']);
  });
});

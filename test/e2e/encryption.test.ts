import { inspect } from 'node:util';
import { Injectable } from '@nestjs/common';
import { Redis } from 'ioredis';
import {
  Cached,
  CacheGuardMetrics,
  CacheGuardModule,
  Follows,
  loadContext,
  Refreshes,
  type CacheGuardModuleOptions,
  type Codec,
  type DomainEvent,
  type DomainPolicyConfig,
} from 'nestjs-cache-guard';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { lying, traces, wiretap } from '../support/wiretap.js';
import { failureOf, startApp, type TestApp } from './support/app.js';

const MARKER = 'marker4111-1111-of-Ada';
const KEY = Buffer.alloc(32, 'key-material-of-the-test').toString('base64');
const TTLS = { freshness: 'experience', softTtl: '1m', hardTtl: '10m' } as const;

const wrong = (): Error => new Error(`it was ${MARKER}`);
/** It says in its errors what it could not hold. */
const loud: Codec = {
  id: 64,
  name: 'loud',
  encode: () => {
    throw wrong();
  },
  decode: () => undefined,
};

@Injectable()
class Accounts {
  readonly notes: string[] = [];

  @Follows({
    on: 'account.changed',
    action: 'refresh',
    args: ({ data }: DomainEvent<{ note: string }>): [string, string] => ['of-event', data.note],
  })
  @Cached({ domain: 'accounts', key: (id: string) => id, tags: () => ['list'] })
  async get(_id: string, note: string): Promise<object> {
    this.notes.push(note);
    loadContext().setVersion(`etag of ${note}`);
    return { note, padding: 'x'.repeat(200) };
  }

  @Cached({ domain: 'accounts', name: 'gone', key: (id: string) => id })
  gone(_id: string): Promise<object> {
    return Promise.reject(new TypeError(`${MARKER} is gone`));
  }

  @Cached({ domain: 'accounts', name: 'odd', key: (id: string) => id })
  async odd(_id: string): Promise<object> {
    return { [MARKER]: { [MARKER]: () => MARKER } };
  }

  @Cached({ domain: 'loud', key: (id: string) => id })
  async loud(_id: string): Promise<string> {
    return MARKER;
  }

  @Cached({ domain: 'upset', key: (id: string) => id })
  async upset(_id: string): Promise<string> {
    return MARKER;
  }

  @Refreshes({ domain: 'accounts', key: (id: string) => id })
  async set(_id: string, note: string): Promise<object> {
    return { note };
  }

  @Refreshes({ domain: 'accounts', key: (id: string) => id, project: (): object => raise() })
  async unprojectable(_id: string, note: string): Promise<object> {
    return { note };
  }
}

function raise(): never {
  throw wrong();
}

function options(namespace: string, encrypt: boolean): CacheGuardModuleOptions {
  const absent = { negativeTtl: '30s', isAbsent: (outcome: object) => 'error' in outcome } as const;
  const accounts: DomainPolicyConfig = {
    ...TTLS,
    ...absent,
    encrypt,
    compressAbove: false,
    reconcile: { every: '1d', versions: async (keys) => keys.map(() => `etag of ${MARKER}, a new one`) },
  };
  return {
    namespace,
    redisUrl: inject('redisUrl'),
    role: 'web',
    encryption: { current: 'k1', keys: { k1: KEY } },
    domains: {
      accounts,
      loud: { ...TTLS, encrypt, codec: loud },
      upset: { ...TTLS, encrypt, isAbsent: () => raise() },
    },
  };
}

async function live({ of, guard }: TestApp, raw: Redis, namespace: string): Promise<void> {
  const accounts = of<Accounts>(Accounts);
  for (const id of ['a', 'b']) for (let i = 0; i < 2; i++) await accounts.get(id, MARKER);
  for (let i = 0; i < 2; i++) await failureOf(() => accounts.gone('a'));
  await accounts.odd('a');
  await accounts.loud('a');
  await accounts.upset('a');
  await accounts.set('c', MARKER);
  await accounts.unprojectable('d', MARKER);
  await guard.put({ domain: 'accounts', key: 'e' }, { note: MARKER });
  await accounts.get('of-event', MARKER);
  await guard.events.publish({ id: '1', source: 's', type: 'account.changed', data: { note: MARKER } });
  expect((await guard.reconcile('accounts')).drifted).toBeGreaterThan(0);
  await guard.explain({ domain: 'accounts', key: 'a' });
  for (const name of await raw.keys(`${namespace}:e:*`)) {
    const bytes = await raw.getBuffer(name);
    if (bytes && bytes.length > 100) await raw.set(name, Buffer.concat([bytes.subarray(0, -9), Buffer.alloc(9)]));
  }
  for (const id of ['a', 'b', 'c']) await accounts.get(id, MARKER);
}

async function said(
  encrypt: boolean,
): Promise<{ readonly server: string; readonly told: string; readonly made: TestApp }> {
  const raw = new Redis(inject('redisUrl'));
  const namespace = uniqueNamespace();
  const tap = await wiretap(raw);
  onTestFinished(() => {
    tap.end();
    raw.disconnect();
  });
  const root = CacheGuardModule.forRoot(options(namespace, encrypt));
  const made = await startApp({ imports: [root], providers: [Accounts] });
  await live(made, raw, namespace);
  const page = await made.of<CacheGuardMetrics>(CacheGuardMetrics).prometheus();
  const server = `${await tap.heard()}\n${await lying(raw, namespace)}`;
  const lines = made.logs.lines.map(({ text }) => text);
  const told = [...made.events.map((event) => inspect(event, { depth: 9 })), ...lines, page.body].join('\n');
  return { server, told, made };
}

const found = (text: string, marker: string): string[] => traces(marker).filter((trace) => text.includes(trace));

describe('nothing of a value is readable', () => {
  it('in what Redis is sent and keeps, in events, logs and metrics', async () => {
    const { server, told, made } = await said(true);
    expect(made.events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['corrupt', 'uncacheable', 'unencodable', 'reconciliation', 'hit']),
    );
    expect(found(server, MARKER)).toEqual([]);
    expect(found(told, MARKER)).toEqual([]);
    for (const secret of [KEY, 'key-material'])
      expect(found(server + told + inspect(made.guard, { depth: 6, showHidden: true }), secret)).toEqual([]);
  });

  it('where it is not asked for, it is, which the test above would see', async () => {
    const { server, told } = await said(false);
    expect(found(server, MARKER)).toContain(MARKER);
    for (const place of ['etag of', '"args"', 'is gone']) expect(server).toContain(place);
    expect(told).toContain(MARKER);
  });
});

it('what is handed to a worker is opened by it', async () => {
  const namespace = uniqueNamespace();
  const start = (role: 'web' | 'worker') =>
    startApp({
      imports: [CacheGuardModule.forRoot({ ...options(namespace, true), role })],
      providers: [Accounts],
    });
  const [web, worker] = [await start('web'), await start('worker')];
  await web.of<Accounts>(Accounts).get('of-event', 'first');
  await web.guard.events.publish({ id: '1', source: 's', type: 'account.changed', data: { note: 'second' } });
  await expect.poll(() => worker.of<Accounts>(Accounts).notes, { timeout: 10_000 }).toEqual(['second']);
  expect(web.of<Accounts>(Accounts).notes).toEqual(['first']);
});

describe('options', () => {
  const start = (encryption: unknown, domains: object = {}) =>
    startApp({
      imports: [CacheGuardModule.forRoot({ namespace: 'n', domains, encryption } as CacheGuardModuleOptions)],
    });

  const key = Buffer.alloc(32, 7);
  it.each<[string, unknown, RegExp]>([
    ['no object', 'secret-text', /^CacheGuardModule: encryption = \(string\) is refused; give an object with current/],
    ['a list', [key], /encryption = \(array\) is refused/],
    ['no keys', { current: 'k1' }, /encryption\.keys = undefined is refused/],
    [
      'an empty set of keys',
      { current: 'k1', keys: {} },
      /encryption\.current = \(string\) is refused; name one of the keys/,
    ],
    ['no current', { keys: { k1: key } }, /encryption\.current = undefined is refused; name one of k1/],
    [
      'an unknown current',
      { current: 'k2', keys: { k1: key } },
      /encryption\.current = \(string\) is refused; name one of k1/,
    ],
    ['a key of Object.prototype', { current: 'toString', keys: { k1: key } }, /encryption\.current/],
    [
      'a short key',
      { current: 'k1', keys: { k1: key.subarray(1) } },
      /encryption\.keys\.k1 = \(object\) is refused; give 32 random bytes/,
    ],
    ['a long key', { current: 'k1', keys: { k1: Buffer.alloc(33) } }, /encryption\.keys\.k1/],
    ['a text that is not base64', { current: 'k1', keys: { k1: 'secret-text' } }, /encryption\.keys\.k1 = \(string\)/],
    ['a text in hex', { current: 'k1', keys: { k1: key.toString('hex') } }, /encryption\.keys\.k1 = \(string\)/],
    ['a bad one beside a good one', { current: 'k1', keys: { k1: key, k0: null } }, /encryption\.keys\.k0 = null/],
    ['an id with blanks', { current: 'k 1', keys: { 'k 1': key } }, /encryption\.keys = \(an id\) is refused/],
    [
      'an unknown field',
      { current: 'k1', keys: { k1: key }, algorithm: 'secret-text' },
      /encryption\.algorithm = \(string\)/,
    ],
  ])('refuse %s, and show nothing of it', async (_, given, message) => {
    const error = (await failureOf(() => start(given))) as Error;
    expect(error).toMatchObject({ code: 'CG_INVALID_OPTIONS', message: expect.stringMatching(message) as string });
    expect(inspect(error)).not.toMatch(/secret-text|0707|BwcH|<Buffer/);
  });

  it('refuse a domain that encrypts without keys, and one that does not say whether', async () => {
    const refused = await failureOf(() => start(undefined, { d: { freshness: 'reference', encrypt: true } }));
    expect(refused).toMatchObject({ code: 'CG_INVALID_POLICY', domain: 'd', field: 'encrypt' });
    const unclear = await failureOf(() => start(undefined, { d: { freshness: 'reference', encrypt: 'yes' } }));
    expect(unclear).toMatchObject({ code: 'CG_INVALID_POLICY', domain: 'd', field: 'encrypt' });
  });

  it('take bytes as well as base64', async () => {
    const encryption = { current: 'b', keys: { a: KEY, b: new Uint8Array(32).fill(7) } };
    const { guard } = await start(encryption, { d: { freshness: 'reference', encrypt: true } });
    expect(await guard.getOrLoad({ domain: 'd', key: 'k' }, async () => 'value')).toBe('value');
    expect(await guard.peek({ domain: 'd', key: 'k' })).toMatchObject({ value: 'value' });
  });
});

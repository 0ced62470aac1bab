import { inspect } from 'node:util';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import {
  Cached,
  CacheGuard,
  CacheGuardModule,
  cacheEventsController,
  CacheGuardSession,
  eventEmitter,
  FeedsCache,
  Follows,
  InProcessDestination,
  isCacheGuardError,
  OutboxRelay,
  outboxRelay,
  redisStream,
  SqlOutbox,
  Warmed,
  type CacheGuardErrorCode,
  type CacheGuardModuleOptions,
  type EventDestination,
} from 'nestjs-cache-guard';
import { FakeClock } from 'nestjs-cache-guard/testing';
import { describe, expect, test } from 'vitest';
import { failureOf, startApp, type TestApp } from './support/app.js';

// What is given here is what somebody writes whom no compiler helps.
// oxlint-disable-next-line typescript/no-explicit-any
type Bad = any;
type Row = readonly [what: string, run: () => unknown, fragment: string, code?: CacheGuardErrorCode];

const WHERE = 'CG_INVALID_OPTIONS';
const sql = () => [];
const outbox = () => new SqlOutbox({ dialect: 'sqlite' });
const destination: EventDestination = { append: async () => {} };
const stream = (more: Bad) => redisStream({ stream: 'events', ...more });
const relay = (more: Bad) =>
  new OutboxRelay({ outbox: outbox(), query: sql, destination, clock: new FakeClock(), ...more });
const decorated = (decorate: (...given: Bad) => Bad, ...given: Bad[]) => {
  const method = { value: async () => 1, configurable: true, writable: true };
  const prototype = { constructor: Object };
  decorate(...given)(prototype, 'find', method);
};

async function refused([, run, fragment, code = WHERE]: Row): Promise<void> {
  const failure = await failureOf(run);
  expect(failure).toSatisfy((error) => isCacheGuardError(error, code));
  expect((failure as Error).message).toContain(fragment);
}

describe('refused at once', () => {
  const rows: readonly Row[] = [
    ['no stream', () => redisStream(undefined as Bad), 'redisStream: options = undefined'],
    ['a misspelt field', () => stream({ streams: 'x' }), 'redisStream: streams = (string)'],
    ['an empty redis', () => stream({ redis: {} }), 'redisStream: redis'],
    ['a redis of two kinds', () => stream({ redis: { url: 'redis://a', options: {} } }), 'give one of'],
    ['a url that is none', () => stream({ redis: { url: 5 } }), 'redisStream: redis.url = (number)'],
    ['a url of something else', () => stream({ redis: { url: 'http://a' } }), 'redisStream: redis.url = (string)'],
    ['no options of ioredis', () => stream({ redis: { options: 5 } }), 'redisStream: redis.options = (number)'],
    ['no client', () => stream({ redis: { client: {} } }), 'redisStream: redis.client = (object)'],
    ['a misspelt redis', () => stream({ redis: { uri: 'redis://a' } }), 'redisStream: redis.uri'],
    ['sentinels without a name', () => stream({ redis: { options: { sentinels: [{}] } } }), 'redis.options.name'],
    ['a pause beyond the take-over', () => stream({ retryAfter: '2m', claimAfter: '1m' }), "retryAfter = '2m'"],
    ['dead letters into the stream', () => stream({ deadLetters: 'events' }), "deadLetters = 'events'"],
    ['no emitter options', () => eventEmitter(null as Bad), 'eventEmitter(): options = null'],
    ['a misspelt field of the emitter', () => eventEmitter({ type: ['a'] } as Bad), 'eventEmitter(): type = ["a"]'],
    ['an emitter without types', () => eventEmitter({ types: [] }), 'eventEmitter(): types = []'],
    ['an emitter with an empty type', () => eventEmitter({ types: [''] }), 'eventEmitter(): types = [""]'],
    ['a controller without anything', () => (cacheEventsController as Bad)(), 'options = undefined'],
    ['a controller without patterns', () => cacheEventsController({} as Bad), 'patterns = undefined'],
    ['a misspelt controller', () => cacheEventsController({ patterns: 'a', acks: 1 } as Bad), 'acks = 1'],
    ['a transport', () => cacheEventsController({ patterns: 'a', transport: 'kafka' } as Bad), "transport = 'kafka'"],
    ['no outbox options', () => new (SqlOutbox as Bad)(), 'SqlOutbox: options = undefined'],
    ['a misspelt outbox', () => new SqlOutbox({ dialect: 'sqlite', bogus: 1 } as Bad), 'SqlOutbox: bogus = 1'],
    ['an outbox id', () => new SqlOutbox({ dialect: 'sqlite', newId: 1 } as Bad), 'SqlOutbox: newId = 1'],
    ['an outbox clock', () => new SqlOutbox({ dialect: 'sqlite', now: 1 } as Bad), 'SqlOutbox: now = 1'],
    ['no relay options', () => new (OutboxRelay as Bad)(), 'OutboxRelay: options = undefined'],
    ['a misspelt relay', () => relay({ evry: 1 }), 'OutboxRelay: evry = 1'],
    ['a relay without an outbox', () => relay({ outbox: {} }), 'OutboxRelay: outbox'],
    ['a relay without a query', () => relay({ query: undefined }), 'OutboxRelay: query = undefined'],
    ['a relay with a query that is none', () => relay({ query: 5 }), 'OutboxRelay: query = 5'],
    ['a relay to nowhere', () => relay({ destination: {} }), 'OutboxRelay: destination'],
    ['a relay without a clock', () => relay({ clock: undefined }), 'OutboxRelay: clock = undefined'],
    ['a relay that is never alone', () => relay({ alone: true }), 'OutboxRelay: alone = true'],
    ['a relay with bad reports', () => relay({ reports: { lag: 1 } }), 'OutboxRelay: reports.lag = 1'],
    ['no relay in the application', () => (outboxRelay as Bad)(), 'outboxRelay: options = undefined'],
    ['an empty relay', () => (outboxRelay as Bad)({}), 'outboxRelay: outbox = undefined'],
    ['a factory that is none', () => outboxRelay({ useFactory: 5 } as Bad), 'outboxRelay: useFactory = 5'],
    ['an inject that is none', () => outboxRelay({ useFactory: sql, inject: 5 } as Bad), 'outboxRelay: inject = 5'],
    ['a destination without rules', () => new (InProcessDestination as Bad)(), 'InProcessDestination: publish'],
    ['a session by nothing', () => CacheGuardSession.carriedBy(undefined as Bad), 'carriage = undefined'],
    ['a session by no header', () => CacheGuardSession.carriedBy(''), "carriage = ''"],
    ['a session that is not written', () => CacheGuardSession.carriedBy({ read: sql } as Bad), 'carriage.write'],
    ['a feature without options', () => CacheGuardModule.forFeature({}, null as Bad), 'forFeature: options = null'],
    ['a misspelt feature', () => CacheGuardModule.forFeature({}, { rule: [] } as Bad), 'forFeature: rule = []'],
    ['@Follows of nothing', () => decorated(Follows), 'options = undefined', 'CG_INVALID_DECORATION'],
    ['@FeedsCache of null', () => decorated(FeedsCache, null), 'options = null', 'CG_INVALID_DECORATION'],
    [
      '@FeedsCache as another',
      () => decorated(FeedsCache, { source: 'in-process' }),
      'source',
      'CG_INVALID_DECORATION',
    ],
    ['@Cached of nothing', () => decorated(Cached), 'options = undefined', 'CG_INVALID_DECORATION'],
    ['@Warmed of nothing', () => decorated(Warmed), 'options = undefined', 'CG_INVALID_DECORATION'],
    ['@Warmed elsewhere', () => decorated(Warmed, { args: [], domain: 'a' }), "domain = 'a'", 'CG_INVALID_DECORATION'],
    ['@Warmed with nothing', () => decorated(Warmed, {}), 'args = undefined', 'CG_INVALID_DECORATION'],
  ];
  test.each(rows.map((row) => [row[0], row] as const))('%s', (_what, row) => refused(row));

  test('no password is shown', async () => {
    const url = 'http://:geheim@host';
    const redises = [url, { url }, { uri: url }, { client: { url } }, { options: [url] }];
    for (const given of [{ url }, ...redises.map((redis) => ({ redis }))]) {
      expect(String(await failureOf(() => stream(given)))).not.toContain('geheim');
    }
  });

  test('a take-over that is shorter than the default pause is none of these', () => {
    expect(stream({ claimAfter: '200ms' })).toBeTypeOf('function');
  });
});

@Injectable()
class Offers {
  @Cached({ domain: 'offers', name: 'offers', key: (segment: string) => segment })
  async find(segment: string): Promise<string> {
    return segment;
  }
}

const key = () => 'gold';
const domains = { offers: { freshness: 'reference' } } as const;
const start = (more: Bad = {}, providers: Bad[] = []): Promise<TestApp> => {
  const options: CacheGuardModuleOptions = { namespace: 'bad-input', domains, ...more };
  return startApp({ imports: [CacheGuardModule.forRoot(options)], providers: [Offers, ...providers] });
};
const boot = (more: Bad) => () => start(more);
const events = (more: Bad) => boot({ events: more });
const rule = (more: Bad) => events({ rules: [{ on: 'changed', domain: 'offers', key, ...more }] });
const policy = (more: Bad) => boot({ domains: { offers: { freshness: 'reference', ...more } } });
const warmed = (more: Bad) => boot({ warming: [{ name: 'w', domain: 'offers', keys: [1], load: sql, ...more }] });
const relayed = (more: Bad) => () => start({}, [outboxRelay({ outbox: outbox(), query: sql, ...more })]);
const source = { name: 'bus', delivery: 'each', open: async () => {}, close: async () => {} };

describe('refused at boot', () => {
  const rows: readonly Row[] = [
    ['no events', events(null), 'events = null'],
    ['misspelt events', events({ source: [] }), 'events.source = []'],
    ['a merge window of days', events({ mergeWindow: '10d' }), "events.mergeWindow = '10d'"],
    ['a factory that gives null', events({ sources: [() => null] }), 'events.sources[0] = null'],
    ['an async factory that gives nothing', events({ sources: [source, async () => {}] }), 'events.sources[1] = undef'],
    ['a source without a name', events({ sources: [{ ...source, name: '' }] }), "events.sources[0].name = ''"],
    ['one made without a name', events({ sources: [() => ({ ...source, name: '' })] }), "events.sources[0].name = ''"],
    ['another delivery', events({ sources: [{ ...source, delivery: 'some' }] }), "events.sources[0].delivery = 'some'"],
    ['a source that never ends', events({ sources: [{ ...source, close: 1 }] }), 'events.sources[0].close = 1'],
    ['a misspelt rule', rule({ bogus: 1 }), 'bogus = 1', 'CG_INVALID_RULE'],
    ['an empty name in a rule', rule({ name: '' }), "name = ''", 'CG_INVALID_RULE'],
    ['a misspelt warming', warmed({ bogus: 1 }), "Warming 'w': bogus = 1"],
    ['a warming in an empty space', warmed({ space: '' }), "Warming 'w': space = ''"],
    ['a misspelt tier', warmed({ keys: undefined, tiers: [{ keys: [1], load: sql, b: 1 }] }), "Warming 'w'"],
    ['a misspelt freshBy', policy({ freshBy: { source: 's', b: 1 } }), 'freshBy.b = 1', 'CG_INVALID_POLICY'],
    ['freshBy null', policy({ freshBy: null }), 'freshBy = null', 'CG_INVALID_POLICY'],
    ['a misspelt reconcile', policy({ reconcile: { every: 1, b: 1 } }), 'reconcile.b = 1', 'CG_INVALID_POLICY'],
    ['a misspelt relay', relayed({ bogus: 1 }), 'outboxRelay: bogus = 1'],
    ['a relay without a query', relayed({ query: undefined }), 'outboxRelay: query = undefined'],
    ['a relay with a query that is none', relayed({ query: 5 }), 'outboxRelay: query = 5'],
    ['a bound without a stream', relayed({ maxLength: 5 }), 'outboxRelay: maxLength = 5'],
    ['a bound that is none', relayed({ stream: 's', maxLength: 0.5 }), 'outboxRelay: maxLength = 0.5'],
    ['a relay to nowhere', relayed({ destination: {} }), 'outboxRelay: destination'],
    ['a relay in no time', relayed({ every: 'soon' }), "outboxRelay: every = 'soon'"],
    ['a relay factory of null', () => start({}, [outboxRelay({ useFactory: (() => null) as Bad })]), 'options = null'],
  ];
  test.each(rows.map((row) => [row[0], row] as const))('%s', (_what, row) => refused(row));
});

describe('refused when it is called', () => {
  type Call = readonly [what: string, run: (app: TestApp) => unknown, fragment: string, code?: CacheGuardErrorCode];
  const reconciled = { offers: { freshness: 'reference', reconcile: { every: '1h', versions: () => [] } } };
  const event = { source: '/bank', type: 'changed' };
  const run = async () => undefined;
  const rows: readonly Call[] = [
    ['a session of nothing', ({ guard }) => (guard as Bad).session(), 'session: run = undefined'],
    ['a session of a text', ({ guard }) => guard.session('gold' as Bad), "session: run = 'gold'"],
    ['a session with null', ({ guard }) => guard.session(run, null as Bad), 'session: options = null'],
    ['a misspelt session', ({ guard }) => guard.session(run, { tokn: 'a' } as Bad), "session: tokn = 'a'"],
    ['no reconciliation options', ({ guard }) => guard.reconcile('offers', null as Bad), 'reconcile: options = null'],
    ['a misspelt reconciliation', ({ guard }) => guard.reconcile('offers', { b: 1 } as Bad), 'reconcile: b = 1'],
    ['a signal', ({ guard }) => guard.reconcile('offers', { signal: {} } as Bad), 'reconcile: signal = {}'],
    ['progress', ({ guard }) => guard.reconcile('offers', { onProgress: 1 } as Bad), 'reconcile: onProgress = 1'],
    ['nothing to reconcile', ({ guard }) => (guard as Bad).reconcile(), 'domain = undefined', 'CG_UNKNOWN_DOMAIN'],
    ['nothing to look at', ({ guard }) => (guard as Bad).lastReconciliation(), 'undefined', 'CG_UNKNOWN_DOMAIN'],
    ['nothing to warm', ({ guard }) => (guard as Bad).warm(), 'Warming: options = undefined'],
    ['a trace of nothing', ({ guard }) => (guard as Bad).trace(), 'CacheGuard.trace: run = undefined'],
    ['a listener that is none', ({ guard }) => guard.on(5 as Bad), 'CacheGuard.on: listener = 5'],
    [
      'a loader of a name that is none',
      ({ guard }) => guard.events.loader({ domain: 'offers', name: 5 } as Bad, run),
      'name = 5',
    ],
    ...[undefined, null, 5, 'gold', {}, new Set([event])].map((bad): Call => [
      `a list of ${inspect(bad)}`,
      ({ guard }) => guard.events.publishAll(bad as Bad),
      'publishAll = ',
    ]),
    ['a loader of nothing', ({ guard }) => (guard as Bad).events.loader(), 'CacheGuard.events: loader = undefined'],
    ['a loader that is none', ({ guard }) => guard.events.loader('offers', 5 as Bad), 'events.loader: load = 5'],
    [
      'a misspelt loader',
      ({ guard }) => guard.events.loader({ domain: 'offers', tag: 1 } as Bad, run),
      'events.loader: tag = 1',
    ],
    [
      'tags of a loader',
      ({ guard }) => guard.events.loader({ domain: 'offers', tags: ['a'] } as Bad, run),
      'events.loader: tags = ["a"]',
    ],
    ['no run', () => outbox().publish(undefined as Bad, []), 'SqlOutbox: run = undefined'],
    ['null for an event', () => outbox().publish(sql, null as Bad), 'not null', 'CG_UNENCODABLE'],
    ['null among events', () => outbox().publish(sql, [null] as Bad), 'not null', 'CG_UNENCODABLE'],
    ['a promise of an event', () => outbox().publish(sql, run() as Bad), 'not a promise', 'CG_UNENCODABLE'],
    ['no time', () => new SqlOutbox({ dialect: 'sqlite', now: () => NaN }).publish(sql, event), 'SqlOutbox: now'],
    ['no id', () => new SqlOutbox({ dialect: 'sqlite', newId: run as Bad }).publish(sql, event), 'SqlOutbox: newId'],
    ['no rows', () => relay({ query: () => 5 }).status(), 'SqlOutbox: query has given no rows'],
    ['rows as a driver for MySQL gives them', () => relay({ query: () => [[], []] }).status(), 'SqlOutbox: query'],
  ];
  test.each(rows.map((row) => [row[0], row] as const))('%s', async (_what, [what, call, fragment, code]) => {
    const app = await start({ domains: reconciled });
    await refused([what, () => call(app), fragment, code ?? WHERE]);
  });

  test('an event of nothing is refused, and disturbs no other', async () => {
    const { guard } = await start();
    for (const nothing of [undefined, null, 5, run()] as Bad[]) {
      const given = [nothing, { id: '1', source: '/bank', type: 'other' }];
      expect(await guard.events.publishAll(given)).toMatchObject([
        { kind: 'poison', reason: expect.stringContaining('an event is an object') },
        { kind: 'done' },
      ]);
    }
    expect(await (guard.events as Bad).publish()).toMatchObject({ kind: 'poison' });
  });

  test('a destination that answers with something else is told, and its rows stay', async () => {
    for (const append of [() => 5, () => [{ index: 7, reason: 'x' }], () => [null]]) {
      const statements: string[] = [];
      const troubles: unknown[] = [];
      const query = (text: string) => {
        statements.push(text);
        return text.startsWith('select')
          ? [{ position: 1, event: '{"id":"1","source":"/a","type":"b"}', queued_ms: 1 }]
          : [];
      };
      const reports = { lag: () => {}, deadLettered: () => {}, trouble: (error: unknown) => troubles.push(error) };
      const moved = relay({ query, destination: { append }, reports });
      moved.start();
      await expect.poll(() => troubles).toHaveLength(1);
      await moved.close();
      expect(troubles[0]).toSatisfy((error) => isCacheGuardError(error, WHERE));
      expect(String(troubles[0])).toContain('OutboxRelay: destination.append');
      expect(statements).toHaveLength(1);
    }
  });
});

describe('promises for what is wanted at once', () => {
  const late = () => Promise.reject(new Error('nobody waits for it'));
  const version = () => 1n;
  const rows: readonly (readonly [field: string, rule: Bad])[] = [
    ['key', { key: late }],
    ['keys', { key: undefined, keys: late }],
    ['keys', { key: undefined, keys: () => ['gold', late()] }],
    ['tags', { key: undefined, tags: late }],
    ['tags', { key: undefined, tags: () => [late()] }],
    ['version', { version: late }],
    ['value', { action: 'update', version, value: late }],
    ['version', { action: 'update', version: late, value: () => 1 }],
  ];
  test.each(rows)('of %s: the event is put aside, with the reason', async (field, given) => {
    const { guard } = await start({ events: { rules: [{ on: 'changed', domain: 'offers', key, ...given }] } });
    const verdict = await guard.events.publish({ id: '1', source: '/bank', type: 'changed' });
    expect(verdict).toMatchObject({ kind: 'poison' });
    expect(verdict).toHaveProperty('reason', expect.stringContaining(`${field} gave a promise`));
  });

  test('of the arguments of @Follows likewise', async () => {
    class Followers {
      @Follows<[string]>({ on: 'changed', args: late as Bad })
      @Cached({ domain: 'offers' })
      async find(segment: string): Promise<string> {
        return segment;
      }
    }
    const { guard } = await start({}, [Followers]);
    const verdict = await guard.events.publish({ id: '1', source: '/bank', type: 'changed' });
    expect(verdict).toMatchObject({ kind: 'poison', reason: expect.stringContaining('args gave a promise') });
  });
});

describe('a refresh that nobody can do', () => {
  const rules = (name: string | undefined) => ({
    events: { rules: [{ on: 'changed', domain: 'offers', key, action: 'refresh', ...(name && { name }) }] },
  });

  test('is told once at boot, with the domain, the name and the mend', async () => {
    const { logs } = await start(rules('ofers'));
    const told = logs.of('warn').filter((line) => line.includes("'ofers'"));
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/events\.rules\[0\].*domain 'offers'.*name/);
  });

  test('is not told where a method does it, or a loader that the application has registered', async () => {
    @Injectable()
    class Loads implements OnModuleInit {
      constructor(@Inject(CacheGuard) private readonly guard: CacheGuard) {}

      onModuleInit(): void {
        this.guard.events.loader('offers', async () => 1);
      }
    }
    expect((await start(rules('offers'))).logs.of('warn')).toEqual([]);
    expect((await start(rules(undefined), [Loads])).logs.of('warn')).toEqual([]);
    expect((await start(rules(undefined))).logs.of('warn')).toHaveLength(1);
  });
});

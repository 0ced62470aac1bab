import { Injectable } from '@nestjs/common';
import {
  Cached,
  CacheGuardModule,
  OutboxRelay,
  outboxRelay,
  SqlOutbox,
  type CacheGuardModuleOptions,
  type DomainEvent,
  type EventDestination,
  type EventRule,
  type OutboxRelayConfig,
} from 'nestjs-cache-guard';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import type { Query } from '../../sample-app/source/database.js';
import { EmbeddedDatabase } from '../../sample-app/source/embedded-database.js';
import { uniqueNamespace } from '../support/namespace.js';
import { startRedis } from '../support/redis-server.js';
import { failureOf, gate, startApp, type TestApp } from './support/app.js';

/** One embedded Postgres for all tests; it takes seconds to start. */
let database: EmbeddedDatabase;
beforeAll(async () => {
  database = await EmbeddedDatabase.start();
});
afterAll(() => database.close());

const query: Query = (sql, params) => database.query(sql, params);
const changed = (segment: string) => ({ source: '/bank/offers', type: 'offer.changed', data: { segment } });
const segmentOf = (event: DomainEvent): string => (event.data as { segment: string }).segment;

let tables = 0;
async function newOutbox(): Promise<SqlOutbox> {
  const outbox = new SqlOutbox({ dialect: 'postgres', table: `outbox_${++tables}` });
  for (const statement of outbox.schema()) await query(statement);
  return outbox;
}

const publish = (outbox: SqlOutbox, ...segments: string[]) =>
  database.transaction((open) => outbox.publish(open, segments.map(changed)));
const rowsOf = (outbox: SqlOutbox) =>
  query<{ event: string; state: string; reason: string | null }>(
    `select event, state, reason from ${outbox.table} order by position`,
  );
const emptied = (outbox: SqlOutbox) => vi.waitUntil(async () => (await rowsOf(outbox)).length === 0);

/** Keeps what it is given. */
class Recorder implements EventDestination {
  readonly batches: string[][] = [];
  /** What happens before a batch is taken. */
  before: (segments: string[]) => unknown = () => {};

  async append(events: readonly DomainEvent[]): Promise<void> {
    const segments = events.map(segmentOf);
    await this.before(segments);
    this.batches.push(segments);
  }
}

interface Relayed extends TestApp {
  readonly relay: OutboxRelay;
}

async function startRelay(
  config: OutboxRelayConfig,
  options: Partial<CacheGuardModuleOptions> = {},
  providers: (typeof Offers)[] = [],
): Promise<Relayed> {
  const root = CacheGuardModule.forRoot({ namespace: uniqueNamespace('outbox'), ...options });
  const started = await startApp({
    imports: [root],
    providers: [...providers, outboxRelay({ every: 10, ...config })],
  });
  return { ...started, relay: started.of<OutboxRelay>(OutboxRelay) };
}

@Injectable()
class Offers {
  loads = 0;

  @Cached({ domain: 'offers', key: (segment: string) => segment })
  async find(segment: string): Promise<string> {
    return `${segment} ${++this.loads}`;
  }
}
const domains = { offers: { freshness: 'reference', stalePolicy: 'never' } } as const;
const rule: EventRule = { on: 'offer.changed', domain: 'offers', key: segmentOf };

describe('an outbox and its relay', () => {
  test('send what was committed, in order and in bounded batches, and never what was rolled back', async () => {
    const outbox = await newOutbox();
    const given = Array.from({ length: 25 }, (_, i) => `s${i}`);
    const rolledBack = database.transaction(async (open) => {
      await outbox.publish(open, changed('never'));
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    const [first] = await publish(outbox, ...given);
    expect(first).toMatchObject({ id: expect.stringMatching(/^[\w-]{36}$/), time: expect.stringMatching(/Z$/) });
    const destination = new Recorder();
    await startRelay({ outbox, query, destination, batch: 10 });
    await emptied(outbox);
    expect(destination.batches).toEqual([given.slice(0, 10), given.slice(10, 20), given.slice(20)]);
  });

  test('lose nothing that commits late with an earlier position', async () => {
    const outbox = await newOutbox();
    await publish(outbox, 'one', 'two', 'three');
    // The transaction that has drawn position 2 is still open when 1 and 3 are sent.
    const [late] = await query<{ event: string }>(`delete from ${outbox.table} where position = 2 returning event`);
    const destination = new Recorder();
    destination.before = async (segments) => {
      if (!segments.includes('three')) return;
      const insert = `insert into ${outbox.table} (position, event, queued_ms) overriding system value values (2, $1, 0)`;
      await query(insert, [late!.event]);
    };
    await startRelay({ outbox, query, destination });
    await emptied(outbox);
    expect(destination.batches).toEqual([['one', 'three'], ['two']]);
  });

  test('set aside what is no event, with the reason, and go on with what stands behind', async () => {
    const outbox = await newOutbox();
    const broken = ['{"id": "secret', '{"id":"1","source":"/bank"}'];
    for (const text of broken) await query(`insert into ${outbox.table} (event, queued_ms) values ($1, 0)`, [text]);
    await publish(outbox, 'behind');
    const destination = new Recorder();
    const { relay, events } = await startRelay({ outbox, query, destination });
    await vi.waitUntil(() => destination.batches.length > 0);
    expect(destination.batches).toEqual([['behind']]);
    await vi.waitUntil(async () => (await relay.status()).waiting === 0);
    expect(await rowsOf(outbox)).toEqual([
      { event: broken[0], state: 'dead', reason: 'the row does not hold JSON' },
      { event: broken[1], state: 'dead', reason: expect.stringContaining('type') },
    ]);
    expect(await relay.status()).toEqual({ waiting: 0, dead: 2, oldestMs: 0 });
    const source = `outbox ${outbox.table}`;
    expect(events.filter(({ type }) => type === 'dead-letter')).toEqual([
      { type: 'dead-letter', source, reason: 'the row does not hold JSON' },
      { type: 'dead-letter', source, reason: expect.stringContaining('type') },
    ]);
  });

  test('set aside what the destination refuses for good', async () => {
    const outbox = await newOutbox();
    await publish(outbox, 'good', 'bad', 'better');
    const destination: EventDestination = { append: async () => [{ index: 1, reason: 'not here' }] };
    const { relay } = await startRelay({ outbox, query, destination });
    await vi.waitUntil(async () => (await relay.status()).waiting === 0);
    expect(await rowsOf(outbox)).toEqual([
      { event: expect.stringContaining('"bad"'), state: 'dead', reason: 'not here' },
    ]);
  });

  test('send again what the destination did not take, and tell of it and of how old it is', async () => {
    const outbox = await newOutbox();
    await publish(outbox, 'gold');
    const destination = new Recorder();
    let away = 3;
    destination.before = () => {
      if (away-- > 0) throw new Error('away');
    };
    const { events } = await startRelay({ outbox, query, destination });
    await emptied(outbox);
    expect(destination.batches).toEqual([['gold']]);
    const source = `outbox ${outbox.table}`;
    const troubles = events.filter(({ type }) => type === 'event-source-error');
    expect(troubles).toEqual(
      Array.from({ length: 3 }, () => ({ type: 'event-source-error', source, error: new Error('away') })),
    );
    const lags = () => events.flatMap((event) => (event.type === 'event-lag' ? [event.lagMs] : []));
    await vi.waitUntil(() => lags().at(-1) === 0);
    // Three back-offs of 20, 40 and 80 ms lie between.
    expect(Math.max(...lags())).toBeGreaterThanOrEqual(100);
  });

  test('send again, and lose nothing, when the database fails between the two steps', async () => {
    const outbox = await newOutbox();
    await publish(outbox, 'gold');
    const destination = new Recorder();
    let failures = 2;
    const failing: Query = async (sql, params) => {
      if (sql.startsWith('delete') && failures-- > 0) throw new Error('the database is away');
      return query(sql, params);
    };
    await startRelay({ outbox, query: failing, destination });
    await emptied(outbox);
    expect(destination.batches).toEqual([['gold'], ['gold'], ['gold']]);
  });

  test('need no interval when they are nudged', async () => {
    const outbox = await newOutbox();
    const destination = new Recorder();
    const { relay, events } = await startRelay({ outbox, query, destination, every: '1h' });
    await vi.waitUntil(() => events.some(({ type }) => type === 'event-lag'));
    await publish(outbox, 'gold');
    relay.nudge();
    await emptied(outbox);
    expect(destination.batches).toEqual([['gold']]);
  });

  test('let the batch under way end at a shutdown, and begin no other', async () => {
    const outbox = await newOutbox();
    await publish(outbox, 'one', 'two');
    const destination = new Recorder();
    const [begun, allowed] = [gate(), gate()];
    destination.before = async () => {
      begun.open();
      await allowed.passed;
    };
    const { app } = await startRelay({ outbox, query, destination, batch: 1 });
    await begun.passed;
    const closed = app.close();
    allowed.open();
    await closed;
    expect(destination.batches).toEqual([['one']]);
    expect(await rowsOf(outbox)).toHaveLength(1);
  });

  test('work in one process of the fleet at a time', async () => {
    const outbox = await newOutbox();
    await publish(outbox, 'gold');
    const fleet = { redisUrl: inject('redisUrl'), namespace: uniqueNamespace('outbox') };
    const destination = new Recorder();
    const [begun, allowed] = [gate(), gate()];
    destination.before = () => (begun.open(), allowed.passed);
    await startRelay({ outbox, query, destination }, fleet);
    await begun.passed;

    const timers = vi.spyOn(globalThis, 'setTimeout');
    onTestFinished(() => timers.mockRestore());
    const asked = vi.fn(query);
    const other = new Recorder();
    const EVERY_MS = 7;
    await startRelay({ outbox, query: asked, destination: other, every: EVERY_MS }, fleet);
    // It has had its turn a few times, and left it to the other.
    await vi.waitUntil(() => timers.mock.calls.filter(([, ms]) => ms === EVERY_MS).length >= 3);
    expect(asked).not.toHaveBeenCalled();
    allowed.open();
    await vi.waitUntil(() => asked.mock.calls.length > 0);
    await emptied(outbox);
    expect([...destination.batches, ...other.batches]).toEqual([['gold']]);
  });
});

describe('an outbox that is emptied into the rules of its own process', () => {
  test('invalidates what a rule says', async () => {
    const outbox = await newOutbox();
    const started = await startRelay({ outbox, query }, { domains, events: { rules: [rule] } }, [Offers]);
    const offers = started.of<Offers>(Offers);
    expect([await offers.find('gold'), await offers.find('gold')]).toEqual(['gold 1', 'gold 1']);
    await publish(outbox, 'gold');
    await emptied(outbox);
    expect(await offers.find('gold')).toBe('gold 2');
  });

  test('sets an event aside whose action goes on failing, and carries out those beside and behind it', async () => {
    const outbox = await newOutbox();
    let tries = 0;
    const key = (event: DomainEvent): string => {
      if (segmentOf(event) === 'bad' && ++tries > 0) throw new Error('no such segment');
      return segmentOf(event);
    };
    const rules = [{ ...rule, key }];
    const started = await startRelay({ outbox, query, batch: 2 }, { domains, events: { rules } }, [Offers]);
    const offers = started.of<Offers>(Offers);
    for (const segment of ['gold', 'behind']) await offers.find(segment);
    await publish(outbox, 'bad', 'gold', 'behind');
    await vi.waitUntil(async () => (await started.relay.status()).waiting === 0);
    expect(tries).toBe(5);
    expect((await rowsOf(outbox)).map(({ reason }) => reason)).toEqual([expect.stringContaining('no such segment')]);
    expect([await offers.find('gold'), await offers.find('behind')]).toEqual(['gold 3', 'behind 4']);
  });
});

test('an outbox is emptied into a Redis stream, also when Redis was away', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const outbox = await newOutbox();
  const stream = uniqueNamespace('stream');
  const { events } = await startRelay({ outbox, query, stream }, { redisUrl: server.url, commandTimeout: '250ms' });
  await publish(outbox, 'before');
  await emptied(outbox);
  await server.kill();
  await publish(outbox, 'meanwhile');
  await vi.waitUntil(() => events.some(({ type }) => type === 'event-source-error'));
  await server.restart({ from: 'empty' });
  await vi.waitUntil(async () => (await rowsOf(outbox)).length === 0, 15_000);

  const client = new Redis(server.url);
  onTestFinished(() => client.disconnect());
  const entries = await client.xrange(stream, '-', '+');
  const segments = entries.map(([, fields]) =>
    segmentOf(JSON.parse(fields[fields.indexOf('event') + 1]!) as DomainEvent),
  );
  expect(new Set(segments)).toEqual(new Set(['meanwhile']));
});

describe('what is refused', () => {
  test.each([
    [{ dialect: 'oracle' as never }, "dialect = 'oracle' is refused; use one of postgres, mysql, sqlite"],
    [{ dialect: 'mysql', table: 'a; drop table b' } as const, 'table = '],
    [{ dialect: 'mysql', table: 'a.b.c' } as const, 'table = '],
    [{ dialect: 'mysql', table: '' } as const, 'table = '],
  ])('an outbox with %o', (options, message) => {
    expect(() => new SqlOutbox(options)).toThrow(expect.objectContaining({ code: 'CG_INVALID_OPTIONS' }));
    expect(() => new SqlOutbox(options)).toThrow(message);
  });

  test.each([
    [{ batch: 0 }, 'batch = 0'],
    [{ batch: 1_001 }, 'batch = 1001'],
    [{ every: 'often' as never }, "every = 'often'"],
    [{ stream: 'events' }, 'the module has no Redis'],
  ])('a relay with %o', async (config, message) => {
    const outbox = new SqlOutbox({ dialect: 'postgres' });
    expect(await failureOf(() => startRelay({ outbox, query, ...config }))).toMatchObject({
      code: 'CG_INVALID_OPTIONS',
      message: expect.stringContaining(message),
    });
  });

  test.each([
    ['no source', { type: 'a', source: '', data: 1 }],
    ['data that JSON cannot hold', { type: 'a', source: 'b', data: 1n }],
    ['very much data', { type: 'a', source: 'b', data: 'x'.repeat(262_144) }],
  ])('an event with %s, before any of the others is written', async (_, event) => {
    const run = vi.fn<() => unknown>();
    const publishing = new SqlOutbox({ dialect: 'sqlite' }).publish(run, [changed('gold'), event]);
    await expect(publishing).rejects.toMatchObject({ code: 'CG_UNENCODABLE' });
    expect(run).not.toHaveBeenCalled();
  });
});

test.each([
  ['postgres', '"bank"."outbox"', '($1, $2), ($3, $4)'],
  ['mysql', '`bank`.`outbox`', '(?, ?), (?, ?)'],
  ['sqlite', '"bank"."outbox"', '(?, ?), (?, ?)'],
] as const)('statements for %s carry values as parameters only', async (dialect, table, marks) => {
  const run = vi.fn<(sql: string, params: readonly unknown[]) => unknown>();
  const outbox = new SqlOutbox({ dialect, table: 'bank.outbox', newId: () => 'an-id', now: () => 0 });
  expect(outbox.schema()[0]).toContain(`create table if not exists ${table} (`);
  await outbox.publish(run, [changed("'); drop table x; --"), changed('b')]);
  const [[sql, params]] = run.mock.calls as [[string, unknown[]]];
  expect(sql).toBe(`insert into ${table} (event, queued_ms) values ${marks}`);
  expect(params).toEqual([expect.stringContaining('drop table'), 0, expect.stringContaining('"id":"an-id"'), 0]);
});

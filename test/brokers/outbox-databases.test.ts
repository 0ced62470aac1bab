import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CacheGuardModule,
  OutboxRelay,
  outboxRelay,
  SqlOutbox,
  type DomainEvent,
  type EventDestination,
  type OutboxRelayConfig,
} from 'nestjs-cache-guard';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { gate, startApp } from '../e2e/support/app.js';
import { expectNothingLostByAKilledRelay } from '../fleet/support/killed-relay.js';
import { startMariaDb, type MariaDbServer } from '../support/mariadb-server.js';
import { uniqueNamespace } from '../support/namespace.js';
import { MySqlDatabase, SqliteDatabase, type DatabasePlace, type SqlDatabase } from '../support/sql-databases.js';

let server: MariaDbServer;
const folder = mkdtempSync(join(tmpdir(), 'outbox-sqlite-'));
beforeAll(async () => {
  // The worst that a server's defaults can be: no transactions, and no text beyond Western Europe's.
  server = await startMariaDb(['--default-storage-engine=MyISAM', '--character-set-server=latin1']);
  const setup = new MySqlDatabase({ port: server.port });
  await setup.query('create database bank');
  await setup.close();
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

type Opened = SqlDatabase & { close(): Promise<void> };
interface Kind {
  readonly name: string;
  readonly place: () => DatabasePlace;
  readonly open: () => Opened;
}

const mysqlPlace = (prepared: boolean) =>
  ({ dialect: 'mysql', port: server.port, database: 'bank', prepared }) as const;
const file = join(folder, 'bank.db');
const KINDS: readonly Kind[] = [
  { name: 'MariaDB', place: () => mysqlPlace(false), open: () => new MySqlDatabase(mysqlPlace(false)) },
  {
    name: 'MariaDB, with prepared statements',
    place: () => mysqlPlace(true),
    open: () => new MySqlDatabase(mysqlPlace(true)),
  },
  { name: 'SQLite', place: () => ({ dialect: 'sqlite', file }), open: () => new SqliteDatabase(file) },
];

const changed = (segment: string) => ({ source: '/bank/offers', type: 'offer.changed', data: { segment } });
const segmentOf = (event: DomainEvent): string => (event.data as { segment: string }).segment;

/** Keeps what it is given. */
class Recorder implements EventDestination {
  readonly batches: string[][] = [];

  async append(events: readonly DomainEvent[]): Promise<void> {
    this.batches.push(events.map(segmentOf));
  }
}

async function startRelay(config: OutboxRelayConfig): Promise<OutboxRelay> {
  const root = CacheGuardModule.forRoot({ namespace: uniqueNamespace('outbox') });
  const { of } = await startApp({ imports: [root], providers: [outboxRelay({ every: 10, ...config })] });
  return of<OutboxRelay>(OutboxRelay);
}

let tables = 0;
describe.each(KINDS)('an outbox in $name', ({ place, open: openHere }) => {
  let database: Opened;
  beforeAll(() => {
    database = openHere();
  });
  afterAll(() => database?.close());

  async function newOutbox(): Promise<SqlOutbox> {
    const outbox = new SqlOutbox({ dialect: place().dialect, table: `outbox_${++tables}` });
    // A migration may be run again.
    for (const statement of [...outbox.schema(), ...outbox.schema()]) await database.query(statement);
    return outbox;
  }
  const publish = (outbox: SqlOutbox, ...segments: string[]) =>
    database.transaction((open) => outbox.publish(open, segments.map(changed)));
  const rowsOf = (outbox: SqlOutbox) =>
    database.query<{ event: string; state: string; reason: string | null }>(
      `select event, state, reason from ${outbox.table} order by position`,
    );
  const emptied = (outbox: SqlOutbox) => vi.waitUntil(async () => (await rowsOf(outbox)).length === 0, 10_000);
  const relayInto = async (outbox: SqlOutbox, config: Partial<OutboxRelayConfig> = {}) => {
    const destination = new Recorder();
    const relay = await startRelay({ outbox, query: database.query, destination, ...config });
    return { relay, destination };
  };

  test('sends what was committed, in order and in bounded batches, and never what was rolled back', async () => {
    const outbox = await newOutbox();
    const rolledBack = database.transaction(async (open) => {
      await outbox.publish(open, changed('never'));
      expect(await open(`select 1 from ${outbox.table}`)).toHaveLength(1);
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    const given = Array.from({ length: 250 }, (_, i) => `s${i}`);
    await publish(outbox, ...given);
    const { destination } = await relayInto(outbox, { batch: 100 });
    await emptied(outbox);
    expect(destination.batches).toEqual([given.slice(0, 100), given.slice(100, 200), given.slice(200)]);
  });

  test.each([
    ['quotes and backslashes', `'"\`\\' \\" ; -- ? $1 %s \n\t\0`],
    ['writing of other parts of the world', 'čeština 日本語 😀'],
    ['a great length', 'x'.repeat(250_000)],
  ])('gives back texts with %s as they were', async (_, text) => {
    const outbox = await newOutbox();
    await publish(outbox, text);
    const { destination } = await relayInto(outbox);
    await emptied(outbox);
    expect(destination.batches).toEqual([[text]]);
  });

  test('sets aside what is no event and what is refused, with the reason, and counts what is there', async () => {
    const outbox = await newOutbox();
    await database.query(`insert into ${outbox.table} (event, queued_ms) values (?, ?)`, ['{"id": "secret', 0]);
    await publish(outbox, 'good', 'bad', 'behind');
    const waiting = await outbox.counts(database.query);
    expect(waiting).toEqual({ waiting: 4, dead: 0, oldestMs: 0 });
    const taken: string[] = [];
    const destination: EventDestination = {
      append: async (events) => {
        taken.push(...events.map(segmentOf));
        return events.flatMap((event, index) => (segmentOf(event) === 'bad' ? [{ index, reason: 'nein, 😀' }] : []));
      },
    };
    const { relay } = await relayInto(outbox, { destination });
    await vi.waitUntil(async () => (await relay.status()).waiting === 0);
    expect(taken).toEqual(['good', 'bad', 'behind']);
    expect(await rowsOf(outbox)).toEqual([
      { event: '{"id": "secret', state: 'dead', reason: 'the row does not hold JSON' },
      { event: expect.stringContaining('"bad"'), state: 'dead', reason: 'nein, 😀' },
    ]);
    expect(await relay.status()).toEqual({ waiting: 0, dead: 2, oldestMs: 0 });
  });

  test('loses nothing to two relays that work at once, beside transactions that commit and that do not', async () => {
    const outbox = await newOutbox();
    // Each has a lease of its own kind, so both believe to be alone.
    const relays = [await relayInto(outbox, { batch: 7, every: 1 }), await relayInto(outbox, { batch: 5, every: 1 })];
    const committed: string[] = [];
    const writer = async (name: string): Promise<void> => {
      for (let i = 0; i < 40; i++) {
        const segment = `${name}${i}`;
        const failing = i % 4 === 3;
        const writing = database.transaction(async (open) => {
          await outbox.publish(open, [changed(segment), changed(`${segment}+`)]);
          if (failing) throw new Error('no');
        });
        if (failing) {
          await expect(writing).rejects.toThrow('no');
          continue;
        }
        await writing;
        committed.push(segment, `${segment}+`);
        relays[i % 2]!.relay.nudge();
      }
    };
    await Promise.all(['a', 'b', 'c', 'd'].map(writer));
    await emptied(outbox);
    const sent = relays.flatMap(({ destination }) => destination.batches.flat());
    expect([...new Set(sent)].toSorted()).toEqual(committed.toSorted());
  });

  test('loses nothing when a process that relays is killed between the two steps, and what is sent twice is done once', async () => {
    await expectNothingLostByAKilledRelay(database, place());
  });
});

test('an outbox in MariaDB loses nothing that commits late with an earlier position', async () => {
  const database = new MySqlDatabase(mysqlPlace(false));
  onTestFinished(() => database.close());
  const outbox = new SqlOutbox({ dialect: 'mysql', table: 'late_outbox' });
  for (const statement of outbox.schema()) await database.query(statement);
  const destination = new Recorder();
  await startRelay({ outbox, query: database.query, destination });
  const [drawn, allowed] = [gate(), gate()];
  const late = database.transaction(async (open) => {
    await outbox.publish(open, changed('late'));
    drawn.open();
    await allowed.passed;
  });
  await drawn.passed;
  await database.transaction((open) => outbox.publish(open, changed('early')));
  await vi.waitUntil(() => destination.batches.length > 0);
  allowed.open();
  await late;
  await vi.waitUntil(() => destination.batches.length > 1);
  expect(destination.batches).toEqual([['early'], ['late']]);
});

import { InProcessDestination, OutboxRelay, SqlOutbox, type OutboxRelayOptions, type RunSql } from 'nestjs-cache-guard';
import { FakeClock } from 'nestjs-cache-guard/testing';
import { expect, onTestFinished, test } from 'vitest';

const EVENT = { id: '1', source: '/bank', type: 'changed', data: undefined };
const row = { position: 1, event: JSON.stringify(EVENT), queued_ms: 0 };

/** A table that understands what the relay asks of it. */
class Table {
  /** What reading it throws. */
  failure: Error | undefined;
  reads = 0;
  private rows: { position: number; event: string; queued_ms: number }[];

  constructor(count: number) {
    this.rows = Array.from({ length: count }, (_, position) => ({
      position,
      event: JSON.stringify(EVENT),
      queued_ms: 0,
    }));
  }

  readonly query: RunSql = async (sql, params) => {
    if (sql.startsWith('delete')) this.rows = this.rows.filter(({ position }) => !params.includes(position));
    if (!sql.startsWith('select')) return [];
    this.reads++;
    if (this.failure) throw this.failure;
    return this.rows.slice(0, Number(/limit (\d+)$/.exec(sql)![1]));
  };
}

function relayOf(table: Table, options: Partial<OutboxRelayOptions>) {
  const clock = new FakeClock();
  const batches: number[] = [];
  const destination = { append: async (events: readonly object[]) => void batches.push(events.length) };
  const outbox = new SqlOutbox({ dialect: 'sqlite' });
  const relay = new OutboxRelay({ outbox, query: table.query, destination, clock, batch: 1, ...options });
  onTestFinished(() => relay.close());
  return { relay, clock, batches };
}

test('who is no longer the only one begins no other batch', async () => {
  const lost = new AbortController();
  const { relay, clock, batches } = relayOf(new Table(3), {
    alone: (work) => work(lost.signal),
    reports: { lag: () => lost.abort(), deadLettered: () => {}, trouble: () => {} },
  });
  relay.start();
  await clock.run(0);
  expect(batches).toEqual([1]);
});

test('failures back off, up to 30 seconds, and nudges do not get round that', async () => {
  const table = new Table(1);
  table.failure = new Error('the database is away');
  const { relay, clock, batches } = relayOf(table, {});
  relay.start();
  const waits: number[] = [];
  for (let reads = 1; reads < 8; reads++) {
    await clock.run(0);
    expect(table.reads).toBe(reads);
    relay.nudge();
    let seconds = 0;
    for (; table.reads === reads; seconds++) await clock.run(1_000);
    waits.push(seconds);
  }
  expect(waits).toEqual([2, 4, 8, 16, 30, 30, 30]);
  table.failure = undefined;
  await clock.run(30_000);
  expect(batches).toEqual([1]);
  const { reads } = table;
  await clock.run(1_000);
  expect(table.reads).toBe(reads + 1);
});

test('closing waits for the batch under way, and not for ever', async () => {
  let sent = () => {};
  const destination = { append: () => new Promise<void>((resolve) => (sent = resolve)) };
  const { relay, clock } = relayOf(new Table(1), { destination });
  const ended = async () => {
    let closed = false;
    const closing = relay.close().then(() => (closed = true));
    await clock.run(4_999);
    const waited = !closed;
    await clock.run(1);
    await closing;
    return waited;
  };
  relay.start();
  await clock.run(0);
  expect(await ended()).toBe(true);
  sent();
  await clock.run(0);
  expect(clock.pending).toBe(0);
});

test('closing ends as soon as the batch under way does', async () => {
  let sent = () => {};
  const destination = { append: () => new Promise<void>((resolve) => (sent = resolve)) };
  const { relay, clock } = relayOf(new Table(2), { destination });
  relay.start();
  await clock.run(0);
  const closing = relay.close();
  sent();
  await closing;
  expect(clock.pending).toBe(0);
});

test('what the rules of the process cannot do yet comes again', async () => {
  const destination = new InProcessDestination(async () => [{ kind: 'later', reason: 'the store is away' }]);
  await expect(destination.append([EVENT])).rejects.toThrow('the store is away');
});

test.each<[string, RunSql]>([
  ['come without their position', async (sql) => (sql.startsWith('select') ? [{ EVENT: 1 }] : [])],
  ['are not deleted', async (sql) => (sql.startsWith('select') ? [row] : [])],
])('rows that %s are a failure, and no reason to go on at once', async (_, run) => {
  let reads = 0;
  const query: RunSql = async (sql, params) => {
    if (sql.startsWith('select')) reads++;
    return run(sql, params);
  };
  const troubles: unknown[] = [];
  const reports = { lag: () => {}, deadLettered: () => {}, trouble: (error: unknown) => troubles.push(error) };
  const { relay, clock } = relayOf(new Table(0), { query, reports });
  relay.start();
  await clock.run(0);
  expect(reads).toBeLessThan(3);
  expect(troubles).toEqual([expect.objectContaining({ message: expect.stringContaining('query') as string })]);
});

import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import type { Status } from '../../sample-app/dashboard/status.service.js';
import { bankOutbox } from '../../sample-app/events/bank-outbox.js';
import type { EventStatus } from '../../sample-app/events/events.controller.js';
import type { Database } from '../../sample-app/source/database.js';
import { EmbeddedDatabase } from '../../sample-app/source/embedded-database.js';
import { uniqueNamespace } from '../support/namespace.js';
import { FRAGMENTS, openBank, type Bank } from './support/bank.js';

/** One embedded Postgres for all tests; it takes seconds to start. */
let database: Database;
beforeAll(async () => {
  database = await EmbeddedDatabase.start();
});
afterAll(() => database.close());

const eventsOf = async (bank: Bank): Promise<EventStatus> => (await bank.get<EventStatus>('/api/events')).body;

const statusOf = async (bank: Bank): Promise<Status> => (await bank.get<Status>('/api/status')).body;

async function publishOffer(bank: Bank, segment: string): Promise<string> {
  const title = `Offer ${uniqueNamespace()}`;
  expect((await bank.send('POST', '/api/offers', { segment, title })).status).toBe(201);
  return title;
}

const loadsOfAll = (banks: readonly Bank[]) => banks.reduce((sum, { source }) => sum + source.loads('offers'), 0);

describe.each([
  { store: 'memory', instances: 1 },
  { store: 'redis', instances: 2 },
])('an update in the bank dashboard, on $store', ({ store, instances }) => {
  async function open(): Promise<Bank[]> {
    const shared = store === 'redis' ? { redisUrl: inject('redisUrl') } : {};
    const namespace = uniqueNamespace('bank');
    const banks: Bank[] = [];
    for (let i = 0; i < instances; i++) {
      banks.push(await openBank({ ...shared, namespace, instance: `${namespace}-${i}` }, database));
    }
    return banks;
  }

  it('is loaded once by its event, before anybody asks, and seen in every instance', async () => {
    const banks = await open();
    for (const bank of banks) await bank.get(FRAGMENTS.offers);
    expect(loadsOfAll(banks)).toBe(1);
    const title = await publishOffer(banks[0]!, 'gold');
    await vi.waitUntil(() => loadsOfAll(banks) === 2);
    for (const bank of banks) {
      await vi.waitUntil(async () => {
        const [first] = await bank.value<{ title: string }[]>(FRAGMENTS.offers);
        return first?.title === title;
      });
      expect(await bank.get(FRAGMENTS.offers)).toMatchObject({ state: 'fresh' });
    }
    expect(loadsOfAll(banks)).toBe(2);
  });

  it('is listed with its lag in every instance, and the outbox is empty then', async () => {
    const banks = await open();
    const names = new Set(await Promise.all(banks.map(async (bank) => (await statusOf(bank)).instance)));
    const [card] = await banks[0]!.value<{ id: string; blocked: boolean }[]>(FRAGMENTS['card-controls']);
    await banks[0]!.send('PUT', `${FRAGMENTS['card-controls']}/${card!.id}`, { blocked: !card!.blocked });
    for (const bank of banks) {
      expect(await bank.blocked()).toBe(!card!.blocked);
      const handled = await vi.waitUntil(async () => {
        const { events } = await eventsOf(bank);
        return events.find(({ instance }) => names.has(instance));
      });
      expect(handled).toMatchObject({ type: 'bank.card-controls.changed', subject: 'ada', outcome: 'applied' });
      expect(handled.lagMs).toBeGreaterThanOrEqual(0);
      await vi.waitUntil(async () => (await eventsOf(bank)).outbox.waiting === 0);
    }
  });
});

it('a write that fails publishes nothing', async () => {
  const bank = await openBank({}, database);
  const failing = bank.send('PUT', '/api/customers/ada/cards/none', { blocked: true });
  expect((await failing).status).toBe(404);
  const before = await database.query('select 1 from bank_dashboard.offers');
  await expect(
    database.transaction(async (query) => {
      await query(`insert into bank_dashboard.offers (segment, title) values ('gold', 'Never')`);
      await bankOutbox.publish(query, { source: '/bank/offers', type: 'bank.offer.published' });
      throw new Error('rolled back');
    }),
  ).rejects.toThrow('rolled back');
  expect(await database.query('select 1 from bank_dashboard.offers')).toHaveLength(before.length);
  expect(await bankOutbox.counts((sql, params) => database.query(sql, params))).toMatchObject({ waiting: 0, dead: 0 });
});

it('an update that sent no event is found by the comparison with the source, which the page is told of', async () => {
  const bank = await openBank({}, database);
  let repaired = 0;
  bank.cache.on((event) => {
    if (event.type === 'reconciliation' && event.state === 'done') repaired += event.repaired;
  });
  const before = await bank.value<object[]>(FRAGMENTS.offers);
  await database.transaction(async (query) => {
    await query(`insert into bank_dashboard.offers (segment, title) values ('gold', 'Imported by night')`);
    await query(`update bank_dashboard.segments set revision = revision + 1 where segment = 'gold'`);
  });
  expect(await bank.get(FRAGMENTS.offers)).toMatchObject({ state: 'fresh', body: before });
  // One that was due may be running already, or have just found it.
  await vi.waitUntil(async () => {
    await bank.cache.reconcile('offers').catch(() => undefined);
    return repaired > 0;
  });
  await vi.waitUntil(async () => {
    const [first] = await bank.value<{ title: string }[]>(FRAGMENTS.offers);
    return first?.title === 'Imported by night';
  });
  expect((await eventsOf(bank)).reconciliation).toMatchObject({
    domain: 'offers',
    state: 'done',
    checked: 1,
    endedAt: expect.any(String),
  });
});

import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { BalancesService } from '../../sample-app/balances/balances.service.js';
import type { SampleConfig } from '../../sample-app/config.js';
import { actFor } from '../../sample-app/http/customer.js';
import { Database } from '../../sample-app/source/database.js';
import { openDatabase } from '../../sample-app/source/open-database.js';
import { uniqueNamespace } from '../support/namespace.js';
import { FRAGMENTS, openBank as openSample, type Bank } from './support/bank.js';

const DOMAINS = Object.keys(FRAGMENTS) as (keyof typeof FRAGMENTS)[];
const SUMMARY = '/api/customers/ada/summary';
const TRANSACTIONS = FRAGMENTS.transactions;

const fleet = (): SampleConfig => ({
  port: 0,
  instance: 'test',
  redisUrl: inject('redisUrl'),
  namespace: NAMESPACE,
  originDelayMs: 5,
  originSlowMs: 900,
});
const NAMESPACE = uniqueNamespace('bank');

/** One embedded Postgres for all tests; it takes seconds to start. */
let database: Database;
beforeAll(async () => {
  database = await openDatabase(fleet());
});
afterAll(() => database.close());

/** An instance of its own, without Redis; the data are those of all tests. */
const openBank = (config: Partial<SampleConfig> = {}, source: Database | 'own' = database): Promise<Bank> =>
  openSample(config, source === 'own' ? undefined : source);

const CACHE_CONTROL = {
  offers: /^public, max-age=\d+, stale-while-revalidate=\d+/,
  profile: /^private, max-age=\d+, stale-while-revalidate=\d+/,
  transactions: /^private, max-age=\d+, stale-if-error=\d+$/,
  balances: /^(?:private, )?no-store$/,
  'card-controls': /^(?:private, )?no-store$/,
};

const coffee = { account: 'ada-current', description: 'Coffee', cents: -350 };

describe('the bank dashboard', () => {
  it.each(DOMAINS)('loads %s once and keeps it', async (domain) => {
    const bank = await openBank();
    const loaded = await bank.get(FRAGMENTS[domain]);
    expect(loaded).toMatchObject({ status: 200, state: 'loaded' });
    expect(loaded.headers.get('cache-status')).toMatch(/^nestjs-cache-guard; fwd=uri-miss; ttl=\d+; stored$/);
    const kept = await bank.get(FRAGMENTS[domain]);
    expect(kept).toMatchObject({ status: 200, state: 'fresh', body: loaded.body });
    expect(kept.headers.get('cache-status')).toMatch(/^nestjs-cache-guard; hit; ttl=\d+$/);
    expect(kept.headers.get('age')).toMatch(/^\d+$/);
    expect(bank.source.loads(domain)).toBe(1);
  });

  it("gives what is a customer's own to that customer, and lets nobody in between keep it", async () => {
    const bank = await openBank();
    for (const domain of DOMAINS) {
      await bank.get(FRAGMENTS[domain]);
      const control = (await bank.get(FRAGMENTS[domain])).headers.get('cache-control');
      expect([domain, control]).toEqual([domain, expect.stringMatching(CACHE_CONTROL[domain])]);
    }
    // Not even by its key in the cache does another customer come to it.
    const { value } = await actFor('ada', () => bank.cache.trace(() => bank.of(BalancesService).of('ada')));
    const { served } = await actFor('grace', () => bank.cache.trace(() => bank.of(BalancesService).of('ada')));
    expect(value).toEqual((await bank.get(FRAGMENTS.balances)).body);
    expect(served).toMatchObject([{ state: 'loaded' }]);
  });

  it('shows a booking at once in the balances, the transactions and the summary', async () => {
    const bank = await openBank();
    const before = await bank.balance();
    const total = (await bank.value<{ totalCents: number }>(SUMMARY)).totalCents;
    await bank.get(TRANSACTIONS);
    const booking = { ...coffee, description: uniqueNamespace('coffee') };
    expect((await bank.send('POST', TRANSACTIONS, booking)).status).toBe(201);
    expect(await bank.balance()).toBe(before - 350);
    expect(await bank.get(SUMMARY)).toMatchObject({ state: 'uncached', body: { totalCents: total - 350 } });
    // Readers wait for the new list, unless the source is slow.
    await vi.waitUntil(async () => {
      const [latest] = await bank.value<{ description: string }[]>(TRANSACTIONS);
      return latest?.description === booking.description;
    });
  });

  it('never keeps the summary, which is made from balances', async () => {
    const bank = await openBank();
    const read = () => bank.value<{ totalCents: number }>(SUMMARY);
    const { totalCents } = await read();
    await database.query(`update bank_dashboard.accounts set cents = cents + 100 where id = 'ada-savings'`);
    await bank.cache.invalidate({ domain: 'balances', key: 'ada', principal: 'ada' });
    expect((await read()).totalCents).toBe(totalCents + 100);
    expect(await bank.cache.peek({ domain: 'dashboard', key: 'ada', principal: 'ada' })).toBeUndefined();
  });

  it.each(['app', 'back-office'])('knows at once of a card that was blocked through the %s', async (through) => {
    const bank = await openBank();
    const [card] = await bank.value<{ id: string; blocked: boolean }[]>(FRAGMENTS['card-controls']);
    for (const blocked of [!card!.blocked, card!.blocked]) {
      const path = `${FRAGMENTS['card-controls']}/${card!.id}`;
      expect(await bank.send('PUT', path, { blocked, through })).toMatchObject({ status: 200, body: { blocked } });
      expect(await bank.blocked()).toBe(blocked);
    }
    // The events of the app have it loaded again, perhaps in addition to the readers.
    if (through === 'back-office') expect(bank.source.loads('card-controls')).toBe(3);
    await vi.waitUntil(async () => (await bank.get(FRAGMENTS['card-controls'])).state === 'fresh');
  });

  it('writes a changed profile through', async () => {
    const bank = await openBank();
    await bank.get(FRAGMENTS.profile);
    const city = `City ${uniqueNamespace()}`;
    expect(await bank.send('PATCH', FRAGMENTS.profile, { city })).toMatchObject({ status: 200, body: { city } });
    expect(await bank.get(FRAGMENTS.profile)).toMatchObject({ state: 'fresh', body: { city } });
    expect(bank.source.loads('profile')).toBe(1);
  });

  it.each(DOMAINS)('loads %s once for a crowd', async (domain) => {
    const bank = await openBank();
    const crowd = { domain, key: domain === 'offers' ? 'gold' : 'ada', readers: 200 };
    const { status, body } = await bank.send('POST', '/api/crowd', crowd);
    expect(status).toBe(200);
    expect(body).toMatchObject({ ...crowd, answered: 200, failed: 0, loads: 1 });
  });

  it('serves what each promise allows while the source fails, and recovers', async () => {
    const bank = await openBank();
    for (const path of Object.values(FRAGMENTS)) await bank.get(path);
    await bank.cache.invalidate({ domain: 'offers', key: 'gold', mode: 'expire' });
    for (const domain of ['profile', 'transactions'])
      await bank.cache.invalidate({ domain, key: 'ada', principal: 'ada', mode: 'expire' });
    await bank.cache.invalidate({ domain: 'balances', key: 'ada', principal: 'ada' });
    expect((await bank.send('PUT', '/api/source', { mode: 'failing' })).body).toEqual({ mode: 'failing' });

    for (const domain of ['offers', 'profile', 'transactions'] as const)
      expect(await bank.get(FRAGMENTS[domain])).toMatchObject({ status: 200, state: 'stale' });
    for (const path of [FRAGMENTS.balances, FRAGMENTS['card-controls'], SUMMARY])
      expect(await bank.get(path)).toMatchObject({
        status: 503,
        body: { message: expect.stringContaining('database') },
      });

    await bank.send('PUT', '/api/source', { mode: 'healthy' });
    expect(await bank.get(FRAGMENTS.balances)).toMatchObject({ status: 200, state: 'loaded' });
    expect((await bank.get(FRAGMENTS['card-controls'])).status).toBe(200);
  });

  it('gives the old transactions when the source is slow', async () => {
    const bank = await openBank();
    const before = await bank.value<object[]>(TRANSACTIONS);
    await bank.cache.invalidate({ domain: 'transactions', key: 'ada', principal: 'ada', mode: 'expire' });
    await bank.send('PUT', '/api/source', { mode: 'slow' });
    expect(await bank.get(TRANSACTIONS)).toMatchObject({ state: 'stale', body: before });
  });

  it.each([
    ['POST', '/api/offers', { segment: 'Gold!', title: 'x' }, 'segment must be'],
    ['POST', '/api/offers', { segment: 'gold', title: ' ' }, 'title must be a text of 1 to 80'],
    ['POST', '/api/offers', { segment: 'gold', title: 'x', price: 1 }, "no field 'price'"],
    ['POST', '/api/offers', [], 'Send a JSON object with segment, title'],
    ['POST', '/api/offers', '{"segment":', 'JSON'],
    ['PATCH', FRAGMENTS.profile, {}, 'Send email, city or both'],
    ['PATCH', FRAGMENTS.profile, { email: 'nowhere' }, 'email must look like'],
    ['POST', TRANSACTIONS, { ...coffee, cents: 1.5 }, 'cents must be a whole number'],
    ['POST', TRANSACTIONS, { ...coffee, cents: 0 }, 'cents must not be 0'],
    ['POST', TRANSACTIONS, { ...coffee, description: 'a\u0000b' }, 'description must be'],
    ['POST', '/api/customers/A%20B/transactions', coffee, 'customer must be'],
    ['PUT', '/api/customers/ada/cards/ada-debit', { blocked: 'yes' }, 'blocked must be true or false'],
    ['PUT', '/api/source', { mode: 'gone' }, 'mode must be one of healthy, slow, failing'],
    ['POST', '/api/crowd', { domain: 'weather', key: 'ada' }, 'domain must be one of'],
    ['POST', '/api/crowd', { domain: 'offers', key: 'gold', readers: 1e9 }, 'readers must be'],
  ])('refuses %s %s %j', async (method, path, body, message) => {
    const bank = await openBank();
    const reply = await bank.send(method, path, body);
    expect(reply.status).toBe(400);
    expect(reply.body.message).toContain(message);
  });

  it('says what is not there and what is not covered', async () => {
    const bank = await openBank();
    const debit = { ...coffee, cents: -99_000_000 };
    expect(await bank.get('/api/customers/nobody/balances')).toMatchObject({ status: 404 });
    expect(await bank.get('/api/customers/nobody/profile')).toMatchObject({ status: 404 });
    expect(await bank.send('POST', TRANSACTIONS, debit)).toMatchObject({ status: 422 });
    expect(await bank.send('POST', TRANSACTIONS, { ...coffee, account: 'none' })).toMatchObject({ status: 404 });
    expect(await bank.send('PUT', '/api/customers/ada/cards/none', { blocked: true })).toMatchObject({ status: 404 });
  });

  it('serves its page', async () => {
    const bank = await openBank();
    const response = await bank.page('/');
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await response.text()).toMatch(/^<!doctype html>/);
  });

  it('tells its promises and what it counted', async () => {
    const bank = await openBank();
    for (let reads = 0; reads < 3; reads++) await bank.get(FRAGMENTS.offers);
    const promises = (await bank.get<{ domain: string }[]>('/api/promises')).body;
    expect(promises.map(({ domain }) => domain)).toEqual(expect.arrayContaining([...DOMAINS, 'dashboard']));
    for (const promise of promises)
      expect(promise).toMatchObject({ owner: expect.anything(), because: expect.anything() });
    expect((await bank.get('/api/status')).body).toMatchObject({
      instance: 'test',
      store: 'memory of this process',
      source: { mode: 'healthy' },
      counters: expect.arrayContaining([
        expect.objectContaining({ domain: 'offers', hits: 2, misses: 1, loads: 1, originLoads: 1, amplification: 1 }),
      ]),
    });
    const metrics = await bank.page('/metrics');
    expect(metrics.headers.get('content-type')).toContain('version=0.0.4');
    expect(await metrics.text()).toContain('cache_guard_loads_total{domain="offers",outcome="value"} 1');
  });
});

it('ends while a page goes on asking', async () => {
  const bank = await openBank();
  let asked = 0;
  const page = (async () => {
    for (;;) {
      await (await bank.page('/api/status')).text();
      asked++;
    }
  })().catch(() => 'gone');
  await vi.waitUntil(() => asked > 5);
  await bank.close();
  expect(await page).toBe('gone');
});

describe('a fleet of dashboards', () => {
  it('shares what one instance loads and what another writes', async () => {
    const config = { redisUrl: inject('redisUrl'), namespace: uniqueNamespace('bank') };
    const [one, other] = [await openBank(config), await openBank(config)];
    for (const path of Object.values(FRAGMENTS)) {
      const loaded = await one.get(path);
      expect(loaded.state).toBe('loaded');
      expect(await other.get(path)).toMatchObject({ state: 'fresh', body: loaded.body });
    }
    expect(other.source.allLoads()).toEqual({});
    expect((await other.get('/api/status')).body).toMatchObject({ store: expect.stringContaining('Redis at') });

    const before = await one.balance();
    await other.send('POST', TRANSACTIONS, coffee);
    expect(await one.balance()).toBe(before - 350);
    const blocked = !(await other.blocked());
    await one.send('PUT', '/api/customers/ada/cards/ada-credit', { blocked });
    expect(await other.blocked()).toBe(blocked);
  });

  it('uses the embedded Postgres of the first instance, and ends what it opened itself', async () => {
    const bank = await openBank(fleet(), 'own');
    expect(await bank.get('/api/status')).toMatchObject({
      body: { database: 'embedded Postgres of another instance' },
    });
    const mine = bank.of(Database);
    const rows = await Promise.all([1, 2, 3, 4].map((n) => mine.query<{ n: number }>('select $1::int as n', [n])));
    expect(rows.flat()).toEqual([1, 2, 3, 4].map((n) => ({ n })));
    await expect(mine.query('select * from nowhere')).rejects.toThrow('nowhere');
    // Somebody else's statement is not drawn into a transaction of another instance, nor back with it.
    let between: Promise<unknown> | undefined;
    const undone = mine.transaction(async (query) => {
      await query(`insert into bank_dashboard.segments values ('undone')`);
      between = database.query(`insert into bank_dashboard.segments values ('kept')`);
      await query('select 1');
      throw new Error('rolled back');
    });
    await expect(undone).rejects.toThrow('rolled back');
    await between;
    const segments = `select segment from bank_dashboard.segments where segment in ('undone', 'kept')`;
    expect(await mine.query(segments)).toEqual([{ segment: 'kept' }]);
    expect(await bank.balance()).toBeGreaterThan(0);
    await bank.close();
    await expect(bank.source.probe('select 1', [])).rejects.toThrow('does not answer');
    await expect(mine.query('select 1')).rejects.toThrow('end');
    expect(await database.query('select 1 as n')).toEqual([{ n: 1 }]);
  });
});

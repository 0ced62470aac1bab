import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import type { Database } from '../../sample-app/source/database.js';
import { EmbeddedDatabase } from '../../sample-app/source/embedded-database.js';
import { openBank, type Bank } from '../e2e/support/bank.js';
import { startChromium } from '../support/chromium.js';
import { uniqueNamespace } from '../support/namespace.js';

let browser: Browser;
let database: Database;
beforeAll(async () => {
  browser = await startChromium();
  database = await EmbeddedDatabase.start();
});
afterAll(async () => {
  await browser?.close();
  await database?.close();
});

/** The page of an instance, and what its scripts complained of. */
async function openPage(
  bank: Bank,
  prepare: (page: Page) => Promise<unknown> = async () => {},
): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage();
  onTestFinished(() => page.close());
  await prepare(page);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  await page.goto(bank.url);
  return { page, complaints };
}

const offersOf = (page: Page) => page.getByRole('article', { name: 'Offers', exact: true });
const textOf = (page: Page, id: string): Promise<string> => page.locator(`#${id}`).innerText();

/** The rows of the panel, the latest first. */
async function rowsOf(page: Page) {
  const rows = await page.locator('#events li:not(.quiet)').allInnerTexts();
  return rows.map((row) => row.replaceAll(/\s+/g, ' '));
}

const FRAGMENT_TITLES = ['Balances', 'Transactions', 'Card controls', 'Offers', 'Profile'];
const MISS = /^nestjs-cache-guard; fwd=uri-miss; ttl=\d+; stored$/;
const HIT = /^nestjs-cache-guard; hit; ttl=\d+$/;
const UNKEPT = /^nestjs-cache-guard; fwd=[\w-]+; .*detail=uncacheable$/;

/** The headers of a fragment's last answer, as its card shows them. */
async function headersOf(shown: Locator) {
  const [status = '', age = ''] = await shown.locator('.headers dd').allInnerTexts();
  return { status, age };
}

function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = (): void => {};
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}

const ROW = /^\d\d?:\d\d:\d\d(?: [AP]M)? offer published, gold applied by (\S+) (\d+) ms$/;

describe.each(['memory', 'redis'])('the page of the dashboard, on %s', (store) => {
  const open = async () => {
    const namespace = uniqueNamespace('page');
    const bank = await openBank(
      { namespace, instance: namespace, ...(store === 'redis' && { redisUrl: inject('redisUrl') }) },
      database,
    );
    return { bank, instance: namespace };
  };

  test('shows an event with its lag, and what it has changed, when an offer is published', async () => {
    const { bank, instance } = await open();
    const { page, complaints } = await openPage(bank);
    const mine = async () => (await rowsOf(page)).filter((row) => row.includes(instance));
    await offersOf(page).getByRole('listitem').first().waitFor();

    await offersOf(page).getByRole('button', { name: 'Publish an offer' }).click();
    await page.locator('#log li', { hasText: 'Published to gold' }).waitFor();
    const [row] = await vi.waitUntil(async () => ((await mine()).length === 1 ? mine() : undefined), 10_000);
    const [, by, lagMs] = ROW.exec(row!) ?? [row];
    expect(by).toBe(instance);
    expect(Number(lagMs)).toBeLessThan(10_000);

    const title = `Offer ${uniqueNamespace()}`;
    expect((await bank.send('POST', '/api/offers', { segment: 'gold', title })).status).toBe(201);
    await offersOf(page).getByText(title).waitFor({ timeout: 10_000 });
    await vi.waitUntil(async () => (await mine()).length === 2, 10_000);
    await vi.waitUntil(async () => (await textOf(page, 'outbox')) === 'nothing waits', 10_000);
    expect(complaints).toEqual([]);
  });

  test('shows what the cache says of each fragment: a miss first, then a hit and its age', async () => {
    const { bank } = await open();
    const summary = gate();
    const { page, complaints } = await openPage(bank, async (opening) => {
      // It reads when it is told to, and no more every second.
      await opening.addInitScript(`Object.defineProperty(document, 'hidden', { value: true })`);
      // It is made of three of the fragments, and might load them first.
      await opening.route('**/summary', (route) => summary.passed.then(() => route.continue()));
    });
    for (const title of FRAGMENT_TITLES) {
      const shown = page.getByRole('article', { name: title, exact: true });
      await vi.waitUntil(async () => (await headersOf(shown)).status !== '', 10_000);
      expect({ title, ...(await headersOf(shown)) }).toEqual({ title, status: expect.stringMatching(MISS), age: '—' });
    }
    summary.open();
    const top = page.locator('.summary');
    await vi.waitUntil(async () => (await headersOf(top)).status !== '', 10_000);
    expect(await headersOf(top)).toEqual({ status: expect.stringMatching(UNKEPT), age: '—' });

    for (const title of FRAGMENT_TITLES) {
      const shown = page.getByRole('article', { name: title, exact: true });
      // What is fresh for two seconds may have to be loaded once more; what is kept for longer grows older.
      const aged = title === 'Balances' ? /^[01]$/ : /^[1-9]\d*$/;
      await vi.waitUntil(async () => {
        await page.evaluate(`document.dispatchEvent(new Event('changed'))`);
        const { status, age } = await headersOf(shown);
        return HIT.test(status) && aged.test(age);
      }, 15_000);
    }
    expect(complaints).toEqual([]);
  });

  test('shows the last comparison with the source, and what it has repaired', async () => {
    const { bank } = await open();
    const { page, complaints } = await openPage(bank);
    await offersOf(page).getByRole('listitem').first().waitFor();
    const title = `Imported ${uniqueNamespace()}`;
    await database.transaction(async (query) => {
      await query(`insert into bank_dashboard.offers (segment, title) values ('gold', $1)`, [title]);
      await query(`update bank_dashboard.segments set revision = revision + 1 where segment = 'gold'`);
    });
    // One that was due may be running already.
    const run = await vi.waitUntil(() => bank.cache.reconcile('offers').catch(() => undefined));
    expect(run.checked).toBe(1);
    const told = /^offers, \d\d?:\d\d:\d\d(?: [AP]M)?: done, 1 checked, \d drifted, \d repaired$/;
    await vi.waitUntil(async () => told.test(await textOf(page, 'reconciliation')), 10_000);
    await offersOf(page).getByText(title).waitFor({ timeout: 10_000 });
    expect(complaints).toEqual([]);
  });
});

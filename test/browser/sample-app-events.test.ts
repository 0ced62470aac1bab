import type { Browser, Page } from 'playwright-core';
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
async function openPage(bank: Bank): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage();
  onTestFinished(() => page.close());
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

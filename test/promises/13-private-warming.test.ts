import { AsyncLocalStorage } from 'node:async_hooks';
import type { DomainPolicies, WarmingOptions } from 'nestjs-cache-guard';
import { expect } from 'vitest';
import { DOMAINS, until, type Fleet, type Member } from './support/fleet.js';
import { BOTH, promise, REDIS } from './support/promise.js';
import { gate } from './support/source.js';

interface Person {
  readonly user: string;
  readonly tenant: string;
}
const people = new AsyncLocalStorage<Person>();
const personal = { ...DOMAINS.balances, scope: 'private' } as const;
const domains: DomainPolicies = {
  accounts: personal,
  hidden: { ...personal, hashKeys: true },
  branches: { ...DOMAINS.balances, partition: () => people.getStore()?.tenant },
};
const start = (fleet: Fleet): Promise<Member> =>
  fleet.start({ domains, principal: () => people.getStore()?.user, keySecret: 'a secret of the test, of 32 bytes!' });
const as = <T>(user: string, tenant: string, run: () => T): T => people.run({ user, tenant }, run);

/** What is loaded by and by, and says for whom. */
function slowly(domain: string) {
  const open = gate();
  let calls = 0;
  const load = async (): Promise<unknown> => {
    calls++;
    await open.opened;
    return people.getStore();
  };
  const options: WarmingOptions = { name: 'login', domain, keys: ['a'], load, rest: '1m' };
  return { options, open: () => open.open(), calls: () => calls };
}

for (const domain of ['accounts', 'hidden', 'branches']) {
  promise(13, `warming is each one’s own, at the same time (${domain})`, BOTH, async (fleet) => {
    const members = [await start(fleet), await start(fleet)];
    const slow = slowly(domain);
    const warm = (user: string, tenant: string, at: number) =>
      as(user, tenant, () => members[at]!.guard.warm(slow.options).done);
    const first = [warm('ada-1815', 'north', 0), warm('bob-1815', 'south', 0), warm('eve-1815', 'west', 1)];
    await until(() => slow.calls() === 3);
    expect(await warm('ada-1815', 'north', 1)).toMatchObject({ state: 'elsewhere' });
    slow.open();
    for (const report of await Promise.all(first))
      expect(report).toMatchObject({ state: 'done', done: 1, error: undefined });
    for (const [user, tenant] of [
      ['ada-1815', 'north'],
      ['bob-1815', 'south'],
      ['eve-1815', 'west'],
    ] as const)
      expect(await as(user, tenant, () => members[1]!.guard.peek({ domain, key: 'a' }))).toMatchObject({
        value: { user, tenant },
      });
    // Rested for him, and not for who has not warmed yet.
    expect(await warm('bob-1815', 'south', 1)).toMatchObject({ state: 'elsewhere' });
    expect(await warm('kim-1815', 'east', 1)).toMatchObject({ state: 'done', done: 1 });
  });
}

promise(13, 'warming in domains that hide keys says nothing about whose it is', REDIS, async (fleet) => {
  const a = await start(fleet);
  const slow = slowly('hidden');
  const names = async () => (await fleet.raw.keys(`${fleet.namespace}*`)).join('\n');
  const running = as('ada-1815', 'north', () => a.guard.warm(slow.options).done);
  await until(() => slow.calls() === 1);
  expect(await names()).toMatch(/warming\.login\.[\w-]{43}/);
  expect(await names()).not.toContain('ada-1815');
  slow.open();
  await running;
  expect(await names()).not.toContain('ada-1815');
});

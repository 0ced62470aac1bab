import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable } from '@nestjs/common';
import { argsKey, Cached, CacheGuardModule, type EventRule, type KeyPart, type LoadContext } from 'nestjs-cache-guard';
import { expect, inject, test } from 'vitest';
import { readRule } from '../../lib/core/rules.js';
import { startApp } from '../e2e/support/app.js';
import { uniqueNamespace } from '../support/namespace.js';
import { settle, until, type Member } from './support/fleet.js';
import { BOTH, MEMORY, promise } from './support/promise.js';
import { gate, type Source } from './support/source.js';

const GOLD = { domain: 'offers', key: 'gold' } as const;
const REFRESH = { on: 'changed', domain: 'offers', key: () => 'gold', action: 'refresh' } as const;

let lastId = 0;
const changed = (data?: unknown) => ({ id: String(++lastId), source: '/test', type: 'changed', data });

const JOB = {
  domain: 'offers',
  name: undefined,
  key: 'offers:::s.gold',
  keyInput: 'gold',
  args: undefined,
  sinceMs: undefined,
};

type Load = (key: KeyPart, context: LoadContext) => Promise<unknown>;

/** Lets a member follow events, and says how it loads what they concern. */
function follow({ guard }: Member, load: Load | undefined, ...rules: EventRule[]): void {
  if (load) guard.events.loader('offers', load);
  guard.events.configure({ rules: rules.map((rule, i) => readRule(rule, `rules[${i}]`)), mergeWindowMs: 0 });
}

const from =
  (source: Source): Load =>
  (_key, context) =>
    source.load(context);
const keep = (member: Member, value: unknown, key = 'gold') =>
  member.guard.getOrLoad({ ...GOLD, key }, async () => value);

promise(12, 'what an event concerns is loaded again without a reader', BOTH, async (fleet) => {
  const source = fleet.source();
  const [a, b] = await fleet.pair();
  follow(a, from(source), REFRESH);
  await keep(b, 'old');
  expect(await a.guard.events.publish(changed())).toEqual({ kind: 'done', outcome: 'applied' });
  (await source.call(1)).resolve('new');
  await a.heard('accepted');
  expect(await b.guard.peek(GOLD)).toMatchObject({ state: 'fresh', value: 'new' });
});

promise(12, 'members that are given the same refresh, and more than once, load it once', BOTH, async (fleet) => {
  const source = fleet.source();
  const members = await fleet.startAll(4);
  for (const member of members) follow(member, from(source));
  await keep(members[0]!, 'old');
  await members[0]!.guard.invalidate(GOLD);
  await Promise.all(members.map(({ guard }) => guard.events.refreshes.enqueue([JOB, JOB])));
  const call = await source.call(1);
  const refused = () => members.reduce((sum, member) => sum + member.all('lease', { outcome: 'refused' }).length, 0);
  await until(() => refused() >= 3, 'the others to be refused the lease');
  call.resolve('new');
  const skipped = () => members.flatMap((member) => member.all('refresh-skipped', { reason: 'fresh' }));
  await until(() => skipped().length === 7, 'all others to see that it is fresh');
  expect(source.calls).toHaveLength(1);
});

promise(12, 'a burst of events on one key that waits becomes one refresh', BOTH, async (fleet) => {
  const source = fleet.source();
  const a = await fleet.start({ domains: ONE_AT_ONCE });
  follow(a, from(source), { ...REFRESH, key: ({ data }) => data as string });
  await a.guard.events.publish(changed('silver'));
  const silver = await source.call(1);
  for (let i = 0; i < 5; i++) await a.guard.events.publish(changed('gold'));
  silver.resolve('silver');
  (await source.call(2)).resolve('gold');
  await a.heard('accepted', {}, 2);
  await a.guard.events.publish(changed('bronze'));
  await source.call(3);
  expect(a.all('load')).toHaveLength(2);
});

const ONE_AT_ONCE = {
  offers: {
    freshness: 'operational',
    softTtl: '1m',
    hardTtl: '10m',
    stalePolicy: 'while-revalidate',
    jitter: 0,
    bulkhead: { concurrency: 1 },
  },
} as const;

promise(12, 'a refresh goes behind whoever waits', BOTH, async (fleet) => {
  const a = await fleet.start({ domains: ONE_AT_ONCE });
  const source = fleet.source();
  const loads: string[] = [];
  follow(a, async () => loads.push('refresh'), REFRESH);
  await keep(a, 'old');
  const busy = a.guard.getOrLoad({ ...GOLD, key: 'silver' }, source.load);
  const { resolve } = await source.call(1);
  await a.guard.events.publish(changed());
  await settle();
  const reader = a.guard.getOrLoad({ ...GOLD, key: 'bronze' }, async () => loads.push('reader'));
  await a.heard('miss', { key: 'offers:::s.bronze' });
  await settle();
  resolve('silver');
  await Promise.all([busy, reader, a.heard('accepted', {}, 4)]);
  expect(loads).toEqual(['reader', 'refresh']);
});

promise(12, 'a refresh is nobody’s: no user, no load of who publishes', BOTH, async (fleet) => {
  const users = new AsyncLocalStorage<string>();
  const a = await fleet.start();
  const seen = gate();
  const loads: unknown[] = [];
  const load = async (key: KeyPart): Promise<string> => {
    loads.push([key, users.getStore()]);
    if (loads.length === 2) seen.open();
    return 'new';
  };
  follow(a, load, REFRESH, { ...REFRESH, on: 'gone', key: () => 'silver' });
  await users.run('anna', async () => {
    await a.guard.events.publish(changed());
    await a.guard.getOrLoad({ domain: 'rates', key: 'eur' }, async () => {
      await a.guard.events.publish({ ...changed(), type: 'gone' });
      return 1;
    });
  });
  await seen.opened;
  expect(loads).toEqual([['gold', undefined], ['silver', undefined]]); // prettier-ignore
});

promise(12, 'a refresh that cannot be is skipped, and says why', BOTH, async (fleet) => {
  const [a, b, c] = await fleet.startAll(3);
  const named = { ...REFRESH, name: 'other' };
  follow(a!, undefined, REFRESH);
  await a!.guard.events.publish(changed());
  await a!.heard('refresh-skipped', { reason: 'no-method', key: 'offers:::s.gold' });

  // A version that is cached already: nothing was invalidated.
  const loads: unknown[] = [];
  follow(b!, async () => loads.push(1), { ...REFRESH, version: () => 7 }, { ...named, on: 'other' });
  await b!.guard.put(GOLD, 'current', { version: 7n });
  await b!.guard.events.publish(changed());
  await b!.heard('refresh-skipped', { reason: 'fresh' });
  expect(loads).toEqual([]);
  await b!.guard.events.publish({ ...changed(), type: 'other' });
  await b!.heard('refresh-skipped', { reason: 'no-method' });

  follow(c!, () => Promise.reject(new Error('the source is down')), REFRESH);
  await c!.guard.events.publish(changed());
  await c!.heard('refresh-skipped', { reason: 'failed' });
});

promise(12, 'a refresh under way is given up when the application ends', BOTH, async (fleet) => {
  const a = await fleet.start({ domains: ONE_AT_ONCE });
  const source = fleet.source();
  follow(a, from(source), { on: 'changed', domain: 'offers', keys: () => ['gold', 'silver'], action: 'refresh' });
  await a.guard.events.publish(changed());
  const { context } = await source.call(1);
  await a.guard.close();
  expect(context.signal.aborted).toBe(true);
  expect(a.all('refresh-skipped').map(({ reason }) => reason)).toEqual(['closed', 'closed']);
  expect(source.calls).toHaveLength(1);
});

promise(12, 'what began after the event is new enough, and no more than so many may wait', MEMORY, async (fleet) => {
  const source = fleet.source();
  const a = await fleet.start({ domains: ONE_AT_ONCE });
  follow(a, from(source));
  const sinceMs = a.store.now('offers:::s.gold');
  await fleet.clock.run(10);
  await keep(a, 'after the event');
  await fleet.clock.run(61_000);
  const job = (key: string) => ({ ...JOB, key: `offers:::s.${key}`, keyInput: key });
  await a.guard.events.refreshes.enqueue([{ ...job('gold'), sinceMs }]);
  await a.heard('refresh-skipped', { reason: 'fresh', key: 'offers:::s.gold' });
  expect(source.calls).toHaveLength(0);
  await settle();

  await a.guard.events.refreshes.enqueue(Array.from({ length: 10_003 }, (_, n) => job(`n${n}`)));
  await source.call(1);
  expect(a.all('refresh-skipped', { reason: 'queue-full' }).map(({ key }) => key)).toEqual([
    'offers:::s.n10001',
    'offers:::s.n10002',
  ]);
});

promise(
  12,
  'what is handed over waits while the store is away, and is put aside if it is no refresh',
  MEMORY,
  async (fleet) => {
    const a = await fleet.start();
    follow(a, async () => 'new');
    const { refreshes } = a.guard.events;
    const [event] = refreshes.envelopes([JOB]);
    const { struck } = a.store.fail('read');
    expect(await refreshes.take([{ event, tries: 0 }])).toEqual([{ kind: 'later', reason: 'the store is away' }]);
    await struck;
    const unknown = refreshes.envelopes([{ ...JOB, domain: 'unknown', key: 'unknown:::s.a' }])[0];
    expect(
      await refreshes.take([
        { event, tries: 1 },
        { event: {}, tries: 0 },
        { event: unknown, tries: 0 },
      ]),
    ).toEqual([
      { kind: 'done', outcome: 'applied' },
      { kind: 'poison', reason: expect.any(String) },
      { kind: 'done', outcome: 'applied' },
    ]);
    expect(a.all('refresh-skipped')).toMatchObject([{ reason: 'no-method', domain: 'unknown' }]);
    expect(await a.guard.peek(GOLD)).toMatchObject({ value: 'new' });
    await a.guard.close();
    expect(await refreshes.take([{ event, tries: 0 }])).toMatchObject([{ kind: 'later' }]);
  },
);

promise(12, 'arguments that came with an event stay known when a later one brings none', MEMORY, async (fleet) => {
  const a = await fleet.start({ domains: ONE_AT_ONCE });
  follow(a, undefined);
  const source = fleet.source();
  const calls: (readonly unknown[])[] = [];
  const plan = (args: readonly unknown[]) => {
    calls.push(args);
    return { target: { domain: 'offers', key: args[0] as string }, load: source.load };
  };
  a.guard.events.remakes.add('offers', undefined, { kind: 'method', plan });
  const { refreshes } = a.guard.events;
  await refreshes.enqueue([{ ...JOB, key: 'offers:::s.silver', args: ['silver'] }]);
  const silver = await source.call(1);
  await refreshes.enqueue([{ ...JOB, args: ['gold'] }, JOB]);
  silver.resolve('silver');
  (await source.call(2)).resolve('gold');
  await a.heard('accepted', {}, 2);
  expect(calls).toEqual([['silver'], ['gold']]);
});

let term = 1;

class Money {
  constructor(readonly cents: number) {}
}

@Injectable()
class Quotes {
  readonly calls: unknown[][] = [];

  @Cached({ domain: 'offers', name: 'quotes' })
  async quote(...args: unknown[]): Promise<number> {
    return this.calls.push(args);
  }

  @Cached({ domain: 'offers', name: 'priced', key: (id: string) => id })
  async priced(_id: string, price: Money): Promise<number> {
    return price.cents;
  }

  /** Its key is made of more than its arguments. */
  @Cached({ domain: 'offers', name: 'termed', key: (id: string) => `${id}.${term}` })
  async termed(id: string): Promise<number> {
    return this.calls.push([id, term]);
  }

  /** What it does to its arguments is not what it was called with. */
  @Cached({ domain: 'offers', name: 'sorted', key: (id: string) => id })
  async sorted(_id: string, order: string[]): Promise<number> {
    this.calls.push([...order]);
    order.length = 0;
    return this.calls.length;
  }
}

const rule = (name: string, key: EventRule['key']): EventRule =>
  ({ on: `${name}.changed`, domain: 'offers', name, key, action: 'refresh' }) as EventRule;
const RULES = [
  rule('quotes', ({ data }) => argsKey(...(data as unknown[]))),
  rule('priced', ({ data }) => data as string),
  rule('sorted', ({ data }) => data as string),
  rule('termed', ({ data }) => data as string),
];

async function startQuotes(store: string) {
  const redisUrl = store === 'redis' ? { redisUrl: inject('redisUrl') } : {};
  const namespace = uniqueNamespace('recorded');
  const domains = { offers: { freshness: 'reference' } } as const;
  const root = CacheGuardModule.forRoot({ namespace, ...redisUrl, domains, events: { rules: RULES } });
  const app = await startApp({ imports: [root], providers: [Quotes] });
  const publish = (name: string, data: unknown) =>
    app.guard.events.publish({ ...changed(data), type: `${name}.changed` });
  return { ...app, quotes: app.of<Quotes>(Quotes), publish };
}

test.each(BOTH)('promise 12: a method is called again with the arguments that were recorded [%s]', async (store) => {
  const { quotes, publish, events } = await startQuotes(store);
  const calls = [
    [null],
    [0],
    [''],
    [undefined, 1],
    [1, undefined, null],
    [{ a: undefined, at: new Date(5), n: 12n }],
    [],
  ];
  for (const args of calls) await quotes.quote(...args);
  expect(quotes.calls).toEqual(calls);
  for (const args of calls) await publish('quotes', args);
  await expect.poll(() => quotes.calls.length).toBe(2 * calls.length);
  expect(quotes.calls.slice(calls.length)).toEqual(calls);
  expect(events.filter(({ type }) => type === 'refresh-skipped')).toEqual([]);
});

test.each(BOTH)('promise 12: what the method does to its arguments is not recorded [%s]', async (store) => {
  const { quotes, publish } = await startQuotes(store);
  await quotes.sorted('a', ['x', 'y']);
  await publish('sorted', 'a');
  await expect.poll(() => quotes.calls).toEqual([['x', 'y'], ['x', 'y']]); // prettier-ignore
});

test.each(BOTH)('promise 12: arguments that cannot be recorded, or are not known, are told [%s]', async (store) => {
  const { quotes, publish, events } = await startQuotes(store);
  await quotes.priced('a', new Money(5));
  await publish('priced', 'a');
  await publish('priced', 'b');
  const reasons = () => events.flatMap((event) => (event.type === 'refresh-skipped' ? [event.reason] : []));
  await expect.poll(reasons).toEqual(['not-recordable', 'no-arguments']);
});

test.each(BOTH)('promise 12: arguments that make another key by now are not used [%s]', async (store) => {
  const { quotes, publish, events } = await startQuotes(store);
  term = 1;
  await quotes.termed('a');
  term = 2;
  await publish('termed', 'a.1');
  await expect
    .poll(() => events.filter(({ type }) => type === 'refresh-skipped'))
    .toMatchObject([{ reason: 'no-arguments' }]);
  expect(quotes.calls).toEqual([['a', 1]]);
});

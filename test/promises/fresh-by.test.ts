import { isDeepStrictEqual } from 'node:util';
import type { DomainPolicies, EventSourceStateEvent } from 'nestjs-cache-guard';
import { describe, expect, test, vi } from 'vitest';
import { failureOf } from '../e2e/support/app.js';
import { knowAway, ownProxy, ownRedis } from './support/away.js';
import { Fleet, until, type Member } from './support/fleet.js';
import { BOTH, MEMORY, REDIS } from './support/promise.js';
import { counted } from './support/source.js';
import { follow, followFor, SpokenSource } from './support/spoken-source.js';

const FRESH_BY = { source: 'ledger', fallbackTtl: '200ms', within: '400ms' } as const;
const TTLS = { freshness: 'reference', softTtl: '1m', hardTtl: '10m', jitter: 0 } as const;

const domains = {
  quotes: { ...TTLS, stalePolicy: 'while-revalidate', freshBy: FRESH_BY },
  pages: { ...TTLS, stalePolicy: 'while-revalidate' },
  views: { ...TTLS, stalePolicy: 'while-revalidate', freshBy: FRESH_BY },
} as const satisfies DomainPolicies;

const GOLD = { domain: 'quotes', key: 'gold' } as const;

/** Longer than the fallback, and much shorter than the soft TTL. */
const AGED_MS = 300;

function freshBy(title: string, kinds: readonly Fleet['kind'][], run: (fleet: Fleet) => Promise<void>): void {
  for (const kind of kinds) {
    test(`fresh by events: ${title} [${kind}]`, async () => {
      const fleet = new Fleet(kind);
      try {
        await run(fleet);
      } finally {
        await fleet.close();
      }
    });
  }
}

/** As what a reader is given the value now; nothing is loaded. */
async function stateOf({ guard }: Member, target: { domain: string; key: string } = GOLD): Promise<string | undefined> {
  return (await guard.peek(target))?.state;
}

/** What was told last is that, in each of them. */
async function turnedTo(fleet: Fleet, told: object, ...members: Member[]): Promise<void> {
  const last = (member: Member) => member.all('event-source-state').at(-1);
  const is = (member: Member) => isDeepStrictEqual({ ...last(member), ...told }, last(member));
  for (let passed = 0; fleet.kind === 'memory' && passed < 6_000 && !members.every(is); passed += 100) {
    await fleet.clock.run(100);
  }
  if (fleet.kind !== 'memory') await until(() => members.every(is), JSON.stringify(told));
  expect(members.map(last)).toMatchObject(members.map(() => told));
}

function turned(fleet: Fleet, state: EventSourceStateEvent['state'], ...members: Member[]): Promise<void> {
  return turnedTo(fleet, { state }, ...members);
}

interface Pair {
  /** Follows the source. */
  readonly worker: Member;
  readonly web: Member;
  readonly ledger: SpokenSource;
}

async function pair(fleet: Fleet, policies: DomainPolicies = domains): Promise<Pair> {
  const [worker, web] = await fleet.pair({ domains: policies, remote: true });
  const ledger = new SpokenSource(fleet);
  await follow(worker, ledger);
  return { worker, web, ledger };
}

/** Both rely on the source, and something was loaded meanwhile that is older than the fallback. */
async function livePair(fleet: Fleet): Promise<Pair> {
  const made = await pair(fleet);
  made.ledger.speak();
  await turned(fleet, 'live', made.worker, made.web);
  await made.web.guard.getOrLoad(GOLD, async () => 'quote');
  await fleet.pass(AGED_MS);
  return made;
}

describe('a domain that rests on a source', () => {
  freshBy('its long TTL holds while the source lives, its fallback once it is silent', BOTH, async (fleet) => {
    const { worker, web, ledger } = await livePair(fleet);
    expect([await stateOf(worker), await stateOf(web)]).toEqual(['fresh', 'fresh']);

    ledger.fallSilent();
    await turned(fleet, 'silent', worker, web);
    expect([await stateOf(worker), await stateOf(web)]).toEqual(['stale', 'stale']);

    // Nothing was lost: the source has delivered by now whatever happened meanwhile.
    ledger.speak();
    await turned(fleet, 'live', worker, web);
    expect([await stateOf(worker), await stateOf(web)]).toEqual(['fresh', 'fresh']);
    expect(web.all('event-source-state')).toMatchObject([
      { source: 'ledger', state: 'live', domains: ['quotes', 'views'] },
      { source: 'ledger', state: 'silent' },
      { source: 'ledger', state: 'live' },
    ]);
  });

  freshBy('late is not alive, by the bound of each domain', BOTH, async (fleet) => {
    const patient = { ...domains.quotes, freshBy: { ...FRESH_BY, within: '10s' } } as const;
    const { worker, web, ledger } = await pair(fleet, { ...domains, patient });
    ledger.speak(800);
    await turned(fleet, 'live', worker, web);
    expect(web.all('event-source-state')).toMatchObject([
      { state: 'lagging', domains: ['quotes', 'views'] },
      { state: 'live', domains: ['patient'] },
    ]);
    for (const domain of ['quotes', 'patient']) await worker.guard.getOrLoad({ domain, key: 'a' }, async () => 1);
    await fleet.pass(AGED_MS);
    expect(await stateOf(web, { domain: 'quotes', key: 'a' })).toBe('stale');
    expect(await stateOf(web, { domain: 'patient', key: 'a' })).toBe('fresh');
  });

  freshBy('only who has rules for it vouches for the source, whoever else reads it', BOTH, async (fleet) => {
    const { worker, web, ledger } = await livePair(fleet);
    const other = new SpokenSource(fleet);
    const admin = await fleet.start({ domains, remote: true });
    await followFor(['views', 'pages'], admin, other);
    other.speak();
    ledger.fallSilent();
    const silent = { source: 'ledger', state: 'silent', domains: ['quotes'] };
    await turnedTo(fleet, silent, worker, web, admin);
    expect([await stateOf(web), await stateOf(admin)]).toEqual(['stale', 'stale']);
    expect(web.all('event-source-state', { state: 'silent' })).toMatchObject([silent]);
  });

  freshBy(
    'a source for whose events there is no rule is not read where its events are shared',
    MEMORY,
    async (fleet) => {
      const { web } = await livePair(fleet);
      const unread = new SpokenSource(fleet);
      await followFor([], web, unread);
      expect(unread.sink).toBeUndefined();
    },
  );

  freshBy('memory of the process obeys as well', MEMORY, async (fleet) => {
    const { worker, web, ledger } = await livePair(fleet);
    const load = counted(async () => 'quote');
    const tier = async (member: Member) => {
      const before = member.all('hit').length;
      await member.guard.getOrLoad(GOLD, load);
      const { tier: from, state } = member.all('hit')[before]!;
      return `${from} ${state}`;
    };
    await until(async () => (await tier(web)) === 'l1 fresh', 'a hit in memory');
    ledger.fallSilent();
    await turned(fleet, 'silent', worker, web);
    // What is old by the fallback is refreshed behind.
    expect(await tier(web)).toBe('l2 stale');
    await until(() => load.calls === 1, 'the refresh');
  });

  freshBy(
    'before the source was heard the fallback is in force, and one that never speaks is told',
    MEMORY,
    async (fleet) => {
      const { worker, web } = await pair(fleet);
      await web.guard.getOrLoad(GOLD, async () => 'quote');
      expect(await stateOf(worker)).toBe('fresh');
      await fleet.pass(AGED_MS);
      expect([await stateOf(worker), await stateOf(web)]).toEqual(['stale', 'stale']);
      expect(web.all('event-source-state')).toEqual([]);
      await fleet.pass(4_000);
      expect(web.all('event-source-state')).toMatchObject([{ state: 'silent', domains: ['quotes', 'views'] }]);
    },
  );

  freshBy(
    'what was loaded by the fallback keeps its short life, what is loaded afterwards has the long one',
    MEMORY,
    async (fleet) => {
      const { worker, web, ledger } = await pair(fleet);
      await web.guard.getOrLoad(GOLD, async () => 'early');
      ledger.speak();
      await turned(fleet, 'live', worker, web);
      await web.guard.getOrLoad({ ...GOLD, key: 'later' }, async () => 'later');
      await fleet.pass(AGED_MS);
      expect(await stateOf(web)).toBe('stale');
      expect(await stateOf(web, { ...GOLD, key: 'later' })).toBe('fresh');
    },
  );

  freshBy('a soft TTL of a method or a call is bounded too', MEMORY, async (fleet) => {
    const { worker, web, ledger } = await livePair(fleet);
    const wide = { ...GOLD, softTtl: '5m' } as const;
    // Narrower than the fallback, it is no contradiction.
    const narrow = { ...GOLD, softTtl: '100ms' } as const;
    await web.guard.getOrLoad({ ...wide, key: 'wide' }, async () => 'quote');
    await fleet.pass(AGED_MS);
    const state = async (target: typeof wide | typeof narrow) =>
      (await web.guard.peek({ ...target, key: 'wide' }))?.state;
    expect([await state(wide), await state(narrow)]).toEqual(['fresh', 'stale']);
    ledger.fallSilent();
    await turned(fleet, 'silent', worker, web);
    expect([await state(wide), await state(narrow)]).toEqual(['stale', 'stale']);
  });

  freshBy('an absence is kept no longer than the fallback', MEMORY, async (fleet) => {
    const { worker, web, ledger } = await pair(fleet);
    ledger.speak();
    await turned(fleet, 'live', worker, web);
    await web.guard.getOrLoad(GOLD, async () => null);
    await fleet.pass(AGED_MS);
    expect(await stateOf(web)).toBe('fresh');
    ledger.fallSilent();
    await turned(fleet, 'silent', worker, web);
    expect(await stateOf(web)).toBeUndefined();
  });

  freshBy(
    'what is made from its values goes by the fallback, unless it rests on the source itself',
    MEMORY,
    async (fleet) => {
      const { web } = await livePair(fleet);
      const made = () => web.guard.getOrLoad(GOLD, async () => 'quote');
      for (const domain of ['pages', 'views']) await web.guard.getOrLoad({ domain, key: 'a' }, made);
      await web.guard.getOrLoad({ domain: 'pages', key: 'own' }, async () => 'no quote');
      await fleet.pass(AGED_MS);
      expect(await stateOf(web, { domain: 'pages', key: 'a' })).toBe('stale');
      expect(await stateOf(web, { domain: 'pages', key: 'own' })).toBe('fresh');
      expect(await stateOf(web, { domain: 'views', key: 'a' })).toBe('fresh');
    },
  );
});

describe('a gap in the events', () => {
  freshBy('nobody relies on the source until what they concern is invalidated', BOTH, async (fleet) => {
    const { worker, web, ledger } = await livePair(fleet);
    const held = worker.store.delay('advance');
    const closing = ledger.sink.lost('trimmed');
    await held.struck;
    // Who has found it need not look at the board.
    expect(await stateOf(worker)).toBe('stale');
    await turned(fleet, 'lagging', worker, web);
    expect([await stateOf(worker), await stateOf(web)]).toEqual(['stale', 'stale']);
    held.release();
    await closing;
    await turned(fleet, 'live', worker, web);
    // Invalidated as a whole, though no rule names the domain.
    expect([await stateOf(worker), await stateOf(web)]).toEqual(['stale', 'stale']);
    await web.guard.getOrLoad({ ...GOLD, key: 'after' }, async () => 'quote');
    await fleet.pass(AGED_MS);
    expect(await stateOf(worker, { ...GOLD, key: 'after' })).toBe('fresh');
  });

  freshBy('an invalidation that the store was not told of keeps it open', MEMORY, async (fleet) => {
    const { worker, web, ledger } = await livePair(fleet);
    const refused = worker.store.fail('advance', Infinity);
    await ledger.sink.lost('trimmed');
    await fleet.pass(1_500);
    expect(worker.all('event-source-state').at(-1)).toMatchObject({ state: 'lagging' });
    await turned(fleet, 'lagging', web);
    refused.release();
    await turned(fleet, 'live', worker, web);
    expect(await stateOf(web)).toBe('stale');
  });
});

freshBy('nothing of it is left behind', MEMORY, async (fleet) => {
  const member = await fleet.start({ domains });
  const ledger = new SpokenSource(fleet);
  await follow(member, ledger);
  ledger.speak();
  await turned(fleet, 'live', member);
  const look = vi.spyOn(member.store.board, 'read');
  await fleet.patiently(member.guard.close());
  expect(fleet.clock.pending).toBe(0);
  expect(look).not.toHaveBeenCalled();
});

freshBy('who cannot reach the store hears nothing: silent at once', MEMORY, async (fleet) => {
  const { worker, web } = await livePair(fleet);
  web.store.fail('beat', Infinity);
  web.store.tell({ kind: 'lost' });
  // Shorter than it takes to miss the source.
  await fleet.pass(700);
  expect(web.all('event-source-state').at(-1)).toMatchObject({ state: 'silent' });
  expect(worker.all('event-source-state').at(-1)).toMatchObject({ state: 'live' });
});

freshBy('while the store is away the source is silent, and nobody asks for it', REDIS, async (fleet) => {
  const server = await ownRedis(fleet);
  const proxy = await ownProxy(fleet, server);
  const member = await fleet.start({ url: proxy.url, domains, commandTimeoutMs: 400 });
  const ledger = new SpokenSource(fleet);
  await follow(member, ledger);
  ledger.speak();
  await turned(fleet, 'live', member);
  const read = vi.spyOn(member.store.board, 'read');
  await server.stop();
  await knowAway(member);
  await turned(fleet, 'silent', member);
  const before = read.mock.calls.length;
  await fleet.pass(1_200);
  expect(read.mock.calls.length).toBeLessThanOrEqual(before + 1);
});

freshBy(
  'the board is read about twice in a second, for all sources at once, and never without need',
  MEMORY,
  async (fleet) => {
    const read = vi.spyOn((await fleet.start()).store.board, 'read');
    await fleet.pass(5_000);
    expect(read).not.toHaveBeenCalled();
    const other = { ...domains.quotes, freshBy: { ...FRESH_BY, source: 'other' } } as const;
    await fleet.start({ domains: { ...domains, other } });
    await fleet.pass(5_000);
    expect(read.mock.calls.length).toBeGreaterThanOrEqual(9);
    expect(read.mock.calls.length).toBeLessThanOrEqual(12);
  },
);

freshBy('word of the source is passed on at most twice in a second, and no nonsense', MEMORY, async (fleet) => {
  const { worker, ledger } = await pair(fleet);
  const post = vi.spyOn(worker.store.board, 'post');
  const posted = () => post.mock.calls.filter(([name]) => name.includes('quotes')).length;
  for (let i = 0; i < 100; i++) {
    ledger.sink.lag(i);
    await fleet.pass(10);
  }
  expect(posted()).toBeLessThanOrEqual(2);
  for (const lag of [Number.NaN, Number.POSITIVE_INFINITY]) {
    await fleet.pass(600);
    ledger.sink.lag(lag);
  }
  expect(posted()).toBeLessThanOrEqual(2);
});

describe('refused at boot', () => {
  freshBy('a source that there is not', MEMORY, async (fleet) => {
    const member = await fleet.start({ domains });
    const error = await failureOf(() => follow(member, new SpokenSource(fleet, 'leger')));
    expect(error).toMatchObject({ code: 'CG_INVALID_POLICY', domain: 'quotes', field: 'freshBy.source' });
    expect((error as Error).message).toContain("freshBy.source = 'ledger' is refused");
    expect((error as Error).message).toContain("'leger'");
  });

  freshBy('what is published in process proves nothing', MEMORY, async (fleet) => {
    const quotes = { ...domains.quotes, freshBy: { ...FRESH_BY, source: 'in-process' } } as const;
    const member = await fleet.start({ domains: { quotes } });
    expect(await failureOf(() => follow(member))).toMatchObject({ code: 'CG_INVALID_POLICY', domain: 'quotes' });
  });
});

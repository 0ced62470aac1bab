import type { DomainPolicies, EventRule } from 'nestjs-cache-guard';
import { describe, expect, test } from 'vitest';
import { readRule } from '../../lib/core/rules.js';
import { Fleet, until, type Member } from './support/fleet.js';
import { BOTH, MEMORY } from './support/promise.js';
import { SpokenSource } from './support/spoken-source.js';

const FALLBACK_MS = 2_000;
const TTLS = { freshness: 'reference', softTtl: '1m', hardTtl: '10m', jitter: 0, stalePolicy: 'never' } as const;
const FRESH_BY = { source: 'ledger', fallbackTtl: FALLBACK_MS, within: '1m' } as const;

const domains = {
  quotes: { ...TTLS, freshBy: FRESH_BY },
  rates: { ...TTLS, freshBy: FRESH_BY },
  offers: TTLS,
  cards: TTLS,
} as const satisfies DomainPolicies;
const DOMAINS = Object.keys(domains);

const RULES: EventRule[] = [
  { on: 'quote', domain: 'quotes', key: ({ subject }) => subject },
  { on: 'offer', domain: 'offers', key: ({ subject }) => subject },
  { on: 'offer', domain: 'cards', key: ({ subject }) => subject, from: 'elsewhere' },
];

const event = (type: string, id = '1') => ({ id, source: '/bank', type });

function deadLetters(title: string, kinds: readonly Fleet['kind'][], run: (fleet: Fleet) => Promise<void>): void {
  for (const kind of kinds) {
    test(`dead letters: ${title} [${kind}]`, async () => {
      const fleet = new Fleet(kind);
      try {
        await run(fleet);
      } finally {
        await fleet.close();
      }
    });
  }
}

async function followed({ guard }: Member, source: SpokenSource, rules: readonly EventRule[] = RULES): Promise<void> {
  const parsed = rules.map((rule, i) => readRule(rule, `rules[${i}]`));
  guard.events.configure({ rules: parsed, mergeWindowMs: 0 });
  await guard.events.follow([source, new SpokenSource(source.fleet, 'elsewhere')]);
}

/** How much of a span has passed by now depends on the machine; of what comes next, all is to come long before its end. */
const earlyInSpan = (fleet: Fleet): Promise<void> => fleet.pass(FALLBACK_MS - (fleet.clock.wall() % FALLBACK_MS) + 10);

interface Setting {
  readonly worker: Member;
  readonly web: Member;
  readonly ledger: SpokenSource;
}

async function setUp(fleet: Fleet): Promise<Setting> {
  const [worker, web] = await fleet.pair({ domains, remote: true });
  const ledger = new SpokenSource(fleet);
  await followed(worker, ledger);
  ledger.speak();
  const isLive = () => web.all('event-source-state').at(-1)?.state === 'live';
  if (fleet.kind === 'memory') await fleet.pass(2_000);
  else await until(isLive, 'live');
  expect(isLive()).toBe(true);
  for (const domain of DOMAINS) await web.guard.getOrLoad({ domain, key: 'gold' }, async () => 'old');
  return { worker, web, ledger };
}

/** The domains of which something is fresh, for whoever reads. */
async function fresh({ guard }: Member): Promise<string[]> {
  const states = await Promise.all(DOMAINS.map((domain) => guard.peek({ domain, key: 'gold' })));
  return DOMAINS.filter((_, i) => states[i]?.state === 'fresh');
}

const ofDomains = (member: Member) => member.all('invalidation', { scope: 'domain', outcome: 'applied' });

describe('an event that is put aside', () => {
  deadLetters('ends what its rules may have meant, and nothing else', BOTH, async (fleet) => {
    const { worker, web, ledger } = await setUp(fleet);
    await ledger.sink.giveUp(event('offer'));
    expect([await fresh(worker), await fresh(web)]).toEqual([
      ['quotes', 'rates', 'cards'],
      ['quotes', 'rates', 'cards'],
    ]);
    await ledger.sink.giveUp(event('quote'));
    expect(await fresh(web)).toEqual(['rates', 'cards']);
    // It is dealt with, and what is loaded from now on is as good as ever.
    expect(web.all('event-source-state').at(-1)).toMatchObject({ state: 'live' });
  });

  for (const [title, given] of [
    ['no event', 'nonsense'],
    ['nothing that could be read', undefined],
    ['an event that no rule follows', event('other')],
    ['an event without an id, whatever its type', { type: 'offer', source: '/bank' }],
  ] as const) {
    deadLetters(`${title}: it ends what rests on the source, and nothing else`, MEMORY, async (fleet) => {
      const { web, ledger } = await setUp(fleet);
      await ledger.sink.giveUp(given);
      expect(await fresh(web)).toEqual(['offers', 'cards']);
    });
  }

  deadLetters('is told with what it ended, its type and id, and where it failed', MEMORY, async (fleet) => {
    const { worker, ledger } = await setUp(fleet);
    ledger.sink.deadLettered(event('offer', '7'), 'x'.repeat(10_000), { rule: 'r', error: 'TypeError', attempt: 5 });
    ledger.sink.deadLettered('nonsense', 'no event');
    const [first, second] = worker.all('dead-letter');
    const failed = { eventType: 'offer', eventId: '7', rule: 'r', error: 'TypeError', attempt: 5 };
    expect(first).toMatchObject({ source: 'ledger', domains: ['offers'], failed });
    expect(first!.reason).toHaveLength(500);
    expect(second!.domains?.toSorted()).toEqual(['quotes', 'rates']);
    expect(second!.failed?.eventId).toBeUndefined();
  });

  deadLetters('is not given up as long as the store has not confirmed it', BOTH, async (fleet) => {
    const { worker, web, ledger } = await setUp(fleet);
    const refused = worker.store.fail('advance', Infinity);
    await expect(ledger.sink.giveUp(event('quote'))).rejects.toMatchObject({ code: 'CG_STORE_UNAVAILABLE' });
    expect(await fresh(web)).toContain('quotes');
    refused.release();
    const again = ledger.sink.giveUp(event('quote'));
    await (fleet.kind === 'memory' ? fleet.pass(FALLBACK_MS) : undefined);
    await again;
    expect(await fresh(web)).not.toContain('quotes');
  });
});

describe('many that are put aside', () => {
  deadLetters('cost a domain one invalidation in each span of its fallback TTL', MEMORY, async (fleet) => {
    const { worker, ledger } = await setUp(fleet);
    await earlyInSpan(fleet);
    const givenUp: Promise<void>[] = [];
    for (let i = 0; i < 100; i++) {
      for (let j = 0; j < 10; j++) {
        givenUp.push(ledger.sink.giveUp(event('quote', `${i} ${j}`)));
      }
      await fleet.pass(FALLBACK_MS / 20);
    }
    // The ends of 5 spans, the first of all, and one for a span that begins or ends in between.
    expect(ofDomains(worker).length).toBeGreaterThanOrEqual(5);
    expect(ofDomains(worker).length).toBeLessThanOrEqual(7);
    await fleet.pass(FALLBACK_MS);
    await Promise.all(givenUp);
    expect(ofDomains(worker).length).toBeLessThanOrEqual(8);
  });

  deadLetters('are done with when what was cached before each of them is invalidated', MEMORY, async (fleet) => {
    const { web, ledger } = await setUp(fleet);
    await earlyInSpan(fleet);
    await ledger.sink.giveUp(event('quote', '1'));
    await web.guard.getOrLoad({ domain: 'quotes', key: 'gold' }, async () => 'between');
    let isDone = false;
    const second = ledger.sink.giveUp(event('quote', '2')).then(() => (isDone = true));
    await fleet.pass(1);
    expect([isDone, (await fresh(web)).includes('quotes')]).toEqual([false, true]);
    await fleet.pass(FALLBACK_MS);
    await second;
    expect(await fresh(web)).not.toContain('quotes');
  });

  deadLetters(
    'are invalidated for by all processes at the same time, not one after the other',
    MEMORY,
    async (fleet) => {
      const { worker, web, ledger } = await setUp(fleet);
      const other = new SpokenSource(fleet);
      await followed(web, other);
      const times: number[] = [];
      for (const { guard } of [worker, web]) {
        guard.on((one) => one.type === 'invalidation' && one.scope === 'domain' && times.push(fleet.clock.wall()));
      }
      const all: Promise<void>[] = [];
      for (let i = 0; i < 30; i++) {
        all.push([ledger, other][i % 2]!.sink.giveUp(event('quote', `${i}`)));
        await fleet.pass(FALLBACK_MS / 7);
      }
      await fleet.pass(FALLBACK_MS);
      await Promise.all(all);
      // The first of each may come at any time.
      const later = times.filter((ms) => ms - times[0]! > FALLBACK_MS);
      expect(later.length).toBeGreaterThanOrEqual(6);
      for (const ms of later) expect(Math.abs(ms / FALLBACK_MS - Math.round(ms / FALLBACK_MS))).toBeLessThan(0.01);
    },
  );

  deadLetters('keep nobody waiting who closes, and leave no timer', MEMORY, async (fleet) => {
    const { worker, web, ledger } = await setUp(fleet);
    await ledger.sink.giveUp(event('offer', '1'));
    const second = ledger.sink.giveUp(event('offer', '2'));
    await fleet.patiently(worker.guard.close());
    await second;
    expect(ofDomains(worker)).toHaveLength(2);
    await fleet.patiently(web.guard.close());
    expect(fleet.clock.pending).toBe(0);
  });
});

deadLetters('processes know whether they do the same with the events of a source', MEMORY, async (fleet) => {
  const named = async (rules: readonly EventRule[], policies: DomainPolicies = domains) => {
    const source = new SpokenSource(fleet);
    await followed(await fleet.start({ domains: policies }), source, rules);
    return source.sink.rules;
  };
  const own = await named(RULES);
  expect(await named(RULES.toReversed())).toBe(own);
  expect(await named([...RULES, { on: 'x', domain: 'cards', all: true, from: 'elsewhere' }])).toBe(own);
  expect(await named([...RULES, { on: 'x', domain: 'cards', all: true }])).not.toBe(own);
  expect(await named([{ ...RULES[0]!, on: ['quote', 'x'] }, ...RULES.slice(1)])).not.toBe(own);
  expect(await named(RULES, { ...domains, more: { ...TTLS, freshBy: FRESH_BY } })).not.toBe(own);
});

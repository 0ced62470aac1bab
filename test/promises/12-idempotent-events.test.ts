import type { EventRule } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { readRule } from '../../lib/core/rules.js';
import { APPLIED, DUPLICATE, event, follow, UNMATCHED } from './support/events.js';
import { until, type Fleet, type Member } from './support/fleet.js';
import { ALL, BOTH, expectFresh, expectNotFresh, MEMORY, promise } from './support/promise.js';

const GOLD = { domain: 'offers', key: 'gold' } as const;
const RULE: EventRule = { on: 'changed', domain: 'offers', key: ({ subject }) => subject };
const UPDATE: EventRule = {
  on: 'changed',
  domain: 'offers',
  key: ({ subject }) => subject,
  action: 'update',
  version: ({ data }) => data as bigint,
  value: ({ data }) => `value ${data as bigint}`,
};

async function started(fleet: Fleet, count = 2, rules: readonly EventRule[] = [RULE]): Promise<Member[]> {
  const members = await fleet.startAll(count);
  for (const member of members) follow(member, rules);
  return members;
}

const keep = ({ guard }: Member, value: string, key = 'gold') => guard.put({ ...GOLD, key }, value);

describe('the same source and id', () => {
  promise(12, 'twice is one action; another id with the same content is a second one', ALL, async (fleet) => {
    const [a, b] = (await started(fleet)) as [Member, Member];
    const [one, other] = [event('gold', { data: 'same' }), event('gold', { data: 'same' })];
    await keep(a, 'old');
    expect(await a.guard.events.publish(one)).toEqual(APPLIED);
    await expectNotFresh([a, b], GOLD, 'old');
    await keep(a, 'new');
    // Whatever comes with it: the identity is what counts.
    for (const again of [one, { ...one, data: 'different' }, { ...one, time: new Date(0) }]) {
      expect(await a.guard.events.publish(again)).toEqual(DUPLICATE);
    }
    await expectFresh([a, b], GOLD, 'new');
    expect(await a.guard.events.publish(other)).toEqual(APPLIED);
    await expectNotFresh([a, b], GOLD, 'new');
    await keep(a, 'newer');
    expect(await a.guard.events.publish({ ...one, source: '/bank/prices' })).toEqual(APPLIED);
    await expectNotFresh([a, b], GOLD, 'newer');
    expect(a.all('invalidation', { outcome: 'applied' })).toHaveLength(3);
  });

  promise(12, 'is known to every process, and to one that is started later', ALL, async (fleet) => {
    const [a, b] = (await started(fleet)) as [Member, Member];
    const one = event('gold');
    expect(await a.guard.events.publish(one)).toEqual(APPLIED);
    await keep(a, 'new');
    expect(await b.guard.events.deliver('a stream', [one])).toEqual([DUPLICATE]);
    await fleet.patiently(a.guard.close());
    const [c] = (await started(fleet, 1)) as [Member];
    expect(await c.guard.events.publish(one)).toEqual(DUPLICATE);
    await expectFresh([b, c], GOLD, 'new');
  });

  promise(12, 'in one delivery is one action', BOTH, async (fleet) => {
    const [a] = (await started(fleet, 1)) as [Member];
    const one = event('gold');
    const verdicts = await a.guard.events.publishAll([one, { ...one }, event('silver'), one]);
    expect(verdicts).toEqual([APPLIED, DUPLICATE, APPLIED, DUPLICATE]);
    expect(a.all('domain-events').map(({ outcome, count }) => [outcome, count])).toEqual([
      ['applied', 2],
      ['duplicate', 2],
    ]);
    expect(a.all('invalidation')).toHaveLength(2);
  });

  promise(12, 'in several processes at once leaves what one of them leaves', ALL, async (fleet) => {
    const members = await started(fleet, 4, [UPDATE]);
    for (let version = 1n; version <= 10n; version++) {
      const one = event('gold', { data: version });
      const verdicts = await Promise.all(members.map(({ guard }) => guard.events.publish(one)));
      for (const verdict of verdicts) expect([APPLIED, DUPLICATE]).toContainEqual(verdict);
      expect(verdicts).toContainEqual(APPLIED);
      await expectFresh(members, GOLD, `value ${version}`);
    }
  });

  promise(
    12,
    'is not remembered for the rules of others: no event is a repeat that nobody acted on',
    BOTH,
    async (fleet) => {
      const [a, b] = await fleet.pair();
      follow(a, [{ ...RULE, on: 'other' }]);
      follow(b, [RULE]);
      const one = event('gold');
      expect(await a.guard.events.publish(one)).toEqual(UNMATCHED);
      expect(await b.guard.events.publish(one)).toEqual(APPLIED);
    },
  );
});

describe('what others did about it', () => {
  promise(12, 'does not make it a repeat for rules that have not seen it', BOTH, async (fleet) => {
    const rules = [
      { ...RULE, from: 'one' },
      { ...RULE, domain: 'rates', from: 'two' },
    ];
    const [a, b] = (await started(fleet, 2, rules)) as [Member, Member];
    const one = event('gold');
    expect(await a.guard.events.deliver('one', [one])).toEqual([APPLIED]);
    expect(await b.guard.events.deliver('two', [one])).toEqual([APPLIED]);
    expect(b.all('invalidation').map(({ domain }) => domain)).toEqual(['rates']);
    expect(await a.guard.events.deliver('two', [one])).toEqual([DUPLICATE]);
  });
});

describe('what failed', () => {
  promise(12, 'is not remembered: a rule that throws, in whatever it is asked', BOTH, async (fleet) => {
    let broken = true;
    const mends = <T>(good: T): T => {
      if (broken) throw new Error('no');
      return good;
    };
    const rules: EventRule[] = [
      { ...RULE, on: 'key', key: ({ subject }) => mends(subject) },
      { on: 'keys', domain: 'offers', keys: ({ subject }) => mends([subject!]) },
      { on: 'tags', domain: 'offers', tags: ({ subject }) => mends([subject!]) },
      { ...RULE, on: 'version', key: ({ subject }) => subject, version: () => mends(1n) },
      { ...UPDATE, on: 'value', key: ({ subject }) => subject, version: () => 1, value: () => mends('v') },
    ];
    const [a, b] = (await started(fleet, 2, [...rules, RULE])) as [Member, Member];
    const events = rules.map(({ on }) => event('gold', { type: on as string }));
    const retry = { kind: 'retry', reason: expect.stringMatching(/^rule rules\[\d\]: Error: no$/), error: 'Error' };
    expect(await a.guard.events.publishAll([...events, event('silver')])).toMatchObject([
      ...events.map(() => retry),
      APPLIED,
    ]);
    broken = false;
    expect(await b.guard.events.publishAll(events)).toEqual(events.map(() => APPLIED));
    expect(await a.guard.events.publishAll(events)).toEqual(events.map(() => DUPLICATE));
  });

  promise(12, 'is not remembered: a rule that throws what cannot become text', BOTH, async (fleet) => {
    const unreadable = Object.defineProperty(new Error(), 'message', {
      get: () => {
        throw new Error('no message');
      },
    });
    for (const thrown of [
      Object.create(null),
      unreadable,
      new Proxy(
        {},
        {
          getPrototypeOf: () => {
            throw 1;
          },
        },
      ),
    ] as unknown[]) {
      const key = ({ subject }: { subject?: string }): string => {
        if (subject === 'bad') throw thrown;
        return subject!;
      };
      const [a] = (await started(fleet, 1, [{ ...RULE, key }])) as [Member];
      const bad = event('bad');
      for (let i = 0; i < 2; i++) {
        expect(await a.guard.events.publishAll([bad, event('gold')])).toMatchObject([
          { kind: 'retry', reason: expect.stringContaining('cannot become text') },
          APPLIED,
        ]);
      }
    }
  });

  promise(12, 'is not remembered, and what other rules want is done: a version that is none', BOTH, async (fleet) => {
    const [a] = (await started(fleet, 1, [{ ...RULE, domain: 'rates' }, UPDATE])) as [Member];
    const one = event('gold', { data: 2n ** 64n });
    expect(await a.guard.events.publish(one)).toMatchObject({ kind: 'poison', error: 'CG_INVALID_VERSION' });
    expect(a.all('invalidation').map(({ domain }) => domain)).toEqual(['rates']);
    await expectNotFresh([a], GOLD, 'value 18446744073709551616');
    expect(await a.guard.events.publish({ ...one, data: 7n })).toEqual(APPLIED);
    await expectFresh([a], GOLD, 'value 7');
  });

  promise(12, 'is not remembered: an action that fails', BOTH, async (fleet) => {
    const [a, b] = (await started(fleet)) as [Member, Member];
    const rules = [readRule({ ...RULE, action: 'refresh' }, 'rules[0]')];
    let broken = true;
    const enqueue = async (): Promise<void> => {
      if (broken) throw new Error('full');
    };
    for (const { guard } of [a, b]) guard.events.configure({ rules, mergeWindowMs: 0, refreshes: { enqueue } });
    const one = event('gold');
    expect(await a.guard.events.publish(one)).toMatchObject({ kind: 'retry', reason: 'Error: full', error: 'Error' });
    broken = false;
    expect(await a.guard.events.publish(one)).toEqual(APPLIED);
    expect(await b.guard.events.publish(one)).toEqual(DUPLICATE);
  });

  promise(
    12,
    'is not remembered: the store was away, and nothing is lost, whether the event comes again or not',
    BOTH,
    async (fleet) => {
      const [a, b] = (await started(fleet)) as [Member, Member];
      const [again, never] = [event('gold'), event('silver')];
      await keep(a, 'old');
      await keep(a, 'old', 'silver');
      a.store.down();
      expect(await a.guard.events.publishAll([again, never])).toMatchObject([{ kind: 'later' }, { kind: 'later' }]);
      a.store.heal();
      await until(async () => (await fleet.pass(10), a.all('invalidation', { outcome: 'carried-out' }).length > 0));
      for (const key of ['gold', 'silver']) await expectNotFresh([a, b], { ...GOLD, key }, 'old');
      await keep(a, 'old');
      expect(await a.guard.events.publish(again)).toEqual(APPLIED);
      await expectNotFresh([a, b], GOLD, 'old');
      expect(await b.guard.events.publish(again)).toEqual(DUPLICATE);
    },
  );

  promise(12, 'is harmless: a ledger that does not answer, before the action or after it', BOTH, async (fleet) => {
    for (const operation of ['known', 'remember'] as const) {
      for (const fault of ['fail', 'loseReply'] as const) {
        const [a, b] = (await started(fleet)) as [Member, Member];
        const one = event('gold');
        await keep(a, 'old');
        a.store[fault](operation);
        expect(await a.guard.events.publish(one)).toEqual(APPLIED);
        await expectNotFresh([a, b], GOLD, 'old');
        // What was not remembered is done again, what was done is not undone.
        expect(await b.guard.events.publish(one)).toEqual(
          operation === 'known' || fault === 'loseReply' ? DUPLICATE : APPLIED,
        );
        expect(await b.guard.events.publish(one)).toEqual(DUPLICATE);
      }
    }
  });

  promise(
    12,
    'is remembered only when the action is done: who dies in between has it done again',
    BOTH,
    async (fleet) => {
      const [a, b] = (await started(fleet)) as [Member, Member];
      const one = event('gold');
      await keep(a, 'old');
      a.store.hang('remember');
      const verdict = a.guard.events.publish(one);
      await until(() => a.store.calls.remember === 1, 'the action to be done');
      await expectNotFresh([a, b], GOLD, 'old');
      expect(await b.guard.events.publish(one)).toEqual(APPLIED);
      await fleet.patiently(a.guard.close());
      expect(await verdict).toEqual(APPLIED);
    },
  );
});

describe('bad input', () => {
  promise(12, 'what is no event is poison, and holds up nothing', BOTH, async (fleet) => {
    const [a] = (await started(fleet, 1)) as [Member];
    const bad: unknown[] = [
      null,
      5,
      'changed',
      [],
      {},
      { ...event('gold'), id: 7 },
      { ...event('gold'), time: 'later' },
    ];
    const verdicts = await a.guard.events.publishAll([...bad, event('gold')] as never[]);
    expect(verdicts).toEqual([...bad.map(() => ({ kind: 'poison', reason: expect.any(String) })), APPLIED]);
    expect(a.all('domain-events', { outcome: 'poison' })).toMatchObject([{ count: bad.length }]);
    const unusable = event('gold', { subject: undefined, type: 'tagged' });
    follow(a, [{ on: 'tagged', domain: 'offers', tags: () => [''] }]);
    expect(await a.guard.events.publish(unusable)).toMatchObject({ kind: 'poison' });
  });

  promise(12, 'ten thousand events at once, of as many keys', BOTH, async (fleet) => {
    const [a, b] = (await started(fleet)) as [Member, Member];
    const names = Array.from({ length: 10_000 }, (_, i) => `k${i}`);
    const probes = [names[0]!, names[5_000]!, names.at(-1)!];
    for (const key of probes) await keep(a, 'old', key);
    const events = names.map((name) => event(name));
    expect(new Set(await a.guard.events.publishAll(events))).toEqual(new Set([APPLIED]));
    for (const key of probes) await expectNotFresh([a, b], { ...GOLD, key }, 'old');
    expect(new Set(await b.guard.events.publishAll(events))).toEqual(new Set([DUPLICATE]));
  });

  promise(12, 'ten thousand events at once, of one key, are a handful of actions', BOTH, async (fleet) => {
    const [a] = await fleet.startAll(1);
    follow(a!, [UPDATE], 50);
    const events = Array.from({ length: 10_000 }, (_, i) => event('gold', { data: BigInt((i * 7_919) % 10_000) }));
    const verdicts = a!.guard.events.publishAll(events);
    await fleet.patiently(verdicts);
    expect(new Set(await verdicts)).toEqual(new Set([APPLIED]));
    await expectFresh([a!], GOLD, 'value 9999');
    // Two, unless they take longer to come than the window lasts.
    expect(a!.store.calls.commit).toBeLessThan(20);
  });

  promise(12, 'after the end nothing is taken in, and nothing is left that waits', MEMORY, async (fleet) => {
    const [a] = await fleet.startAll(1);
    follow(a!, [RULE], 50);
    const under = [a!.guard.events.publish(event('gold')), a!.guard.events.publish(event('gold'))];
    await fleet.patiently(a!.guard.close());
    for (const verdict of await Promise.all(under)) expect(['done', 'later', 'retry']).toContain(verdict.kind);
    expect(await a!.guard.events.publish(event('gold'))).toMatchObject({ kind: 'later' });
    expect(fleet.clock.pending).toBe(0);
  });
});

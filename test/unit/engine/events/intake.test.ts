import { setImmediate } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { MemoryLedger } from '../../../../lib/adapters/memory/memory-ledger.js';
import type { DomainEventsEvent } from '../../../../lib/core/events.js';
import { CacheGuardError } from '../../../../lib/core/errors.js';
import { readRule, type EventRule } from '../../../../lib/core/rules.js';
import { entryKey, keySegment, tagGeneration } from '../../../../lib/core/keys.js';
import type { CallMaker } from '../../../../lib/engine/call-maker.js';
import { Domains } from '../../../../lib/engine/domains.js';
import { EventHub } from '../../../../lib/engine/event-hub.js';
import type { ActionOutcome, Actions } from '../../../../lib/engine/events/actions.js';
import { Intake } from '../../../../lib/engine/events/intake.js';
import type { Wanted } from '../../../../lib/engine/events/wanted.js';
import { gate } from '../../../promises/support/source.js';

const APPLIED = { kind: 'done', outcome: 'applied' };
const DUPLICATE = { kind: 'done', outcome: 'duplicate' };
const UNMATCHED = { kind: 'done', outcome: 'unmatched' };

const MANY = Array.from({ length: 1_000 }, (_, i) => i);
const asApplied = (): ActionOutcome => ({ kind: 'applied' });

const offer = { on: 'offer', domain: 'offers', key: ({ subject }) => subject } satisfies EventRule;

/** An intake that notes what is wanted, and the outcome of which the test decides. */
function setUp(
  rules: readonly object[] = [offer],
  outcome: (wanted: Wanted) => ActionOutcome | Promise<ActionOutcome> = () => ({ kind: 'applied' }),
) {
  const domains = new Domains();
  domains.register(
    { offers: { freshness: 'experience' }, private: { freshness: 'reference', stalePolicy: 'never' } },
    'the test',
  );
  const hub = new EventHub();
  const told: DomainEventsEvent[] = [];
  hub.on((event) => event.type === 'domain-events' && told.push(event));
  const ledger = new MemoryLedger();
  const wanted: Wanted[] = [];
  const keyOrRefuse: CallMaker['keyOrRefuse'] = (_, { key, ...rest }) =>
    entryKey({ ...rest, segment: keySegment(key) });
  const calls = { keyOrRefuse } as CallMaker;
  const actions = { do: async (one: Wanted) => (wanted.push(one), outcome(one)) } as unknown as Actions;
  const parsed = rules.map((rule, i) => readRule(rule as EventRule, `rules[${i}]`));
  const intake = new Intake({ rules: parsed, domains, calls, tag: tagGeneration, ledger, actions, hub });
  const take = (events: readonly unknown[], source = 'here') =>
    intake.take(
      source,
      events.map((event) => ({ event, tries: 0 })),
    );
  return { take, ledger, wanted, told };
}

const event = (id: string, over: object = {}) => ({ id, source: '/bank', type: 'offer', subject: 'gold', ...over });

describe('the intake', () => {
  it('gives verdicts in the order of the deliveries, and tells of each kind once', async () => {
    const { take, told } = setUp();
    const verdicts = await take([event('1'), 5, event('2', { type: 'other' }), event('1'), event('3')]);
    expect(verdicts).toEqual([APPLIED, { kind: 'poison', reason: expect.any(String) }, UNMATCHED, DUPLICATE, APPLIED]);
    expect(told.map(({ outcome, count }) => [outcome, count])).toEqual([
      ['applied', 2],
      ['poison', 1],
      ['unmatched', 1],
      ['duplicate', 1],
    ]);
    expect(told[1]!.reason).toContain('not number');
  });

  it('asks only the rules of the type and of the source', async () => {
    const { take, wanted } = setUp([offer, { ...offer, from: 'there' }, { ...offer, on: ['x', 'y'] }]);
    await take([event('1')]);
    expect(wanted).toHaveLength(1);
    await take([event('2')], 'there');
    expect(wanted).toHaveLength(3);
    expect(await take([event('3', { type: 'y' }), event('4', { type: 'z' })])).toEqual([APPLIED, UNMATCHED]);
  });

  it('does what the other rules want when one of them throws, and says so', async () => {
    const broken = {
      ...offer,
      key: () => {
        throw new Error('no key');
      },
    };
    const { take, wanted, ledger } = setUp([broken, { ...offer, domain: 'private' }]);
    const known = vi.spyOn(ledger, 'remember');
    expect(await take([event('1')])).toMatchObject([
      {
        kind: 'retry',
        reason: expect.stringContaining('rules[0]'),
        rule: "rules[0] of domain 'offers'",
        error: 'Error',
      },
    ]);
    expect(wanted.map(({ policy }) => policy.domain)).toEqual(['private']);
    expect(known).not.toHaveBeenCalled();
    const unusable = setUp([
      { ...offer, key: () => NaN },
      { ...offer, domain: 'private' },
    ]);
    expect(await unusable.take([event('1')])).toMatchObject([{ kind: 'poison' }]);
    expect(unusable.wanted).toHaveLength(1);
  });

  it('takes no event for a repeat that other rules have dealt with: of another source, or another application', async () => {
    const { take, wanted } = setUp([
      { ...offer, from: 'here' },
      { ...offer, domain: 'private', from: 'there' },
    ]);
    const both = await Promise.all([take([event('1')], 'here'), take([event('1')], 'there')]);
    expect(both.flat()).toEqual([APPLIED, APPLIED]);
    expect(wanted.map(({ policy }) => policy.domain)).toEqual(['offers', 'private']);
    expect(await take([event('1')], 'there')).toEqual([DUPLICATE]);
  });

  it('makes of rules what they say', async () => {
    const { take, wanted } = setUp([
      { ...offer, version: () => 7 },
      { ...offer, domain: 'private', action: 'refresh', name: 'Offers.find' },
      { ...offer, key: undefined, keys: () => ['a', 'b'], mode: 'purge' },
      { ...offer, action: 'update', version: () => 8n, value: () => 'v' },
      { on: 'offer', domain: 'offers', tags: () => ['x', 'y', 'x'] },
      { on: 'offer', domain: 'offers', all: true, mode: 'remove' },
    ]);
    expect(await take([event('1')])).toEqual([APPLIED]);
    const [versioned, refresh, a, b, update, x, y, all] = wanted;
    expect(wanted).toHaveLength(8);
    expect(versioned).toMatchObject({ keyInput: 'gold', invalidate: { mode: 'expire', always: false, version: 7n } });
    expect(refresh).toMatchObject({ name: 'Offers.find', invalidate: { mode: 'remove', always: true }, refresh: {} });
    expect([a, b]).toMatchObject([{ keyInput: 'a', invalidate: { mode: 'purge' } }, { keyInput: 'b' }]);
    expect(update).toMatchObject({ invalidate: undefined, update: { version: 8n, value: 'v' }, refresh: undefined });
    expect([x, y]).toMatchObject([{ scope: 'tag', generation: 't:offers:s.x' }, { generation: 't:offers:s.y' }]);
    expect(all).toMatchObject({ scope: 'domain', generation: 'd:offers', mode: 'remove' });
  });

  it('asks nobody for the value or version of an event that does not concern the domain', async () => {
    const unasked = () => { throw new Error('asked'); }; // prettier-ignore
    const { take, wanted } = setUp([
      { ...offer, key: () => undefined, action: 'update', version: unasked, value: unasked },
    ]);
    expect(await take([event('1')])).toEqual([APPLIED]);
    expect(wanted).toEqual([]);
  });

  it('does not remember what was not applied: rules that throw, actions that fail', async () => {
    let broken = true;
    const throws = (what: unknown) => () => { if (broken) throw what; return 'gold'; }; // prettier-ignore
    for (const rule of [
      { ...offer, key: throws(new Error('no')) },
      { ...offer, key: throws('no') },
      { ...offer, key: throws(new CacheGuardError('CG_STORE_UNAVAILABLE', 'no')) },
      { ...offer, version: () => (throws(new Error('no'))(), 1) },
    ]) {
      broken = true;
      const { take, wanted } = setUp([rule]);
      const [verdict] = await take([event('1')]);
      expect(verdict).toMatchObject({ kind: 'retry', reason: expect.stringMatching(/^rule rules\[0\]: /) });
      expect(wanted).toEqual([]);
      broken = false;
      expect(await take([event('1')])).toEqual([APPLIED]);
      expect(await take([event('1')])).toEqual([DUPLICATE]);
    }
  });

  it.each<[title: string, over: object, error: string]>([
    ['a key that is none', { key: () => null }, 'CG_UNUSABLE_KEY'],
    ['a key that is a promise', { key: async () => 'gold' }, 'CG_INVALID_RULE'],
    ['keys that are no list', { key: undefined, keys: () => 'gold' }, 'CG_UNUSABLE_KEY'],
    ['tags that are no list', { key: undefined, tags: () => new Set(['x']) }, 'CG_UNUSABLE_KEY'],
    ['a tag that is empty', { key: undefined, tags: () => [''] }, 'CG_UNUSABLE_KEY'],
    ['a version that is negative', { version: () => -1 }, 'CG_INVALID_VERSION'],
    ['a version that is a text', { version: () => '7' }, 'CG_INVALID_VERSION'],
    [
      'an update without a version',
      { action: 'update', version: () => undefined, value: () => 1 },
      'CG_INVALID_VERSION',
    ],
  ])('says at once of what a rule gave that no repeat will help: %s', async (_title, over, error) => {
    const { take, wanted, told } = setUp([{ ...offer, ...over }]);
    const rule = "rules[0] of domain 'offers'";
    expect(await take([event('1')])).toMatchObject([{ kind: 'poison', rule, error }]);
    expect(wanted).toEqual([]);
    expect(told).toMatchObject([
      { outcome: 'poison', failed: { eventType: 'offer', eventId: '1', rule, error, attempt: 1 } },
    ]);
  });

  it('says the worst of what became of its actions, and repeats all of them', async () => {
    let outcomes: ActionOutcome[] = [];
    const { take, wanted } = setUp(
      [{ ...offer, key: undefined, keys: () => ['a', 'b'] }],
      () => outcomes[wanted.length % 2]!,
    );
    const applied = { kind: 'applied' } as const;
    const later = { kind: 'later', reason: 'away' } as const;
    const failed = { kind: 'failed', error: new Error('no') } as const;
    const retry = { kind: 'retry', reason: 'Error: no', rule: "rules[0] of domain 'offers'", error: 'Error' };
    for (const [given, verdict] of [
      [[later, applied], later],
      [[applied, later], later],
      [[later, failed], retry],
      [[failed, later], retry],
      [[applied, applied], APPLIED],
    ] as const) {
      outcomes = [...given];
      expect(await take([event('1')])).toEqual([verdict]);
    }
    expect(wanted).toHaveLength(10);
  });

  it('gives a repeat of what is under way the same fate', async () => {
    const hold = gate();
    let outcome: ActionOutcome = { kind: 'later', reason: 'away' };
    const { take, wanted } = setUp([offer], async () => (await hold.opened, outcome));
    const both = Promise.all([take([event('1'), event('1')]), take([event('1')])]);
    hold.open();
    expect((await both).flat().map(({ kind }) => kind)).toEqual(['later', 'later', 'later']);
    outcome = { kind: 'applied' };
    expect((await Promise.all([take([event('1')]), take([event('1')])])).flat()).toEqual([APPLIED, DUPLICATE]);
    expect(wanted).toHaveLength(2);
  });

  it('acts though the ledger is away, and again when the event comes again: to lose it would be worse', async () => {
    const { take, ledger, wanted } = setUp();
    vi.spyOn(ledger, 'known').mockRejectedValueOnce(new Error('away'));
    vi.spyOn(ledger, 'remember').mockRejectedValueOnce(new Error('away'));
    expect(await take([event('1')])).toEqual([APPLIED]);
    expect(await take([event('1')])).toEqual([APPLIED]);
    expect(await take([event('1')])).toEqual([DUPLICATE]);
    expect(wanted).toHaveLength(2);
  });

  it('remembers after the action, not before', async () => {
    const order: string[] = [];
    const { take, ledger } = setUp([offer], () => (order.push('act'), { kind: 'applied' }));
    const remember = ledger.remember.bind(ledger);
    ledger.remember = (identities) => (order.push('remember'), remember(identities));
    await take([event('1')]);
    expect(order).toEqual(['act', 'remember']);
  });

  it('wants all of the domain where a rule gives more keys or tags than 10,000, and no more than those', async () => {
    for (const field of ['keys', 'tags']) {
      for (const length of [10_000, 10_001]) {
        const names = Array.from({ length }, (_, i) => `name ${i}`);
        const { take, wanted } = setUp([{ ...offer, key: undefined, [field]: () => names }]);
        expect(await take([event('1')])).toEqual([APPLIED]);
        if (length === 10_000) expect(wanted).toHaveLength(length);
        else expect(wanted).toMatchObject([{ scope: 'domain', mode: 'expire' }]);
      }
    }
  });

  it('begins no further event while 10,000 keys are wanted, and all of them in the end', async () => {
    const { opened, open } = gate();
    const { take, wanted } = setUp([{ ...offer, key: undefined, keys: () => MANY }], () => opened.then(asApplied));
    const taken = take(Array.from({ length: 50 }, (_, i) => event(String(i))));
    for (let turn = 0; turn < 100; turn++) await setImmediate();
    expect(wanted).toHaveLength(10_000);
    open();
    expect(await taken).toEqual(Array.from({ length: 50 }, () => APPLIED));
    expect(wanted).toHaveLength(50_000);
    expect(await take([event('another')])).toEqual([APPLIED]);
  });

  it('gives others their turn while it begins what an event wants', async () => {
    const { take, wanted } = setUp([{ ...offer, key: undefined, keys: () => MANY }]);
    const seen: number[] = [];
    const taken = take([event('1')]);
    for (let turn = 0; turn < 10; turn++) {
      await setImmediate();
      seen.push(wanted.length);
    }
    await taken;
    expect(seen.some((count) => count > 0 && count < MANY.length)).toBe(true);
  });

  it('keeps a reason short', async () => {
    const { take } = setUp([{ ...offer, key: () => { throw new Error('x'.repeat(10_000)); } }]); // prettier-ignore
    const [verdict] = await take([event('1')]);
    expect((verdict as { reason: string }).reason.length).toBeLessThan(250);
  });
});

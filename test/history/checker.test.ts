import { describe, expect, test } from 'vitest';
import { check, describe as describeBreach, nines } from './checker.js';
import { failedLoad, failure, fault, invalidation, KEY, load, of, OFFER, put, read } from './examples.js';
import { parse, serialise, sorted, type Invalidation, type Operation, type Read, type ReadOutcome } from './history.js';

const rulesBroken = (...operations: Operation[]) => check(of(operations)).breaches.map(({ rule }) => rule);

/** One breach, and nothing of what it takes to see it can be left out. */
function expectBreach(
  promise: number,
  rule: string,
  operations: readonly Operation[],
  others: readonly Operation[] = [],
) {
  const { breaches } = check(of([...operations, ...others]));
  expect(breaches.map((one) => [one.promise, one.rule])).toEqual([[promise, rule]]);
  expect(breaches[0]!.operations).toEqual(sorted(operations));
  for (const left of operations) expect(rulesBroken(...operations.filter((one) => one !== left))).not.toContain(rule);
}

describe('promise 1: one flight', () => {
  const first = load('a.1', 100, 200);
  const second = load('b.1', 150, 250);

  test('two loads of a key at once are a breach, however much happens around them', () => {
    const others = [
      load('a.9', 100, 250, OFFER),
      read('a', 90, 'a.1', { state: 'loaded' }),
      invalidation('c', 900, 910),
    ];
    expectBreach(1, 'one flight', [first, second], others);
  });

  test.each([
    ['one after the other', load('b.1', 200, 300)],
    ['another key', load('b.1', 150, 250, { key: 'other' })],
    ['a refresh, which waits for nobody', load('b.1', 150, 250, { via: 'refresh' })],
    ['a write', load('b.1', 150, 250, { via: 'write' })],
  ])('%s is none', (_what, other) => {
    expect(rulesBroken(first, other)).toEqual([]);
  });

  test('what was given up at its time-out, or because nobody wanted it, need not be over', () => {
    expect(rulesBroken(load('a.1', 100, 2_000), load('b.1', 901, 950))).toEqual([]);
    expect(rulesBroken(load('a.1', 100, 2_000, { abortedAt: 140 }), second)).toEqual([]);
    expect(rulesBroken(load('a.1', 100, 2_000), load('b.1', 899, 950))).toEqual(['one flight']);
  });

  test.each<[string, Operation]>([
    ['Redis does not answer', fault('store-away', 120, 130)],
    ['one of the two got no answer', fault('unanswered', 50, 140, 'b')],
    ['the holder stood still', fault('process-paused', 110, 120, 'a')],
    ['the store lost its leases', fault('restart-empty', 110, 120)],
    ['an invalidation intervened', invalidation('c', 110, 120)],
    ['one of a tag', invalidation('c', 110, 120, { scope: 'tag', name: 'tag' })],
    ['one that was pending was carried out', invalidation('c', 10, 20, { outcome: 'pending', carriedOutAt: 130 })],
    ['a write intervened', { ...put('c.1', 110, 120), outcome: 'stored' }],
  ])('excused: %s', (_what, excuse) => {
    expect(rulesBroken(first, second, excuse)).toEqual([]);
  });

  test.each<[string, Operation]>([
    ['signals were lost: no message is needed for exclusion', fault('signals-cut', 0, 900)],
    ['another process had trouble', fault('unanswered', 50, 140, 'c')],
    ['Redis was away, long ago', fault('store-away', -1_000, -600)],
    ['an invalidation came later', invalidation('c', 160, 170)],
    ['one of another key', invalidation('c', 110, 120, { name: 'other' })],
    ['one of another tag', invalidation('c', 110, 120, { scope: 'tag', name: 'other' })],
  ])('not excused: %s', (_what, noExcuse) => {
    expectBreach(1, 'one flight', [first, second], [noExcuse]);
  });

  test('who waited in vain elsewhere loads for himself, but once in each process', () => {
    const vain = failedLoad('c.1', 20, 90);
    expect(rulesBroken(vain, first, second)).toEqual([]);
    expect(rulesBroken(vain, first, load('a.2', 150, 250))).toEqual(['one flight']);
    expect(rulesBroken(load('c.1', 20, 90), first, second)).toEqual(['one flight']);
  });
});

describe('promises 2, 3, 9 and 10: what was invalidated', () => {
  const made = load('a.1', 100, 200);
  const told = invalidation('b', 150, 300);

  test('under never, whoever comes after it resolved is given nothing from before, in any state', () => {
    for (const state of ['fresh', 'loaded', 'uncached', 'stale'] as const) {
      expectBreach(3, 'no stale value', [made, told, read('c', 301, 'a.1', { state })]);
    }
  });

  test.each<[string, Invalidation, Read]>([
    ['the reader came before it resolved', told, read('c', 299, 'a.1')],
    ['the load began after it had begun', invalidation('b', 99, 300), read('c', 301, 'a.1')],
    ['it failed', { ...told, outcome: 'failed' }, read('c', 301, 'a.1')],
    ['it was of another key', { ...told, name: 'other' }, read('c', 301, 'a.1')],
    ['it was of another domain', { ...told, domain: 'stale' }, read('c', 301, 'a.1')],
    ['it is pending', { ...told, outcome: 'pending' }, read('c', 301, 'a.1')],
  ])('no breach: %s', (_what, one, reader) => {
    expect(rulesBroken(made, one, reader)).toEqual([]);
  });

  test('tags and domains count as keys do', () => {
    const reader = read('c', 301, 'a.1');
    expectBreach(3, 'no stale value', [made, invalidation('b', 150, 300, { scope: 'tag', name: 'tag' }), reader]);
    const { name, ...whole } = invalidation('b', 150, 300, { scope: 'domain' });
    expect(name).toBe('k');
    expectBreach(3, 'no stale value', [made, whole, reader]);
  });

  const offer = load('a.1', 100, 200, OFFER);
  const gone = invalidation('b', 150, 300, { domain: 'stale', mode: 'expire' });

  test('where stale is allowed, it may be served as stale, and as fresh for a second in other processes', () => {
    expect(rulesBroken(offer, gone, read('c', 1_299, 'a.1', OFFER))).toEqual([]);
    expect(rulesBroken(offer, gone, read('b', 301, 'a.1', { ...OFFER, state: 'stale' }))).toEqual([]);
    expectBreach(2, 'no stale value', [offer, gone, read('c', 1_301, 'a.1', OFFER)]);
    expectBreach(2, 'no stale value', [offer, gone, read('b', 301, 'a.1', OFFER)]);
  });

  test('what was taken away is not served as stale either, unless its process may not have heard of it', () => {
    const removed = invalidation('b', 150, 300, { domain: 'stale', mode: 'remove' });
    const late = read('c', 1_301, 'a.1', { ...OFFER, state: 'stale' });
    expectBreach(3, 'taken away', [offer, removed, late]);
    expect(rulesBroken(offer, removed, { ...late, beganAt: 1_299 })).toEqual([]);
    expect(rulesBroken(offer, removed, late, fault('signals-cut', 200, 900, 'c'))).toEqual([]);
  });

  test('memory is no excuse', () => {
    expectBreach(10, 'L1 trust', [offer, gone, read('c', 1_301, 'a.1', { ...OFFER, tier: 'l1' })]);
  });

  test('what is pending holds in its own process at once, elsewhere once it was carried out', () => {
    const kept = { ...gone, outcome: 'pending', carriedOutAt: 5_000 } as const;
    expectBreach(9, 'pending holds', [offer, kept, read('b', 301, 'a.1', OFFER)]);
    expect(rulesBroken(offer, kept, read('c', 5_999, 'a.1', OFFER))).toEqual([]);
    expectBreach(9, 'pending holds', [offer, kept, read('c', 6_001, 'a.1', OFFER)]);
  });

  test('no fault excuses it', () => {
    const faults = [
      fault('restart-snapshot', 200, 310),
      fault('store-away', 0, 900),
      fault('process-paused', 310, 700, 'c'),
    ];
    expectBreach(3, 'no stale value', [made, told, read('c', 320, 'a.1')], faults);
  });

  test('what was put by hand counts from its end', () => {
    expectBreach(3, 'no stale value', [put('a.1', 100, 149), told, read('c', 301, 'a.1')]);
    expect(rulesBroken(put('a.1', 100, 151), told, read('c', 301, 'a.1'))).toEqual([]);
  });

  test('a refresh is given what began after it', () => {
    const refresh = (at: number) => read('a', at, 'a.1', { via: 'refresh', state: 'loaded' });
    expectBreach(2, 'refresh is new', [made, refresh(110)]);
    expect(rulesBroken(load('a.1', 100, 200, { via: 'refresh' }), refresh(90))).toEqual([]);
  });
});

test('promise 4: nothing is older than the hard TTL', () => {
  const made = load('a.1', 100, 200);
  expectBreach(4, 'bounded age', [made, read('b', 4_101, 'a.1')]);
  expect(rulesBroken(made, read('b', 4_100, 'a.1'))).toEqual([]);
});

describe('promise 5: bounded wait', () => {
  test('a read ends within its budget', () => {
    expectBreach(5, 'bounded wait', [failure('a', 100, 2_106, 'CG_WAIT_TIMEOUT', KEY)]);
    expect(rulesBroken(failure('a', 100, 2_105, 'CG_WAIT_TIMEOUT', KEY))).toEqual([]);
    expect(
      rulesBroken(failure('a', 100, 2_500, 'CG_WAIT_TIMEOUT', KEY), fault('process-paused', 500, 1_000, 'a')),
    ).toEqual([]);
  });

  test('or its process died, or the history is over', () => {
    const { endedAt, outcome, ...open } = failure('a', 100, 0, '', KEY);
    expect([endedAt, outcome?.kind]).toEqual([0, 'error']);
    const later = failure('b', 2_990, 3_000, 'CG_WAIT_TIMEOUT', KEY);
    expect(rulesBroken(open)).toEqual([]);
    expect(rulesBroken(open, fault('process-killed', 150, 160, 'a'), later)).toEqual([]);
    expect(rulesBroken(open, later)).toEqual(['bounded wait']);
  });
});

describe('promise 9: with the store away', () => {
  const made = load('a.1', 100, 200, OFFER);
  const near = read('a', 300, 'a.1', { ...OFFER, tier: 'l1' });

  const local = { ...near.outcome!, state: 'stale' } as ReadOutcome;

  test('what was loaded meanwhile is served as long as the store is away', () => {
    const away = fault('store-away', 50, 9_000);
    const failed = failure('a', 3_000, 3_900);
    expect(rulesBroken(made, { ...near, outcome: local }, failed, away)).toEqual(['stale before failure']);
  });

  test('no failure reaches who has a permitted value in memory', () => {
    expectBreach(
      9,
      'stale before failure',
      [made, near, failure('a', 3_000, 3_900)],
      [failedLoad('a.2', 3_100, 3_900, OFFER)],
    );
  });

  test.each<[string, Operation[]]>([
    ['the window is over', [near, failure('a', 7_500, 8_200)]],
    ['it lay in the memory of another process', [{ ...near, process: 'b' }, failure('a', 3_000, 3_900)]],
    ['it was not in memory', [read('a', 300, 'a.1', { ...OFFER, tier: 'l2' }), failure('a', 3_000, 3_900)]],
    ['it was invalidated', [near, failure('a', 3_000, 3_900), invalidation('b', 400, 500, { domain: 'stale' })]],
    ['a store that answers knows better', [{ ...near, outcome: local }, failure('a', 3_000, 3_900)]],
    ['a newer one was loaded', [near, failure('a', 3_000, 3_900), load('b.1', 2_500, 2_600, OFFER)]],
    ['the source said no', [near, failure('a', 3_000, 3_900, 'NotFoundException')]],
  ])('no breach: %s', (_what, operations) => {
    expect(rulesBroken(made, ...operations)).toEqual([]);
  });

  test('where stale is never allowed, the failure is the answer', () => {
    const there = read('a', 300, 'a.1', { tier: 'l1' });
    const failed = failure('a', 3_000, 3_900, 'SOURCE_FAILED', KEY);
    expect(rulesBroken(load('a.1', 100, 200), there, failed)).toEqual([]);
  });

  describe('after an outage that everybody saw', () => {
    const outage = fault('store-away', 2_000, 4_000);
    const kept = invalidation('b', 3_000, 3_001, { domain: 'stale', outcome: 'pending', carriedOutAt: 5_000 });
    const [keeper, reader] = [read('b', 300, 'a.1', { ...OFFER, tier: 'l2' }), failure('c', 100, 110, 'x')];
    const seen = read('c', 4_500, 'a.1', { ...OFFER, tier: 'l2' });

    test('nothing from before is fresh while another process keeps an invalidation of it', () => {
      expectBreach(9, 'settling', [made, outage, kept, seen, keeper, reader]);
    });

    test.each<[string, Operation[]]>([
      ['it was carried out', [outage, { ...kept, carriedOutAt: 4_400 }, seen]],
      ['the reader was given it as stale', [outage, kept, { ...seen, outcome: local }]],
      ['the outage was too short to be noticed', [{ ...outage, beganAt: 2_999 + 10 }, kept, seen]],
      [
        'its process is not waited for any longer',
        [outage, { ...kept, carriedOutAt: 9_000 }, { ...seen, beganAt: 6_600, endedAt: 6_601 }],
      ],
      ['the reader slept through it', [outage, kept, seen, fault('process-paused', 1_500, 4_400, 'c')]],
    ])('no breach: %s', (_what, operations) => {
      expect(rulesBroken(made, keeper, reader, ...operations)).toEqual([]);
    });
  });

  test('loads stay within the bulkhead', () => {
    const [one, two, three] = [
      load('a.1', 0, 90, { key: '1' }),
      load('a.2', 10, 60, { key: '2' }),
      load('a.3', 50, 70, { key: '3' }),
    ];
    expectBreach(9, 'bulkhead', [one, two, three]);
    expect(rulesBroken(one, two, { ...three, beganAt: 60 })).toEqual([]);
    expect(rulesBroken(one, two, { ...three, process: 'b' })).toEqual([]);
    expect(rulesBroken(one, two, { ...three, via: 'write' })).toEqual([]);
  });
});

test('promise 10: memory is not fresh for long where no signal arrives', () => {
  const made = load('a.1', 100, 200, OFFER);
  const cut = fault('signals-cut', 300, 5_000, 'a');
  const near = read('a', 1_301, 'a.1', { ...OFFER, tier: 'l1' });
  expectBreach(10, 'channel trust', [made, cut, near]);
  expectBreach(10, 'channel trust', [made, fault('store-away', 300, 5_000), near]);
  expect(rulesBroken(made, cut, read('a', 1_299, 'a.1', { ...OFFER, tier: 'l1' }))).toEqual([]);
  expect(rulesBroken(made, cut, read('a', 1_301, 'a.1', { ...OFFER, tier: 'l1', state: 'stale' }))).toEqual([]);
  expect(rulesBroken(made, { ...cut, process: 'b' }, near)).toEqual([]);
});

describe('promise 11: monotonic versions', () => {
  const older = load('a.1', 0, 500, { revision: 1 });
  const newer = load('b.1', 510, 540, { revision: 2 });
  const first = read('a', 600, 'b.1', { revision: 2, tier: 'l2' });
  const back = read('c', 602, 'a.1', { revision: 1, tier: 'l2' });

  test('what was served from the cache does not go back', () => {
    expectBreach(11, 'monotonic versions', [older, newer, first, back]);
  });

  test.each<[string, Read, Read, Operation[]]>([
    ['the two reads overlap', first, { ...back, beganAt: 600.5 }, []],
    ['the newer one was never the cached one', read('a', 600, 'b.1', { revision: 2, state: 'uncached' }), back, []],
    ['the store lost its data between them', first, back, [fault('restart-empty', 600.5, 601.5)]],
  ])('no breach: %s', (_what, one, other, more) => {
    expect(rulesBroken(older, newer, one, other, ...more)).toEqual([]);
  });

  test('where stale is allowed, other processes have a second', () => {
    const far = (at: number, process: string) => read(process, at, 'a.1', { ...OFFER, revision: 1, tier: 'l1' });
    const all = [load('a.1', 0, 500, { ...OFFER, revision: 1 }), load('b.1', 510, 540, { ...OFFER, revision: 2 })];
    const seen = { ...first, ...OFFER };
    expect(rulesBroken(...all, seen, far(1_500, 'c'))).toEqual([]);
    expectBreach(11, 'monotonic versions', [...all, seen, far(1_602, 'c')]);
    expectBreach(11, 'monotonic versions', [...all, seen, far(602, 'a')]);
  });
});

test('a history survives being written and read', () => {
  const history = of([load('a.1', 0.5, 1.25), read('b', 2, 'a.1', { tier: 'l2' }), fault('store-away', 3, 4)]);
  expect(parse(serialise(history))).toEqual(history);
});

test('a breach is told by its operations, in their order', () => {
  const [breach] = check(of([load('b.1', 150, 250), load('a.1', 100, 200)])).breaches;
  expect(describeBreach(breach!)).toMatchInlineSnapshot(`
    "promise 1, one flight: b began to load never/k 50 ms after a had, which still did
         100.000 -    200.000  a      load a.1 of never/k (read): revision 1
         150.000 -    250.000  b      load b.1 of never/k (read): revision 1"
  `);
});

test('nines: no breach in a thousand reads is 99.9 %', () => {
  expect([0, 9, 10, 999, 1_000].map(nines)).toEqual([0, 0, 1, 2, 3]);
});

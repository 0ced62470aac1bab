import { describe, expect, it } from 'vitest';
import { decide, type Decision, type EntryView, type Found, type Doubt } from '../../../lib/core/decide.js';
import { FLAG, type Entry } from '../../../lib/core/entry.js';
import type { Drift } from '../../../lib/core/generations.js';
import type { StalePolicy } from '../../../lib/core/policy.js';
import { resolvePolicy } from '../../../lib/core/resolve-policy.js';
import { BEGAN, entryOf } from './fixtures.js';

const reader = (stalePolicy: StalePolicy) =>
  resolvePolicy('offers', {
    freshness: 'experience',
    stalePolicy,
    ...(stalePolicy === 'no-store' ? {} : { softTtl: '30s', hardTtl: '10m', negativeTtl: '10s' }),
    ...(stalePolicy === 'validate' ? { probe: () => Promise.resolve(1n) } : {}),
  });

/** In the order of the table's columns. */
const READERS = {
  never: reader('never'),
  'if-error': reader('if-error'),
  'while-revalidate': reader('while-revalidate'),
  windows: reader({ whileRevalidate: '1m', ifError: '5m' }),
  validate: reader('validate'),
  'no-store': reader('no-store'),
};

function view(change: Partial<Entry> = {}, drift: Drift = { kind: 'none' }, doubt?: Doubt): EntryView {
  return { entry: entryOf(change), drift, doubt };
}

/** `load:<cause>`, with `+old` when the entry may stand in for a failed load. */
function name(decision: Decision): string {
  switch (decision.kind) {
    case 'serve':
      return decision.stale ? 'stale' : 'fresh';
    case 'load':
      return `load:${decision.cause}${decision.fallbackUntilMs === undefined ? '' : '+old'}`;
    default:
      return decision.kind;
  }
}

const S = 1_000;
const expiredAt = (ageMs: number): Drift => ({ kind: 'expired', atMs: BEGAN + ageMs });
const marked = (ageMs: number): Partial<Entry> => ({ flags: FLAG.marked, softMs: BEGAN + ageMs });
const negative = { flags: FLAG.negative };
const pass = { flags: FLAG.hitForMiss, softMs: BEGAN, hardMs: BEGAN + 5 * S };
const tombstone = { flags: FLAG.removed, softMs: 0, hardMs: BEGAN + 600 * S };
const all = (outcome: string) => [outcome, outcome, outcome, outcome, outcome];
const lost: Drift = { kind: 'unknown' };
const none: Drift = { kind: 'none' };

/** [what was found, age in ms, outcome for never, if-error, while-revalidate, windows of 1 m and 5 m, validate] */
const TABLE: [string, Found, number, string[]][] = [
  ['nothing', undefined, 0, all('load:absent')],
  ['damaged bytes', 'corrupt', 0, all('load:corrupt')],
  ['another schema', 'schema', 0, all('load:schema')],
  ['a tombstone', view(tombstone), 10 * S, all('load:invalidated')],
  ['a tombstone, drifted', view(tombstone, expiredAt(5 * S)), 10 * S, all('load:invalidated')],
  ['a tombstone of another epoch', view(tombstone, none, 'epoch'), 10 * S, all('load:invalidated')],
  ['a removed generation', view({}, { kind: 'removed' }), 10 * S, all('load:invalidated')],
  ['stored in the future', view(), -1, all('load:future')],

  ['just begun', view(), 0, ['fresh', 'fresh', 'fresh', 'fresh', 'validate']],
  ['fresh', view(), 10 * S, ['fresh', 'fresh', 'fresh', 'fresh', 'validate']],
  ['fresh to the last', view(), 30 * S - 1, ['fresh', 'fresh', 'fresh', 'fresh', 'validate']],
  ['at the soft TTL', view(), 30 * S, ['load:expired', 'load:expired+old', 'stale', 'stale', 'validate']],
  ['the swr window’s last', view(), 90 * S - 1, ['load:expired', 'load:expired+old', 'stale', 'stale', 'validate']],
  [
    'past the swr window',
    view(),
    90 * S,
    ['load:expired', 'load:expired+old', 'stale', 'load:expired+old', 'validate'],
  ],
  [
    'the sie window’s last',
    view(),
    330 * S - 1,
    ['load:expired', 'load:expired+old', 'stale', 'load:expired+old', 'validate'],
  ],
  ['past both windows', view(), 330 * S, ['load:expired', 'load:expired+old', 'stale', 'load:expired', 'validate']],
  [
    'the hard TTL’s last',
    view(),
    600 * S - 1,
    ['load:expired', 'load:expired+old', 'stale', 'load:expired', 'validate'],
  ],
  ['at the hard TTL', view(), 600 * S, all('load:expired')],
  ['long past it', view(), 9_000 * S, all('load:expired')],
  ['hard expiry of the entry', view({ hardMs: BEGAN + 40 * S }), 40 * S, all('load:expired')],
  ['hard TTL of the policy', view({ softMs: BEGAN + 1e9, hardMs: BEGAN + 1e9 }), 600 * S, all('load:expired')],

  [
    'marked',
    view(marked(5 * S)),
    10 * S,
    ['load:invalidated', 'load:invalidated+old', 'stale', 'stale', 'load:invalidated'],
  ],
  [
    'marked, past swr',
    view(marked(5 * S)),
    65 * S,
    ['load:invalidated', 'load:invalidated+old', 'stale', 'load:invalidated+old', 'load:invalidated'],
  ],
  [
    'marked, past both',
    view(marked(5 * S)),
    305 * S,
    ['load:invalidated', 'load:invalidated+old', 'stale', 'load:invalidated', 'load:invalidated'],
  ],
  ['marked, hard-expired', view(marked(5 * S)), 600 * S, all('load:expired')],
  [
    'marked ahead of the clock',
    view(marked(20 * S)),
    10 * S,
    ['load:invalidated', 'load:invalidated+old', 'stale', 'stale', 'load:invalidated'],
  ],

  [
    'drifted',
    view({}, expiredAt(5 * S)),
    10 * S,
    ['load:invalidated', 'load:invalidated+old', 'stale', 'stale', 'load:invalidated'],
  ],
  [
    'drifted, past swr',
    view({}, expiredAt(5 * S)),
    65 * S,
    ['load:invalidated', 'load:invalidated+old', 'stale', 'load:invalidated+old', 'load:invalidated'],
  ],
  [
    'drifted, past both',
    view({}, expiredAt(5 * S)),
    305 * S,
    ['load:invalidated', 'load:invalidated+old', 'stale', 'load:invalidated', 'load:invalidated'],
  ],
  [
    'drifted when stale already',
    view({}, expiredAt(60 * S)),
    89 * S,
    ['load:invalidated', 'load:invalidated+old', 'stale', 'stale', 'load:invalidated'],
  ],
  [
    'drifted ahead of the clock',
    view({}, expiredAt(20 * S)),
    10 * S,
    ['load:invalidated', 'load:invalidated+old', 'stale', 'stale', 'load:invalidated'],
  ],

  [
    'a lost generation',
    view({}, lost),
    10 * S,
    ['load:generation-lost', 'load:generation-lost+old', 'stale', 'stale', 'load:generation-lost'],
  ],
  [
    'a lost generation, past swr',
    view({}, lost),
    90 * S,
    ['load:generation-lost', 'load:generation-lost+old', 'stale', 'load:generation-lost+old', 'load:generation-lost'],
  ],
  [
    'a lost generation, past both',
    view({}, lost),
    330 * S,
    ['load:generation-lost', 'load:generation-lost+old', 'stale', 'load:generation-lost', 'load:generation-lost'],
  ],

  ['another epoch', view({}, none, 'epoch'), 10 * S, ['load:epoch', 'load:epoch+old', 'stale', 'stale', 'load:epoch']],
  [
    'another epoch, past swr',
    view({}, none, 'epoch'),
    90 * S,
    ['load:epoch', 'load:epoch+old', 'stale', 'load:epoch+old', 'load:epoch'],
  ],
  [
    'another epoch, past both',
    view({}, none, 'epoch'),
    330 * S,
    ['load:epoch', 'load:epoch+old', 'stale', 'load:epoch', 'load:epoch'],
  ],
  ['another epoch, hard-expired', view({}, none, 'epoch'), 600 * S, all('load:expired')],
  [
    'another epoch and a lost generation',
    view({}, lost, 'epoch'),
    10 * S,
    ['load:epoch', 'load:epoch+old', 'stale', 'stale', 'load:epoch'],
  ],
  [
    'another epoch, invalidated long ago',
    view({}, expiredAt(5 * S), 'epoch'),
    305 * S,
    ['load:epoch', 'load:epoch+old', 'stale', 'load:epoch', 'load:epoch'],
  ],

  ['an absence', view(negative), 10 * S - 1, ['fresh', 'fresh', 'fresh', 'fresh', 'validate']],
  ['an absence past its TTL', view(negative), 10 * S, all('load:expired')],

  ['a hit-for-miss mark', view(pass), 5 * S - 1, all('pass')],
  ['a hit-for-miss mark that ended', view(pass), 5 * S, all('load:absent')],
  ['a hit-for-miss mark, drifted', view(pass, expiredAt(0)), S, all('load:absent')],
  ['a hit-for-miss mark, marked', view({ ...pass, flags: FLAG.hitForMiss | FLAG.marked }), S, all('load:absent')],
  ['a hit-for-miss mark, generation lost', view(pass, lost), S, all('load:absent')],
  ['a hit-for-miss mark of another epoch', view(pass, none, 'epoch'), S, all('load:absent')],
];

const until = (policy: keyof typeof READERS, found: Found, ageMs: number) => {
  const decision = decide(found, READERS[policy], BEGAN + ageMs);
  return decision.kind === 'load' && decision.fallbackUntilMs !== undefined
    ? decision.fallbackUntilMs - BEGAN
    : undefined;
};

describe('decide', () => {
  const rows = TABLE.flatMap(([found, what, ageMs, outcomes]) =>
    Object.entries(READERS).map(
      ([policy, of], i) => [found, policy, outcomes[i] ?? 'load:no-store', what, of, ageMs] as const,
    ),
  );

  it.each(rows)('%s, for %s: %s', (_, __, outcome, found, policy, ageMs) => {
    expect(name(decide(found, policy, BEGAN + ageMs))).toBe(outcome);
  });

  it('says how old and how stale', () => {
    const swr = READERS['while-revalidate'];
    expect(decide(view(), swr, BEGAN + 10 * S)).toEqual({
      kind: 'serve',
      stale: false,
      refresh: false,
      ageMs: 10 * S,
      staleMs: 0,
    });
    expect(decide(view(), swr, BEGAN + 40 * S)).toEqual({
      kind: 'serve',
      stale: true,
      refresh: true,
      ageMs: 40 * S,
      staleMs: 10 * S,
    });
    expect(decide(view({}, expiredAt(5 * S)), swr, BEGAN + 40 * S)).toMatchObject({ ageMs: 40 * S, staleMs: 35 * S });
    expect(decide(view(), READERS.validate, BEGAN + 40 * S)).toEqual({ kind: 'validate', ageMs: 40 * S });
  });

  it('says until when the old value may stand in', () => {
    expect(until('if-error', view(), 40 * S)).toBe(600 * S);
    expect(until('windows', view(), 100 * S)).toBe(330 * S);
    expect(until('windows', view({}, expiredAt(5 * S)), 100 * S)).toBe(305 * S);
    expect(until('if-error', view({ hardMs: BEGAN + 60 * S }), 40 * S)).toBe(60 * S);
    expect(until('if-error', view({ ifErrorMs: 20 * S }), 40 * S)).toBe(50 * S);
    expect(until('never', view(), 40 * S)).toBeUndefined();
  });

  it('takes the stricter of what the writer and the reader allow', () => {
    const swr = READERS['while-revalidate'];
    const at = (found: Found, ageMs: number, policy = swr) => name(decide(found, policy, BEGAN + ageMs));
    expect(at(view({ softMs: BEGAN + 5 * S }), 10 * S)).toBe('stale');
    expect(at(view({ softMs: BEGAN + 1e6 }), 30 * S)).toBe('stale');
    expect(at(view({ whileRevalidateMs: 0, ifErrorMs: 20 * S }), 40 * S)).toBe('load:expired+old');
    expect(at(view({ whileRevalidateMs: 0, ifErrorMs: 0 }), 40 * S)).toBe('load:expired');
    expect(at(view(negative), 5 * S, resolvePolicy('offers', { freshness: 'critical' }))).toBe('load:expired');
  });
});

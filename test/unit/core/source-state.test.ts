import { describe, expect, it } from 'vitest';
import { resolvePolicy } from '../../../lib/core/resolve-policy.js';
import { fallbackOf, lagNote, lagOf, sourceState } from '../../../lib/core/source-state.js';

describe('a note', () => {
  it.each([0, 1, 12.4, 999_999, -5, 1e300])('tells a lag of %d', (lagMs) => {
    expect(lagOf(lagNote(lagMs, 'process.1'))).toBe(Math.min(Math.max(0, Math.ceil(lagMs)), 1e15 - 1));
  });

  it.each([undefined, '', '@', 'x@y', '-1@y', '1', ' 1@y', '1e9@y', `${'9'.repeat(16)}@y`])('is none: %o', (text) => {
    expect(lagOf(text)).toBeUndefined();
  });
});

describe('the state of a source', () => {
  it.each([
    [{ heardMs: undefined, lagMs: 0, gap: false }, 'silent'],
    [{ heardMs: 0, lagMs: 0, gap: false }, 'live'],
    [{ heardMs: 2_999, lagMs: 500, gap: false }, 'live'],
    [{ heardMs: 3_000, lagMs: 0, gap: false }, 'silent'],
    [{ heardMs: 0, lagMs: 501, gap: false }, 'lagging'],
    [{ heardMs: 0, lagMs: 0, gap: true }, 'lagging'],
    [{ heardMs: 3_000, lagMs: 501, gap: true }, 'silent'],
  ] as const)('of %o is %s', (facts, state) => {
    expect(sourceState(facts, 500)).toBe(state);
  });
});

describe('the fallback of a policy', () => {
  const freshBy = { source: 'ledger', fallbackTtl: '10s' } as const;

  it('shortens what rests on the source, and nothing else', () => {
    const policy = resolvePolicy('quotes', { freshness: 'reference', softTtl: '10m', negativeTtl: '1m', freshBy });
    expect(fallbackOf(policy)).toEqual({ ...policy, softTtlMs: 10_000, negativeTtlMs: 10_000 });
  });

  it('lengthens nothing, and keeps no absence that is not kept', () => {
    const config = { freshness: 'reference', negativeTtl: 'off', freshBy } as const;
    const narrow = resolvePolicy('quotes', config, { softTtl: '5s' });
    expect(fallbackOf(narrow)).toMatchObject({ softTtlMs: 5_000, negativeTtlMs: undefined });
  });
});

import { expect, it } from 'vitest';
import { resolvePolicy } from '../../../lib/core/resolve-policy.js';
import { merged, type WantedKey } from '../../../lib/engine/events/wanted.js';

const wanted = (refresh: WantedKey['refresh']): WantedKey => ({
  scope: 'key',
  policy: resolvePolicy('offers', { freshness: 'reference' }),
  key: 'offers:::s.gold',
  name: undefined,
  keyInput: 'gold',
  invalidate: undefined,
  update: undefined,
  refresh,
});

it('a refresh stays wanted in a burst, with the latest arguments that are known', () => {
  const [unknown, early, late] = [{ args: undefined }, { args: ['early'] }, { args: ['late'] }];
  for (const [one, other, expected] of [
    [undefined, unknown, unknown],
    [unknown, undefined, unknown],
    [early, undefined, early],
    [early, unknown, early],
    [unknown, late, late],
    [early, late, late],
    [undefined, undefined, undefined],
  ] as const) {
    expect(merged(wanted(one), wanted(other))).toMatchObject({ refresh: expected });
  }
});

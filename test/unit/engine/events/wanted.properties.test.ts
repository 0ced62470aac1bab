import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InvalidationMode } from '../../../../lib/core/events.js';
import { resolvePolicy } from '../../../../lib/core/resolve-policy.js';
import { merged, targetOf, type Wanted, type WantedKey } from '../../../../lib/engine/events/wanted.js';

const policy = resolvePolicy('offers', { freshness: 'experience' });
const of = { scope: 'key', policy, key: 'offers:d::s.gold', name: undefined, keyInput: 'gold' } as const;

const MODES = ['expire', 'remove', 'purge'] as const;
const mode = fc.constantFrom<InvalidationMode>(...MODES);
const version = fc.bigInt({ min: 0n, max: 4n });

const invalidation = fc
  .record({ mode, version: fc.option(version, { nil: undefined }), refresh: fc.boolean() })
  .map(({ mode: how, version: known, refresh }): WantedKey => ({
    ...of,
    invalidate: { mode: how, always: known === undefined, version: known },
    update: undefined,
    refresh: refresh ? { args: undefined } : undefined,
  }));
/** The value of a version is the source's at that version. */
const update = version.map((known): WantedKey => ({
  ...of,
  invalidate: undefined,
  update: { value: `value ${known}`, version: known },
  refresh: undefined,
}));
const wanted = fc.oneof(invalidation, update);

/** What is cached of a key, as the store keeps it. */
interface State {
  readonly version: bigint;
  readonly state: 'fresh' | 'stale' | 'gone';
  /** Loads that give less are not cached. */
  readonly floor: bigint;
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);

function invalidated(cached: State, how: InvalidationMode, floor: bigint): State {
  const state = cached.state === 'gone' || how !== 'expire' ? 'gone' : 'stale';
  return { ...cached, state, floor: max(cached.floor, floor) };
}

/** What the actions do about it, in the model. */
function after(cached: State, { invalidate, update: put }: WantedKey): State {
  let now = cached;
  if (invalidate?.always) now = invalidated(now, invalidate.mode, 0n);
  const known = invalidate?.version;
  if (known !== undefined && !(now.state !== 'gone' && now.version >= known))
    now = invalidated(now, invalidate!.mode, known);
  if (put && put.version >= now.floor && (now.state === 'gone' || put.version >= now.version)) {
    now = { version: put.version, state: 'fresh', floor: put.version };
  }
  return now;
}

const cached = fc
  .record({ version, state: fc.constantFrom<State['state']>('fresh', 'stale', 'gone') })
  .map((given): State => ({ ...given, floor: given.version }));

describe('what two events want of one key', () => {
  it('leaves, merged, what one after the other would leave, or nothing that is fresh', () => {
    let same = 0;
    fc.assert(
      fc.property(cached, fc.array(wanted, { minLength: 2, maxLength: 6 }), (before, burst) => {
        const one = burst.reduce(after, before);
        const together = after(before, burst.reduce((a, b) => merged(a, b) as WantedKey)); // prettier-ignore
        if (together.state === 'fresh') expect([together.version, one.state]).toEqual([one.version, 'fresh']);
        // Whatever would be refused one after the other is refused.
        expect(together.floor >= one.floor).toBe(true);
        if (together.state === one.state) same++;
      }),
      { numRuns: 5_000 },
    );
    expect(same).toBeGreaterThan(2_500);
  });

  it('is the same in which order it is merged, pair by pair', () => {
    fc.assert(
      fc.property(wanted, wanted, wanted, (a, b, c) => {
        expect(merged(merged(a, b), c)).toEqual(merged(a, merged(b, c)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('is the same twice', () => {
    fc.assert(
      fc.property(wanted, (one) => {
        expect(merged(one, one)).toEqual(one);
      }),
    );
  });

  it('keeps the newest value, and knows what it was newer than where it must go', () => {
    const put = (known: bigint): WantedKey => ({ ...of, invalidate: undefined, update: { value: known, version: known }, refresh: undefined }); // prettier-ignore
    expect(merged(put(2n), put(1n))).toMatchObject({ update: { version: 2n } });
    expect(merged(put(1n), put(2n))).toMatchObject({ update: { version: 2n } });
    const always: WantedKey = {
      ...of,
      invalidate: { mode: 'expire', always: true, version: undefined },
      update: undefined,
      refresh: undefined,
    };
    for (const both of [merged(put(2n), always), merged(always, put(2n))]) {
      expect(both).toMatchObject({ invalidate: { always: true, version: 2n }, update: undefined });
    }
  });

  it('is loaded again if one of them wants that, with the arguments that are known', () => {
    const refresh = (args?: unknown[]): WantedKey => ({
      ...of,
      invalidate: { mode: 'expire', always: false, version: 1n },
      update: undefined,
      refresh: { args },
    });
    const plain = { ...refresh(), refresh: undefined };
    expect(merged(refresh(), plain)).toMatchObject({ refresh: { args: undefined } });
    expect(merged(plain, refresh(['gold']))).toMatchObject({ refresh: { args: ['gold'] } });
    expect(merged(refresh(['gold']), refresh())).toMatchObject({ refresh: { args: ['gold'] } });
    expect(merged(plain, plain)).toMatchObject({ refresh: undefined });
  });
});

describe('what two events want of a tag or a domain', () => {
  const tag = (how: InvalidationMode): Wanted => ({ scope: 'tag', policy, generation: 't:offers:s.a', mode: how });

  it('is the stricter of the two', () => {
    for (const [i, a] of MODES.entries()) {
      for (const [j, b] of MODES.entries()) {
        expect(merged(tag(a), tag(b))).toMatchObject({ scope: 'tag', mode: MODES[Math.max(i, j)] });
      }
    }
  });

  it('is no target of a key', () => {
    const domain: Wanted = { scope: 'domain', policy, generation: 'd:offers', mode: 'remove' };
    const key: WantedKey = { ...of, key: 'd:offers', invalidate: undefined, update: undefined, refresh: undefined };
    expect(new Set([tag('remove'), domain, key].map(targetOf)).size).toBe(3);
  });
});

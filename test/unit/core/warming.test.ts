import { describe, expect, it } from 'vitest';
import { CacheGuardConfigError } from '../../../lib/core/errors.js';
import { readWarming, type WarmingOptions } from '../../../lib/core/warming.js';

const load = async (): Promise<number> => 1;
const host = { find: load };
const keyed = { name: 'boot', domain: 'offers', keys: ['gold'], load };
const called = { name: 'boot', domain: 'offers', host, method: 'find', args: [['gold']] };
const { keys, ...pace } = { ...keyed, load: undefined };
const tiered = { name: 'boot', domain: 'offers', tiers: [{ keys, load }] };

describe('the options of a warming', () => {
  it.each([keyed, called, tiered])('have defaults: %o', (given) => {
    expect(readWarming(given as WarmingOptions)).toMatchObject({
      name: 'boot',
      domain: 'offers',
      concurrency: 4,
      spread: 0.3,
      restMs: 0,
      tiers: [{}],
    });
  });

  it.each([
    { keys: new Set(['gold']) },
    { keys: ['gold'].values() },
    { keys: (async function* () {})() },
    { keys: () => [], tags: () => [], space: 'Offers.find' },
    { concurrency: 1_000, spread: 0, rest: '10m', signal: AbortSignal.abort(), onProgress: () => {} },
  ])('may be %o', (given) => {
    expect(() => readWarming({ ...keyed, ...given } as WarmingOptions)).not.toThrow();
  });

  const refusals: readonly (readonly [field: string, given: unknown])[] = [
    ['options', undefined],
    ['options', []],
    ['name', { ...keyed, name: undefined }],
    ['name', { ...keyed, name: 'a b' }],
    ['domain', { ...keyed, domain: 1 }],
    ['concurrency', { ...keyed, concurrency: 0 }],
    ['concurrency', { ...keyed, concurrency: 1.5 }],
    ['concurrency', { ...keyed, concurrency: 1_001 }],
    ['spread', { ...keyed, spread: 0.6 }],
    ['spread', { ...keyed, spread: Number.NaN }],
    ['spread', { ...keyed, spread: '10%' }],
    ['rest', { ...keyed, rest: 'long' }],
    ['signal', { ...keyed, signal: {} }],
    ['onProgress', { ...keyed, onProgress: true }],
    ['keys', { ...pace, load }],
    ['keys', { ...keyed, keys: 'gold' }],
    ['keys', { ...keyed, keys: 7 }],
    ['load', { ...keyed, load: undefined }],
    ['tags', { ...keyed, tags: ['gold'] }],
    ['space', { ...keyed, space: 1 }],
    ['every', { ...keyed, every: '1m' }],
    ['host', { ...called, host: null }],
    ['method', { ...called, method: 'search' }],
    ['method', { ...called, method: load }],
    ['args', { ...called, args: undefined }],
    ['keys', { ...called, keys: [] }],
    ['tiers', { ...tiered, tiers: [] }],
    ['tiers', { ...tiered, tiers: {} }],
    ['keys', { ...tiered, keys: [] }],
    ['tiers[0]', { ...tiered, tiers: [null] }],
    ['tiers[0].load', { ...tiered, tiers: [{ keys }] }],
    [
      'tiers[1].name',
      {
        ...tiered,
        tiers: [
          { keys, load },
          { keys, load, name: 'x' },
        ],
      },
    ],
    ['tiers[0].keys', { ...tiered, tiers: [{ keys, load, host: 1 }] }],
  ];

  it.each(refusals)('are refused at %s: %o', (field, given) => {
    let thrown: unknown;
    try {
      readWarming(given as WarmingOptions);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(CacheGuardConfigError);
    const { code, message, field: named } = thrown as CacheGuardConfigError;
    expect(code).toBe('CG_INVALID_OPTIONS');
    expect(message).toMatch(/^Warming.* is refused; .+\.$/);
    expect(named).toBe(`warming.${field}`);
  });

  it('shows no keys in a refusal', () => {
    expect(() => readWarming({ ...keyed, keys: 'customer-4711' })).toThrow(/keys = 'string' is refused/);
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jittered } from '../../../lib/core/jitter.js';

describe('jittered', () => {
  it.each([
    [1_000, 0.1, 0, 1_000],
    [1_000, 0.1, 0.5, 950],
    [1_000, 0, 0.99, 1_000],
    [1_000, 0.5, 0.999, 500],
    [1, 0.5, 0.9, 1],
    [0, 0.5, 0.9, 0],
  ])('%d ms, share %d, random %d: %d ms', (ttlMs, share, random, ms) => {
    expect(jittered(ttlMs, share, random)).toBe(ms);
  });

  const share = fc.double({ min: 0, max: 0.5, noNaN: true });
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

  it('only ever shortens, by the share at most, and leaves something', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 32 }), share, random, (ttlMs, part, drawn) => {
        const ms = jittered(ttlMs, part, drawn);
        expect(Number.isInteger(ms)).toBe(true);
        expect(ms).toBeLessThanOrEqual(ttlMs);
        expect(ms).toBeGreaterThanOrEqual(Math.max(1, Math.floor(ttlMs * (1 - part))));
      }),
    );
  });
});

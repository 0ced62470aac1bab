import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compareWithSource,
  isStillOld,
  keptVersionOf,
  readVersions,
  type KeptVersion,
  type SourceVersion,
} from '../../../lib/core/drift.js';
import { encodeEntry, FLAG } from '../../../lib/core/entry.js';
import { MAX_VERSION } from '../../../lib/core/version.js';
import { BEGAN, entryOf } from './fixtures.js';

const kept = (change: Partial<KeptVersion> = {}): KeptVersion => ({
  id: 'a',
  beganMs: BEGAN,
  version: undefined,
  etag: undefined,
  stamps: [],
  negative: false,
  ...change,
});

describe('what is cached beside what the source says', () => {
  it.each<[cached: string, Partial<KeptVersion>, says: SourceVersion, is: string]>([
    ['a value of version 7', { version: 7n }, 7n, 'current'],
    ['a value of version 7', { version: 7n }, 8n, 'drifted'],
    ['a value of version 7', { version: 7n }, 6n, 'current'],
    ['a value of version 7', { version: 7n }, 'etag', 'unknown'],
    ['a value of version 7', { version: 7n }, undefined, 'drifted'],
    ['a value with an etag', { etag: 'a' }, 'a', 'current'],
    ['a value with an etag', { etag: 'a' }, 'b', 'drifted'],
    ['a value with an empty etag', { etag: '' }, '', 'current'],
    ['a value with an empty etag', { etag: '' }, 'b', 'drifted'],
    ['a value with an etag', { etag: 'a' }, 7n, 'unknown'],
    ['a value with an etag', { etag: 'a' }, undefined, 'drifted'],
    ['a value without a version', {}, 7n, 'unknown'],
    ['a value without a version', {}, 'a', 'unknown'],
    ['a value without a version', {}, undefined, 'drifted'],
    ['an absence', { negative: true }, undefined, 'current'],
    ['an absence', { negative: true }, 7n, 'drifted'],
    ['an absence', { negative: true }, 'a', 'drifted'],
    ['an absence of version 7', { negative: true, version: 7n }, undefined, 'current'],
    ['an absence of version 7', { negative: true, version: 7n }, 8n, 'drifted'],
    ['what the policy calls absent at version 7', { negative: true, version: 7n }, 7n, 'current'],
    ['what the policy calls absent, with an etag', { negative: true, etag: 'a' }, 'a', 'current'],
    ['an absence of version 7', { negative: true, version: 7n }, 'a', 'drifted'],
  ])('%s (%o), asked for: %s: it is %s', (_, cached, says, is) => {
    expect(compareWithSource(kept(cached), says)).toBe(is);
  });

  it('of versions, exactly the older ones have drifted', () => {
    const version = fc.bigInt({ min: 0n, max: MAX_VERSION });
    fc.assert(
      fc.property(version, version, fc.boolean(), (cached, says, negative) => {
        expect(compareWithSource(kept({ version: cached, negative }), says)).toBe(
          cached < says ? 'drifted' : 'current',
        );
      }),
    );
  });
});

describe('what is cached by the time of the repair', () => {
  const compared = kept({ version: 1n });
  it.each<[string, Partial<KeptVersion>, SourceVersion, boolean]>([
    ['is the same', { version: 1n }, 5n, true],
    ['is as new as the answer', { id: 'b', version: 5n }, 5n, false],
    ['is newer', { id: 'b', version: 6n }, 5n, false],
    ['is newer than what was compared, and still old', { id: 'b', version: 4n, beganMs: BEGAN + 10 }, 5n, true],
    ['has the etag of the answer', { id: 'b', etag: 'b' }, 'b', false],
    ['has another etag, from before the question', { id: 'b', etag: 'c', beganMs: BEGAN + 4 }, 'b', true],
    ['has another etag, from after the question', { id: 'b', etag: 'c', beganMs: BEGAN + 5 }, 'b', false],
    ['is an absence from after the question', { id: 'b', negative: true, beganMs: BEGAN + 5 }, 5n, false],
    ['is an absence from before the question', { id: 'b', negative: true }, 5n, true],
    ['was created after the question', { id: 'b', version: 1n, beganMs: BEGAN + 5 }, undefined, false],
  ])('%s', (_, now, says, old) => {
    expect(isStillOld(kept(now), compared, says, BEGAN + 5)).toBe(old);
  });
});

describe('an entry', () => {
  it('is reduced to what is compared', () => {
    const stamps = [{ name: 'd:offers', value: 7 }];
    const bytes = encodeEntry(entryOf({ version: 7n, etag: 'a', stamps, flags: FLAG.negative }));
    expect(keptVersionOf(bytes)).toEqual({
      ...kept({ version: 7n, etag: 'a', stamps, negative: true }),
      id: entryOf().id,
    });
  });

  it.each([FLAG.hitForMiss, FLAG.removed, FLAG.marked])('with flag %i is not taken for current anyway', (flag) => {
    expect(keptVersionOf(encodeEntry(entryOf({ version: 7n, flags: flag })))).toBeUndefined();
  });

  it.each([undefined, Buffer.alloc(0), Buffer.from('what somebody else wrote')])('is not in %o', (bytes) => {
    expect(keptVersionOf(bytes)).toBeUndefined();
  });
});

describe('an answer', () => {
  it('is taken as it is, in a list of its own', () => {
    const given = [7n, 'a', '', undefined, MAX_VERSION, 0n];
    const read = readVersions(given, 6);
    expect(read).toEqual(given);
    expect(read).not.toBe(given);
    expect(readVersions([], 0)).toEqual([]);
  });

  it.each<[unknown, number, RegExp]>([
    [undefined, 1, /gave undefined; give a list/],
    [{ length: 1, 0: 1n }, 1, /give a list/],
    [[1n], 2, /gave 1 versions for 2 keys/],
    [[1n, 2n, 3n], 2, /gave 3 versions for 2 keys/],
    [[1n, 2], 2, /gave 2 at place 1/],
    [[null], 1, /gave null at place 0/],
    [[-1n], 1, /gave -1n at place 0/],
    [[MAX_VERSION + 1n], 1, /give a bigint from 0 to 2\^64 - 1/],
    [[NaN, 1n], 2, /gave NaN at place 0/],
  ])('%o for %i keys is refused', (given, count, wrong) => {
    expect(readVersions(given, count)).toEqual({ wrong: expect.stringMatching(wrong) as string });
  });

  it('with a hole in it has an undefined there', () => {
    // eslint-disable-next-line no-sparse-arrays
    expect(readVersions([1n, , 2n], 3)).toEqual([1n, undefined, 2n]);
  });
});

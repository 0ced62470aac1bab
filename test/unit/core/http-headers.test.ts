import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FLAG } from '../../../lib/core/entry.js';
import { asksForSource, cacheControlOf, lifetimeOf } from '../../../lib/core/http/cache-control.js';
import { appendMember, formatCacheStatus, forwardOf, type CacheStatus } from '../../../lib/core/http/cache-status.js';
import { isNotModified, strongETag } from '../../../lib/core/http/conditional.js';
import { appendVary, readCookies } from '../../../lib/core/http/vary.js';
import { entryOf } from './fixtures.js';
import { resolve } from './policies.js';

describe('If-None-Match (RFC 9110, 8.8.3 and 13.1.2)', () => {
  it.each([
    ['the same strong tag', '"a"', '"a"', true],
    ['another tag', '"b"', '"a"', false],
    ['a weak tag: compared weakly', 'W/"a"', '"a"', true],
    ['a weak tag of ours: compared weakly', '"a"', 'W/"a"', true],
    ['two weak ones', 'W/"a"', 'W/"a"', true],
    ['the same letters in another case', '"A"', '"a"', false],
    ['any', '*', '"a"', true],
    ['any, with blanks', ' * ', '"a"', true],
    ['any, where there is no tag', '*', undefined, true],
    ['a tag, where there is none', '"a"', undefined, false],
    ['a list', '"x", "y", "a"', '"a"', true],
    ['a list without blanks', '"x","a"', '"a"', true],
    ['a list without it', '"x", W/"y"', '"a"', false],
    ['a list with empty members', ', "x",, "a",', '"a"', true],
    ['a tag with a comma', '"a,b"', '"a,b"', true],
    ['a comma within a tag is no border', '"x,", "a"', '"a"', true],
    ['an empty tag', '""', '""', true],
    ['any within a list: invalid', '*, "a"', '"a"', false],
    ['no quotes: invalid', 'a', '"a"', false],
    ['one quote: invalid', '"a', '"a"', false],
    ['a small w: invalid', 'w/"a"', '"a"', false],
    ['a blank behind W/: invalid', 'W/ "a"', '"a"', false],
    ['a blank in a tag: invalid', '"a b", "a"', '"a"', false],
    ['no comma between: invalid', '"x" "a"', '"a"', false],
    ['something behind it: invalid', '"a" x', '"a"', false],
    ['an empty field', '', '"a"', false],
    ['commas alone', ', ,', '"a"', false],
    ['none', undefined, '"a"', false],
  ])('%s', (_what, field, etag, expected) => {
    expect(isNotModified(field, etag)).toBe(expected);
  });

  it('is read in linear time and never throws', () => {
    fc.assert(fc.property(fc.string(), (field) => typeof isNotModified(field, '"a"') === 'boolean'));
    const started = process.cpuUsage().user;
    isNotModified('"a",'.repeat(50_000), '"b"');
    isNotModified(`"${'a'.repeat(100_000)}`, '"b"');
    expect(process.cpuUsage().user - started).toBeLessThan(2_000_000);
  });

  it('a tag of ours is strong, valid, and differs with every byte', () => {
    const tags = ['', 'a', 'b', 'ä', Buffer.from([0xff])].map((body) => strongETag(body));
    expect(new Set(tags).size).toBe(5);
    for (const tag of tags) expect(tag).toMatch(/^"[\w-]{27}"$/);
    expect(strongETag('ä')).toBe(strongETag(Buffer.from('ä')));
  });
});

const ages = 1_000_000_000;
const entry = (made: object = {}) =>
  entryOf({ beganMs: 0, softMs: ages, hardMs: ages, whileRevalidateMs: ages, ifErrorMs: ages, ...made });

describe('Cache-Control (RFC 9111, RFC 5861)', () => {
  const control = (config: object, shared = true, made: object = {}, nowMs = 1_000, staleMs?: number) => {
    const policy = resolve(config);
    const kept = entry(made);
    return cacheControlOf(policy, kept, lifetimeOf(policy, kept, nowMs, staleMs), shared);
  };
  const swr = { freshness: 'experience', softTtl: '30s', hardTtl: '10m' };

  it.each([
    ['while-revalidate', swr, 'public, max-age=30, stale-while-revalidate=90, stale-if-error=570'],
    ['if-error', { ...swr, stalePolicy: 'if-error' }, 'public, max-age=30, stale-if-error=570'],
    [
      'windows',
      { ...swr, stalePolicy: { whileRevalidate: '5s' } },
      'public, max-age=30, stale-while-revalidate=5, stale-if-error=5',
    ],
    ['never', { ...swr, stalePolicy: 'never' }, 'public, max-age=30, must-revalidate'],
    [
      'fractions are rounded down',
      { ...swr, softTtl: 1_999, stalePolicy: 'never' },
      'public, max-age=1, must-revalidate',
    ],
    ['less than a second', { ...swr, softTtl: 500, stalePolicy: 'never' }, 'public, max-age=0, must-revalidate'],
    ['validate', { ...swr, stalePolicy: 'validate', probe: async () => 1n }, 'public, no-cache'],
    ['no-store', { freshness: 'experience', stalePolicy: 'no-store' }, 'no-store'],
    ['critical', { freshness: 'critical' }, 'no-store'],
  ])('%s', (_what, config, expected) => {
    expect(control(config)).toBe(expected);
  });

  it('is private where not everybody may have it', () => {
    expect(control(swr, false)).toBe('private, max-age=30, stale-while-revalidate=90, stale-if-error=570');
  });

  it('goes by what the entry has, where that is stricter', () => {
    const made = { softMs: 10_000, whileRevalidateMs: 3_000, ifErrorMs: 0 };
    expect(control(swr, true, made)).toBe('public, max-age=10, stale-while-revalidate=3');
  });

  it('an invalidation has ended the freshness: whoever kept it for longer is told so', () => {
    const policy = resolve(swr);
    const kept = entry();
    // Invalidated 2 s ago, at an age of 5 s.
    expect(lifetimeOf(policy, kept, 7_000, 2_000)).toMatchObject({ ageMs: 7_000, freshMs: 5_000 });
    expect(lifetimeOf(policy, kept, 40_000, 10_000)).toMatchObject({ ageMs: 40_000, freshMs: 30_000 });
    expect(lifetimeOf(policy, kept, -5, undefined)).toMatchObject({ ageMs: 0, freshMs: 30_000 });
    // Nobody knows since when: from now on it is not fresh.
    expect(lifetimeOf(policy, kept, 7_000, 0)).toMatchObject({ ageMs: 7_000, freshMs: 7_000 });
  });

  it('nothing is kept of an exception, or of what nothing vouches for', () => {
    expect(control(swr, true, { flags: FLAG.thrown | FLAG.negative })).toBe('no-store');
    expect(cacheControlOf(resolve(swr), undefined, undefined, true)).toBe('no-store');
  });

  it.each([
    ['no-cache', true],
    ['No-Cache', true],
    ['max-age=0, no-cache', true],
    ['no-cache,no-store', true],
    ['no-cache="set-cookie"', false],
    ['x-no-cache', false],
    ['no-cachet', false],
    ['max-age=0', false],
    ['', false],
    [undefined, false],
  ])('a request that says %s asks for the source: %s', (field, expected) => {
    expect(asksForSource(field)).toBe(expected);
  });
});

describe('Cache-Status (RFC 9211)', () => {
  it.each<[CacheStatus, string]>([
    [{ hit: true, ttlMs: 30_000 }, 'hit; ttl=30'],
    [{ hit: true, ttlMs: 999 }, 'hit; ttl=0'],
    [{ hit: true, ttlMs: -1 }, 'hit; ttl=-1'],
    [{ hit: true, ttlMs: -2_000, detail: 'stale-on-error' }, 'hit; ttl=-2; detail=stale-on-error'],
    [{ hit: true, fwd: 'stale' }, 'hit'],
    [{ hit: false, fwd: 'uri-miss', ttlMs: 5_000, stored: true }, 'fwd=uri-miss; ttl=5; stored'],
    [{ hit: false, fwd: 'stale', collapsed: true, stored: true }, 'fwd=stale; stored; collapsed'],
    [{ hit: false, fwd: 'bypass', detail: 'query' }, 'fwd=bypass; detail=query'],
    [{ hit: false, fwd: 'miss', detail: 'two "words"\\\n' }, 'fwd=miss; detail="two \\"words\\"\\\\?"'],
  ])('%o', (status, expected) => {
    expect(formatCacheStatus(status)).toBe(`nestjs-cache-guard; ${expected}`);
  });

  it('comes behind what caches closer to the source have said', () => {
    expect(appendMember('Origin; hit', 'x; fwd=miss')).toBe('Origin; hit, x; fwd=miss');
    expect([appendMember(undefined, 'x'), appendMember('', 'x')]).toEqual(['x', 'x']);
  });

  it.each([
    ['absent', 'uri-miss'],
    ['expired', 'stale'],
    ['invalidated', 'stale'],
    ['epoch', 'stale'],
    ['settling', 'stale'],
    ['generation-lost', 'stale'],
    ['corrupt', 'miss'],
    ['schema', 'miss'],
    ['store-unavailable', 'miss'],
    ['no-store', 'miss'],
    [undefined, 'miss'],
  ] as const)('a miss because of %s is forwarded as %s', (cause, expected) => {
    expect(forwardOf(cause)).toBe(expected);
  });
});

describe('Vary and Cookie', () => {
  it.each([
    [undefined, [], undefined],
    [undefined, ['Accept-Language'], 'Accept-Language'],
    ['Origin', ['Accept-Language'], 'Origin, Accept-Language'],
    ['accept-language', ['Accept-Language', 'Cookie'], 'accept-language, Cookie'],
    ['Origin,  Accept', [], 'Origin, Accept'],
    ['*', ['Cookie'], '*'],
    ['Origin, *', ['Cookie'], '*'],
    ['', ['Cookie', 'cookie'], 'Cookie'],
  ])('%s and %j', (existing, names, expected) => {
    expect(appendVary(existing, names)).toBe(expected);
  });

  it.each([
    [undefined, []],
    ['', []],
    ['a=1', [['a', ['1']]]],
    [
      'a=1; b=2;c=3',
      [
        ['a', ['1']],
        ['b', ['2']],
        ['c', ['3']],
      ],
    ],
    ['a=1; a=2', [['a', ['1', '2']]]],
    ['a=x=y', [['a', ['x=y']]]],
    ['flag', [['flag', ['']]]],
    ['=bare', [['', ['bare']]]],
    ['__proto__=1', [['__proto__', ['1']]]],
    ['a="q"; ;', [['a', ['"q"']]]],
  ])('cookies of %s', (field, expected) => {
    expect([...readCookies(field)]).toEqual(expected);
  });
});

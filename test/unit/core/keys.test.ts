import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { CacheGuardError } from '../../../lib/core/errors.js';
import { argsKey, DerivedKey, domainGeneration, entryKey, keySegment, tagGeneration } from '../../../lib/core/keys.js';

const derived = (...args: unknown[]): string => keySegment(argsKey(...args));
const HASHED = /^h\.[A-Za-z0-9_-]{43}$/;

function refusal(run: () => unknown): CacheGuardError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(CacheGuardError);
    expect(error).toMatchObject({ code: 'CG_UNUSABLE_KEY' });
    return error as CacheGuardError;
  }
  throw new Error('was not refused');
}

class Query {
  constructor(readonly term: string) {}
}
class OtherQuery {
  constructor(readonly term: string) {}
}
class PagedQuery extends Query {
  page = 1;
}
describe('a key that is given', () => {
  it.each([
    ['gold', 's.gold'],
    ['a.b-c_D9', 's.a.b-c_D9'],
    ['x'.repeat(24), `s.${'x'.repeat(24)}`],
    [5, 'n.5'],
    [-5, 'n.-5'],
    [0, 'n.0'],
    [-0, 'n.0'],
    [5n, 'i.5'],
    [-5n, 'i.-5'],
    [true, 'b.true'],
    [false, 'b.false'],
  ])('%o stays readable as %s', (key, segment) => {
    expect(keySegment(key)).toBe(segment);
  });

  it.each(['x'.repeat(25), 'a b', 'a:b', '{a}', 'a\n', 'ä', '*', '', '\u0000'].filter((text) => text !== ''))(
    '%j is hashed',
    (key) => {
      expect(keySegment(key)).toMatch(HASHED);
    },
  );

  it.each([1.5, Infinity, 2 ** 53, 10n ** 24n, new Date(0), ['gold'], { a: 1 }])('%o is hashed', (key) => {
    expect(keySegment(key)).toMatch(HASHED);
  });

  it.each([undefined, null, '', NaN, new Date(NaN)])('%o is refused', (key) => {
    expect(refusal(() => keySegment(key)).message).toContain('a key must name what is cached');
  });

  it('names what a guarded method cached when it is made by argsKey', () => {
    expect(argsKey('gold', 5)).toBeInstanceOf(DerivedKey);
    expect(argsKey('gold', 5).args).toEqual(['gold', 5]);
    expect(derived('gold')).toBe('s.gold');
    expect(derived()).toBe('none');
    expect(derived()).not.toBe(derived('none'));
  });
});

describe('types and structures are told apart', () => {
  const lone = String.fromCharCode(0xd800);
  const otherLone = String.fromCharCode(0xd801);

  it.each<[string, unknown[]]>([
    ['scalars', [5, '5', 5n, true, 'true', '5n', 5.5, '5.5', null, 'null', undefined, 'undefined', NaN, 'NaN', '']],
    ['containers of one', ['a', ['a'], [['a']], new Set(['a']), { a: 1 }, new Map([['a', 1]]), { 0: 'a' }]],
    ['empty ones', [[], {}, new Map(), new Set(), '', Buffer.alloc(0), new Uint8Array(0), new Query('')]],
    ['where one text ends', [['ab', 'c'], ['a', 'bc'], ['abc'], ['a', 'b', 'c'], ['a,b', 'c'], ['a', 's1:b']]],
    ['where a structure ends', [[['a'], 'b'], [['a', 'b']], [[['a']], 'b'], [{ a: 'b' }], [{ a: ['b'] }]]],
    ['names and values', [{ a: 'b' }, { b: 'a' }, { ab: '' }, { a: 'b', c: '' }, { a: { b: '' } }]],
    ['where an object ends', [{ a: { b: 1 } }, { a: {}, b: 1 }, [{}, { b: 1 }], [{ b: 1 }]]],
    ['missing and undefined', [{}, { a: undefined }, { a: null }, { a: '' }]],
    ['dates', [new Date(0), 0, '1970-01-01T00:00:00.000Z', new Date(1)]],
    [
      'bytes',
      [Buffer.from('a'), new Uint8Array([97]), new Int8Array([97]), new DataView(new ArrayBuffer(1)), 'a', [97]],
    ],
    ['words of bytes', [new Uint16Array([1]), new Uint8Array([1, 0]), new Uint16Array([1, 0]), new ArrayBuffer(2)]],
    ['patterns', [/a/, /a/g, '/a/', /b/]],
    ['addresses', [new URL('http://a/b'), 'http://a/b', new URL('http://a/c'), { href: 'http://a/b' }]],
    [
      'lone surrogates',
      [lone, otherLone, '\ufffd', `${lone}a`, '\u{1f600}', [lone], { [lone]: 1 }, { [otherLone]: 1 }],
    ],
    ['classes', [new Query('a'), new OtherQuery('a'), { term: 'a' }, new Query('b'), new PagedQuery('a')]],
    [
      'named __proto__',
      [JSON.parse('{"__proto__":1}'), JSON.parse('{"__proto__":{"a":1}}'), {}, { a: 1 }, { proto: 1 }],
    ],
    ['named constructor', [JSON.parse('{"constructor":1}'), {}, { constructor: { name: 'Query' }, term: 'a' }]],
  ])('%s', (_, values) => {
    expect(new Set(values.map((value) => derived(value, 0))).size).toBe(values.length);
    const explicit = values.filter((value) => value !== undefined && value !== null && value !== '' && value === value);
    expect(new Set(explicit.map(keySegment)).size).toBe(explicit.length);
  });

  it('content that looks like the end of one part and the start of the next', () => {
    const text = (content: string) => Buffer.from(content, 'utf16le');
    const joined = (...parts: string[]) =>
      Buffer.concat(parts.flatMap((part, i) => (i === 0 ? [text(part)] : [Buffer.from('s'), text(part)])));
    const wide = (...parts: string[]) => joined(...parts).toString('utf16le');
    expect(derived('c', 'd', wide('e', 'f', 'g'))).not.toBe(derived(wide('c', 'd', 'e'), 'f', 'g'));

    const head = Buffer.concat([Buffer.from('B6:'), text('Buffer')]);
    const bytes = (...parts: string[]) => Buffer.from(parts.join(head.toString('latin1')), 'latin1');
    expect(derived(bytes('c'), bytes('d', 'e'))).not.toBe(derived(bytes('c', 'd'), bytes('e')));
  });

  it('arguments and their grouping', () => {
    expect(derived('a', 'b')).not.toBe(derived(['a', 'b']));
    expect(derived('a', 'b')).not.toBe(derived('b', 'a'));
    expect(derived('a', 'b')).not.toBe(keySegment(['a', 'b']));
    expect(derived('a', undefined, 'b')).not.toBe(derived('a', 'b'));
    expect(derived('a', null)).not.toBe(derived('a'));
    expect(derived(null)).not.toBe(derived());
  });
});

describe('what is equal gives one key', () => {
  const once = [1];
  const twice = [once, once];

  it('trailing undefined arguments', () => {
    expect(derived('a')).toBe(derived('a', undefined));
    expect(derived()).toBe(derived(undefined, undefined));
    expect(derived('a', 'b')).toBe(derived('a', 'b', undefined));
  });

  it.each<[string, unknown, unknown]>([
    ['the order of properties', { a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 }],
    [
      'the order of a Map',
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
      new Map([
        ['b', 2],
        ['a', 1],
      ]),
    ],
    ['the order of a Set', new Set(['a', { b: 1 }]), new Set([{ b: 1 }, 'a'])],
    ['a missing prototype', { a: 1 }, Object.assign(Object.create(null) as object, { a: 1 })],
    ['0 and -0', [0], [-0]],
    ['objects used twice and equal ones', [[[1], [1]]], [twice]],
    ['views on other memory', Buffer.from('xab').subarray(1), Buffer.from('ab')],
    ['instances', new Query('a'), new Query('a')],
    [
      'another realm',
      { a: [1, new Date(5), new Map([[1, new Set([2])]])] },
      runInNewContext('({ a: [1, new Date(5), new Map([[1, new Set([2])]])] })'),
    ],
  ])('%s', (_, a, b) => {
    expect(keySegment(a)).toBe(keySegment(b));
    expect(derived(a, 1)).toBe(derived(b, 1));
  });
});

describe('entryKey', () => {
  it('is readable', () => {
    const key = entryKey({
      domain: 'offers',
      name: 'OfferService.find',
      partition: 'acme',
      segment: keySegment('gold'),
    });
    expect(key).toBe('offers:s.OfferService.find:s.acme:s.gold');
    expect(entryKey({ domain: 'offers', segment: 'n.5' })).toBe('offers:::n.5');
  });

  it('tells no partition from an empty one, and a partition from a name', () => {
    const segment = keySegment('gold');
    const keys = [
      entryKey({ domain: 'offers', segment }),
      entryKey({ domain: 'offers', partition: '', segment }),
      entryKey({ domain: 'offers', partition: 'a', segment }),
      entryKey({ domain: 'offers', name: 'a', segment }),
      entryKey({ domain: 'offers', name: 'a', partition: 'a', segment }),
      entryKey({ domain: 'offers', name: 'a:s.a', segment }),
      entryKey({ domain: 'offers', name: 'a', segment: keySegment('a:s.gold') }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('is bounded for 10 MB', () => {
    const huge = 'x'.repeat(10_000_000);
    const key = entryKey({ domain: 'd'.repeat(64), name: huge, partition: huge, segment: derived(huge, [huge]) });
    expect(key.length).toBeLessThan(300);
    expect(keySegment(huge)).not.toBe(keySegment(`${huge.slice(1)}y`));
    expect(keySegment(Buffer.alloc(10_000_000))).toMatch(HASHED);
  });
});

describe('generations', () => {
  it('have names of their own', () => {
    expect(domainGeneration('offers')).toBe('d:offers');
    expect(tagGeneration('offers', 'gold')).toBe('t:offers:s.gold');
    expect(tagGeneration('offers', 5)).toBe(tagGeneration('offers', '5'));
    expect(tagGeneration('offers', 'a:b')).toMatch(/^t:offers:h\.[A-Za-z0-9_-]{43}$/);
  });

  it.each(['', NaN, undefined, null, true, 5n, {}, ['a'], Symbol('a')])('refuse the tag %o', (tag) => {
    const error = refusal(() => tagGeneration('offers', tag));
    expect(error.domain).toBe('offers');
    expect(error.message).toContain("'offers'");
  });
});

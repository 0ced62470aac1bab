import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_QUERY, MAX_TEXT, readQuery } from '../../../lib/core/http/query.js';
import { routeKey, type RouteKeyParts } from '../../../lib/core/http/route-key.js';
import { argsKey, keySegment } from '../../../lib/core/keys.js';

const declared = new Set(['page', 'sort', 'a b', '__proto__']);
const parse = (target: string): Record<string, string | string[]> => {
  const found: Record<string, string | string[]> = Object.create(null) as Record<string, string>;
  for (const [name, value] of new URL(target, 'http://h').searchParams) {
    const known = found[name];
    found[name] = known === undefined ? value : [known, value].flat();
  }
  return found;
};
const read = (target: string, parsed: unknown = parse(target)) => readQuery(target, parsed, declared);

describe('the query of a request', () => {
  it.each([
    ['/x', {}],
    ['/x?', {}],
    ['/x?page=2', { page: '2' }],
    ['/x?sort=a&page=2', { page: '2', sort: 'a' }],
    ['/x?page=', { page: '' }],
    ['/x?page', { page: '' }],
    ['/x?p%61ge=1', { page: '1' }],
    ['/x?a+b=c+d', { 'a b': 'c d' }],
    ['/x?a%20b=%26', { 'a b': '&' }],
    ['/x?page=1?sort=2', { page: '1?sort=2' }],
    ['/x?&page=1&', { page: '1' }],
  ])('%s', (target, values) => {
    expect(read(target)).toEqual({ values });
  });

  it.each([
    ['another parameter', '/x?utm=1'],
    ['another one beside', '/x?page=1&utm=1'],
    ['one twice', '/x?page=1&page=1'],
    ['one twice, once empty', '/x?page&page=2'],
    ['one twice, once encoded', '/x?page=1&p%61ge=2'],
    ['a list', '/x?page[]=1'],
    ['an object', '/x?page[a]=1'],
    ['another case', '/x?Page=1'],
    ['an empty name', '/x?=1'],
  ])('%s is refused', (_what, target) => {
    expect(read(target)).toEqual({ refusal: 'query' });
  });

  it.each([
    ['drops one', '/x?page=1', {}],
    ['drops all', '/x?page=1', null],
    ['makes a list', '/x?page=1', { page: ['1'] }],
    ['keeps one of two', '/x?page=1&page=2', { page: '2' }],
    ['makes an object', '/x?page=1', { page: { a: '1' } }],
    ['adds one', '/x?page=1', { page: '1', sort: 'a' }],
    ['reads another name', '/x?page=1', { sort: '1' }],
    ['keeps a name from the prototype', '/x?__proto__=1', {}],
  ])('a parser that %s is not trusted', (_what, target, parsed) => {
    expect(read(target, parsed)).toEqual({ refusal: 'query' });
  });

  it('what the handler sees is what counts, where parsers decode in their own way', () => {
    expect(read('/x?page=%E0', { page: '%E0' })).toEqual({ values: { page: '%E0' } });
    expect(read('/x?page=%E1', { page: '%E1' })).toEqual({ values: { page: '%E1' } });
  });

  it('has a bound', () => {
    expect(read(`/x?page=${'1'.repeat(MAX_TEXT)}`)).toHaveProperty('values');
    expect(read(`/x?page=${'1'.repeat(MAX_TEXT + 1)}`)).toEqual({ refusal: 'too-long' });
    expect(read(`/x?${'&'.repeat(MAX_QUERY + 1)}`)).toEqual({ refusal: 'too-long' });
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.string(), fc.anything(), (text, parsed) => typeof read(`/x?${text}`, parsed) === 'object'),
    );
  });
});

describe('the key of a route', () => {
  const segment = (parts: RouteKeyParts) => keySegment(routeKey(parts));

  it('is the key of its arguments, or the explicit one, where there is nothing else', () => {
    expect(segment({ args: ['gold', 2] })).toBe(keySegment(argsKey('gold', 2)));
    expect(segment({})).toBe('none');
    expect(segment({ key: 'gold', params: {}, query: {}, headers: { 'x-a': undefined } })).toBe('s.gold');
  });

  it('does not depend on the order of names', () => {
    expect(segment({ query: { a: '1', b: '2' }, by: { c: 1, d: 2 } })).toBe(
      segment({ by: { d: 2, c: 1 }, query: { b: '2', a: '1' } }),
    );
  });

  it('differs with every part of it', () => {
    const all: RouteKeyParts[] = [
      { args: ['a'] },
      { args: ['a'], params: { a: '1' } },
      { args: ['a'], params: { a: '2' } },
      { args: ['a'], params: { b: '1' } },
      { args: ['a'], query: { a: '1' } },
      { args: ['a'], hosts: { a: '1' } },
      { args: ['a'], headers: { a: '1' } },
      { args: ['a'], cookies: { a: '1' } },
      { args: ['a'], cookies: { a: ['1', '1'] } },
      { args: ['a'], by: { a: '1' } },
      { args: ['a'], by: '' },
      { args: ['a'], path: '/a' },
      { args: ['a'], query: { a: '' } },
      { args: ['a'], query: JSON.parse('{"__proto__":"1","a":"1"}') as Record<string, string> },
      { args: ['b'], params: { a: '1' } },
      { key: 'b', params: { a: '2' } },
      { key: ['a'], params: { a: '1' } },
      { key: 'none', params: { a: '1' } },
      { params: { a: '1' } },
      { params: { a: '1' }, query: { a: '1' } },
      { args: ['s.a', { params: new Map([['a', '1']]) }] },
    ];
    expect(new Set(all.map(segment)).size).toBe(all.length);
  });

  it('is refused as any key is', () => {
    for (const parts of [{ by: () => 1 }, { args: [Symbol('a')] }, { key: '', by: 1 }, { key: Number.NaN, by: 1 }]) {
      expect(() => segment(parts)).toThrow(expect.objectContaining({ code: 'CG_UNUSABLE_KEY' }));
    }
  });

  it('has no collisions: equal keys are equal parts', () => {
    const texts = fc.dictionary(fc.string({ maxLength: 3 }), fc.string({ maxLength: 3 }), { maxKeys: 2 });
    const parts = fc.record({
      args: fc.array(fc.string({ maxLength: 2 }), { maxLength: 2 }),
      params: texts,
      query: texts,
      headers: texts,
      cookies: texts,
    });
    const canonical = (given: object) =>
      JSON.stringify(
        Object.entries(given).map(([, one]) =>
          Array.isArray(one) ? one : Object.entries(one as object).toSorted(([name], [next]) => (name < next ? -1 : 1)),
        ),
      );
    fc.assert(
      fc.property(
        parts,
        parts,
        (one, other) => (segment(one) === segment(other)) === (canonical(one) === canonical(other)),
      ),
    );
  });
});

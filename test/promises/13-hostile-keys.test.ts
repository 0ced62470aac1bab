import type { DomainPolicies, KeyPart } from 'nestjs-cache-guard';
import { argsKey } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { DOMAINS } from './support/fleet.js';
import { BOTH, promise } from './support/promise.js';
import { counted } from './support/source.js';

const domains: DomainPolicies = {
  plain: DOMAINS.balances,
  own: { ...DOMAINS.balances, scope: 'private' },
  hidden: { ...DOMAINS.balances, hashKeys: true, scope: 'private' },
};

const HUGE = 10_000_000;
class Query {
  constructor(readonly term: string) {}
}
class Filter {
  constructor(readonly term: string) {}
}
class Secretive {
  #term: string;
  constructor(term: string) {
    this.#term = term;
  }
  reveal(): string {
    return this.#term;
  }
}
const cycle: unknown[] = [];
cycle.push({ cycle });
const parsed = (text: string): object => JSON.parse(text) as object;

/** No two of these are one key. */
const DIFFERENT: readonly (readonly [string, () => unknown])[] = [
  ['a Date', () => new Date(5)],
  ['its number', () => 5],
  ['its text', () => new Date(5).toISOString()],
  ['a bigint', () => 5n],
  ['a text of digits', () => '5'],
  ['a negative zero in a list', () => [-0, '']],
  ['a Map', () => new Map([['a', 1]])],
  ['an object like it', () => ({ a: 1 })],
  ['a list like it', () => [['a', 1]]],
  ['a Set like it', () => new Set([['a', 1]])],
  ['an instance', () => new Query('a')],
  ['an instance of another class', () => new Filter('a')],
  ['an object like them', () => ({ term: 'a' })],
  ['bytes', () => Buffer.from('a')],
  ['other bytes', () => new Uint8Array([97])],
  ['an own __proto__', () => parsed('{"__proto__":{"a":1}}')],
  ['an own constructor', () => parsed('{"constructor":{"a":1}}')],
  ['an object', () => ({})],
  ['a list', () => []],
  ['__proto__', () => '__proto__'],
  ['braces', () => '{a}'],
  ['one brace', () => '}'],
  ['a hash tag of somebody else', () => '}:{x'],
  ['a line', () => 'a\r\nDEL a'],
  ['a null byte', () => 'a\0'],
  ['a glob', () => '*'],
  ['seams', () => 'a:s.b'],
  ['a high surrogate', () => '\ud800'],
  ['another high surrogate', () => '\ud801'],
  ['a low surrogate', () => '\udc00'],
  ['the replacement character', () => '\ufffd'],
  ['10 MB', () => 'x'.repeat(HUGE)],
  ['10 MB with another end', () => `${'x'.repeat(HUGE - 1)}y`],
  ['10 MB of digits', () => '7'.repeat(HUGE)],
  ['10 MB in an object', () => ({ a: 'x'.repeat(HUGE) })],
  ['a deep object', () => Array.from({ length: 60 }).reduce<object>((inner) => ({ inner }), {})],
];

const SAME: readonly (readonly [string, unknown, unknown])[] = [
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
  ['the order of a Set', new Set([1, 2]), new Set([2, 1])],
  ['another object of the same content', new Query('a'), new Query('a')],
];

const REFUSED: readonly (readonly [string, unknown])[] = [
  ['a cycle', cycle],
  ['hidden state', new Secretive('a')],
  ['a function', () => 1],
  ['a promise', Promise.resolve('a')],
  [
    'a getter that throws',
    {
      get a(): never {
        throw new Error('hostile');
      },
    },
  ],
  [
    'a proxy that throws',
    new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('hostile');
        },
      },
    ),
  ],
  [
    'few objects that name each other endlessly often',
    Array.from({ length: 22 }).reduce<object>((inner) => [inner, inner], {}),
  ],
  ['endless nesting', Array.from({ length: 100_000 }).reduce<object>((inner) => ({ inner }), {})],
];

describe('whatever a key is made from', () => {
  promise(13, 'it is bounded, its own, and injects nothing, or is refused with a code', BOTH, async (fleet) => {
    const a = await fleet.start({ domains, principal: () => 'u\n{1}:s.a', keySecret: 'a secret of the test' });
    const own = counted<number>((_context, call) => call);
    const keys = DIFFERENT.flatMap(([, make]) => {
      const key = make() as KeyPart;
      // Given, and derived from arguments; an only argument is the same key as one that was given.
      return [key, argsKey(key, key), argsKey([key, key])] as KeyPart[];
    });
    for (const domain of Object.keys(domains)) {
      const before = own.calls;
      for (const [i, key] of keys.entries())
        expect(await a.guard.getOrLoad({ domain, key, name: '}{\n', tags: ['{\n}'] }, own)).toBe(before + i + 1);
      for (const [i, key] of keys.entries())
        expect(await a.guard.getOrLoad({ domain, key, name: '}{\n' }, own)).toBe(before + i + 1);
      for (const [what, one, other] of SAME) {
        const first = await a.guard.getOrLoad({ domain, key: one as KeyPart }, own);
        expect(await a.guard.getOrLoad({ domain, key: other as KeyPart }, own), what).toBe(first);
      }
      for (const [what, key] of REFUSED) {
        const load = counted(() => 1);
        const error = await a.guard.getOrLoad({ domain, key: key as KeyPart }, load).catch((thrown: unknown) => thrown);
        expect(error, what).toMatchObject({ code: 'CG_UNUSABLE_KEY', domain });
        expect(load.calls).toBe(0);
      }
    }
    const names = a.events.flatMap((event) => ('key' in event && event.key !== undefined ? [event.key] : []));
    expect(names.length).toBeGreaterThan(100);
    for (const name of names) {
      expect(name.length).toBeLessThan(300);
      expect(name).toMatch(/^[A-Za-z0-9_.:-]+$/);
    }
    if (fleet.kind === 'memory') return;
    for (const name of await fleet.raw.keys(`${fleet.namespace}*`)) {
      expect(name.length).toBeLessThan(400);
      expect(name.slice(fleet.namespace.length)).toMatch(/^:(?:[a-z]+:\{[A-Za-z0-9_.:~-]+\}(?::\d)?|live)$/);
    }
  });
});

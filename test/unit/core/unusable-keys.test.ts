import { describe, expect, it } from 'vitest';
import { CacheGuardError } from '../../../lib/core/errors.js';
import { argsKey, keySegment } from '../../../lib/core/keys.js';

const derived = (...args: unknown[]): string => keySegment(argsKey(...args));

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
class Secretive {
  #secret: string;
  constructor(secret: string) {
    this.#secret = secret;
  }
  reveal(): string {
    return this.#secret;
  }
}
class HeirOfSecretive extends Secretive {}

describe('what has no stable content is refused', () => {
  const cycle: unknown[] = [];
  cycle.push({ cycle });
  const deep = (levels: number): unknown => (levels === 0 ? 'end' : [deep(levels - 1)]);
  const shared = Array.from({ length: 22 }).reduce<object>((inner) => [inner, inner], {});
  const hidden = Object.defineProperty({}, 'state', { value: 1, enumerable: false });
  class Tags extends Array<string> {}
  class Money extends Date {
    currency = 'EUR';
  }
  class Lookup extends Map<string, string> {}
  class Failure extends Error {}
  // What compilers make of `#private` for older targets.
  const secrets = new WeakMap<object, unknown>();
  function OldSecretive(this: object, secret: unknown): void {
    secrets.set(this, secret);
  }
  const Old = OldSecretive as unknown as new (secret: unknown) => object;

  it.each<[string, unknown]>([
    ['a function', () => 1],
    ['a class', Query],
    ['a symbol', Symbol('a')],
    ['a registered symbol', Symbol.for('a')],
    ['a cycle', cycle],
    ['endless nesting', deep(65)],
    ['few objects that name each other endlessly often', shared],
    ['#private fields', new Secretive('a')],
    ['inherited #private fields', new HeirOfSecretive('a')],
    ['#private fields as compiled', new Old('a')],
    ['Headers', new Headers({ a: 'b' })],
    ['URLSearchParams', new URLSearchParams('a=b')],
    ['a Request', new Request('http://localhost')],
    ['an AbortSignal', new AbortController().signal],
    ['a Blob', new Blob(['a'])],
    ['a stream', new ReadableStream()],
    ['a WeakMap', new WeakMap()],
    ['a WeakRef', new WeakRef({})],
    ['a Promise', Promise.resolve(1)],
    ['an Error', new Error('a')],
    ['an error of one’s own', new Failure('a')],
    ['a generator', (function* () {})()],
    ['an iterator', ['a'].values()],
    ['a boxed number', Object(5)],
    ['a boxed text', Object('a')],
    ['a formatter', new Intl.NumberFormat('en')],
    ['symbol properties', { [Symbol('a')]: 1 }],
    ['hidden properties', hidden],
    ['an array with properties', Object.assign(['a'], { index: 1 })],
    ['a match', 'abc'.match(/b/)],
    ['an array with holes', Array(2)],
    ['an array with a hole and a property', Object.assign(Array(1), { a: 1 })],
    ['an array of a class', Tags.of('a')],
    ['a Date of a class', new Money(0)],
    ['a Map of a class', new Lookup()],
    ['a Date with properties', Object.assign(new Date(0), { zone: 'UTC' })],
    ['a Map with properties', Object.assign(new Map(), { a: 1 })],
    ['inherited data', Object.create({ a: 1 })],
    ['inherited data of an instance', Object.create(new Query('a'))],
    ['inherited data without prototype', Object.create(Object.assign(Object.create(null) as object, { a: 1 }))],
    ['a Date that is none', Object.create(Date.prototype)],
    ['a Map that is none', Object.create(Map.prototype)],
    ['a URL that is none', Object.create(URL.prototype)],
  ])('%s', (_, value) => {
    for (const run of [
      () => keySegment(value),
      () => keySegment([value]),
      () => keySegment({ value }),
      () => keySegment(new Map([['a', value]])),
      () => derived(value),
      () => derived('a', value),
    ]) {
      expect(refusal(run).message).toMatch(/^A cache key cannot be made from .+; give /);
    }
  });

  it('names the class', () => {
    expect(refusal(() => keySegment(new HeirOfSecretive('a'))).message).toContain('HeirOfSecretive');
    expect(refusal(() => keySegment(Promise.resolve())).message).toContain('Promise');
  });

  it('nesting up to the limit is fine', () => {
    expect(keySegment(deep(64))).toMatch(/^h\./);
  });

  it('so many values are fine, and not one more', () => {
    const list = (items: number): unknown => Array.from({ length: items }, () => 1);
    expect(keySegment(list(99_999))).toMatch(/^h\./);
    for (const value of [list(100_000), new Set([list(99_999)]), { a: list(50_000), b: list(50_000) }])
      expect(refusal(() => keySegment(value)).message).toContain('a structure of more than 100000 values');
  });

  it.each(['get', 'getPrototypeOf', 'ownKeys', 'getOwnPropertyDescriptor'] as const)(
    'a proxy whose %s throws, with the cause',
    (trap) => {
      const cause = new Error('hostile');
      const hostile = new Proxy(
        { a: 1 },
        {
          [trap]: () => {
            throw cause;
          },
        },
      );
      for (const run of [() => keySegment(hostile), () => derived(hostile), () => derived('a', [hostile])]) {
        expect(refusal(run).cause).toBe(cause);
      }
    },
  );

  it('a getter that throws, with the cause', () => {
    const cause = new Error('hostile');
    const hostile = {
      get a() {
        throw cause;
      },
    };
    expect(refusal(() => keySegment(hostile)).cause).toBe(cause);
    expect(refusal(() => derived('x', { hostile })).cause).toBe(cause);
  });

  it('a revoked proxy', () => {
    const { proxy, revoke } = Proxy.revocable([], {});
    revoke();
    expect(refusal(() => keySegment(proxy)).cause).toBeInstanceOf(TypeError);
    expect(refusal(() => derived(proxy, 1)).cause).toBeInstanceOf(TypeError);
  });

  it('says nothing of the value', () => {
    expect(refusal(() => keySegment({ password: 'hunter2', f: () => 1 })).message).not.toContain('hunter2');
  });
});

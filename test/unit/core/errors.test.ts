import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CacheGuardConfigError,
  CacheGuardError,
  CacheGuardOverloadError,
  CacheGuardStoreError,
  CacheGuardTimeoutError,
  describeValue,
  isCacheGuardError,
  errorKind,
  thrownText,
} from '../../../lib/core/errors.js';

const fail = (): never => {
  throw new Error('hostile');
};

describe('CacheGuardError', () => {
  const error = new CacheGuardError('CG_LOAD_TIMEOUT', 'too slow', {
    domain: 'offers',
    key: 'offers:::s.secret',
    method: 'Offers.find',
    cause: 'why',
  });

  it('carries code, fields and cause', () => {
    expect(error).toMatchObject({
      code: 'CG_LOAD_TIMEOUT',
      message: 'too slow',
      domain: 'offers',
      field: undefined,
      method: 'Offers.find',
      cause: 'why',
      key: 'offers:::s.secret',
    });
  });

  it('keeps the key out of what loggers print', () => {
    expect(JSON.stringify(error)).not.toContain('secret');
    expect(inspect(error)).not.toContain('secret');
    expect(Object.keys(error)).not.toContain('key');
  });

  it('has no cause when none was given', () => {
    expect(Object.hasOwn(new CacheGuardError('CG_OVERLOADED', 'full'), 'cause')).toBe(false);
  });

  it.each([
    [CacheGuardConfigError, 'CacheGuardConfigError'],
    [CacheGuardTimeoutError, 'CacheGuardTimeoutError'],
    [CacheGuardOverloadError, 'CacheGuardOverloadError'],
    [CacheGuardStoreError, 'CacheGuardStoreError'],
  ])('has the subclass %s with its own name', (Type, name) => {
    const special = new Type('CG_INVALID_OPTIONS', 'x');
    expect(special).toBeInstanceOf(CacheGuardError);
    expect(special.name).toBe(name);
    expect(String(special)).toBe(`${name}: x`);
  });
});

describe('isCacheGuardError', () => {
  it('recognises by code, also errors of another copy of the package', () => {
    const foreign = Object.assign(new Error('x'), { code: 'CG_OVERLOADED' });
    expect(isCacheGuardError(foreign)).toBe(true);
    expect(isCacheGuardError(foreign, 'CG_OVERLOADED')).toBe(true);
    expect(isCacheGuardError(foreign, 'CG_LOAD_TIMEOUT')).toBe(false);
  });

  it.each([
    undefined,
    null,
    'CG_OVERLOADED',
    { code: 'CG_OVERLOADED' },
    new Error('x'),
    Object.assign(new Error('x'), { code: 'ECONNRESET' }),
    Object.assign(new Error('x'), { code: 5 }),
  ])('rejects %o', (other) => {
    expect(isCacheGuardError(other)).toBe(false);
  });
});

describe('what was thrown', () => {
  it.each([
    [new TypeError('x'), 'x', 'TypeError: x'],
    ['x', 'x', 'x'],
    [undefined, 'undefined', 'undefined'],
    [Symbol('x'), 'Symbol(x)', 'Symbol(x)'],
  ])('%o is told', (thrown, text, named) => {
    expect(thrownText(thrown)).toBe(text);
    expect(thrownText(thrown, { named: true })).toBe(named);
  });

  const raises = (): never => {
    throw new Error('raised');
  };
  it.each([
    Object.create(null),
    Object.defineProperty(new Error(), 'message', { get: raises }),
    new Proxy({}, { get: raises, getPrototypeOf: raises }),
  ] as unknown[])('is told of whatever it is', (thrown) => {
    expect(thrownText(thrown, { named: true })).toMatch(/cannot become text/);
    expect(isCacheGuardError(thrown)).toBe(false);
    expect(['unknown', 'Error']).toContain(errorKind(thrown));
  });

  it('may have a code that cannot be read', () => {
    const thrown = Object.defineProperty(new Error(), 'code', { get: raises });
    expect(isCacheGuardError(thrown)).toBe(false);
    expect(errorKind(thrown)).toBe('unknown');
  });
});

describe('describeValue', () => {
  it.each([
    ['gold', `'gold'`],
    ['', `''`],
    [5, '5'],
    [5n, '5n'],
    [NaN, 'NaN'],
    [null, 'null'],
    [undefined, 'undefined'],
    [Symbol('x'), 'Symbol(x)'],
    [parseInt, 'function parseInt'],
    [(() => () => {})(), 'function (anonymous)'],
    [{ a: [1, 'b'] }, '{"a":[1,"b"]}'],
  ])('shows %o as %s', (value, text) => {
    expect(describeValue(value)).toBe(text);
  });

  it('does not show the whole of a long text or object', () => {
    expect(describeValue('x'.repeat(1_000))).toHaveLength(40);
    expect(describeValue({ a: 'x'.repeat(1_000) })).toHaveLength(78);
  });

  it('never throws', () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const hostile = [
      cycle,
      proxy,
      { big: 1n },
      { toJSON: fail },
      new Proxy(() => {}, { get: fail }),
      {
        toJSON: fail,
        get [Symbol.toStringTag]() {
          return fail();
        },
      },
    ];
    for (const value of hostile) expect(describeValue(value)).toMatch(/^\((object|function)\)$/);
    fc.assert(fc.property(fc.anything(), (value) => typeof describeValue(value) === 'string'));
  });
});

import { describe, expect, it } from 'vitest';
import type { DomainEvent } from '../../../lib/core/domain-event.js';
import { CacheGuardConfigError } from '../../../lib/core/errors.js';
import { readRule, type EventRule } from '../../../lib/core/rules.js';
import { MAX_VERSION } from '../../../lib/core/version.js';

const event: DomainEvent = { id: '1', source: '/bank', type: 'offer.changed', data: { segment: 'gold' } };
const base = { on: 'offer.changed', domain: 'offers' };
const key = () => 'gold';
const version = () => 1n;
const value = () => 'v';

const read = (rule: object) => readRule(rule as EventRule, 'events.rules[2]');

function refusal(rule: unknown): CacheGuardConfigError {
  try {
    read(rule as object);
  } catch (error) {
    expect(error).toBeInstanceOf(CacheGuardConfigError);
    return error as CacheGuardConfigError;
  }
  throw new Error('was not refused');
}

describe('readRule', () => {
  it.each<[field: string, what: string, rule: unknown, mend: string]>([
    ['the rule', 'is no object', null, 'give an object with on, domain'],
    ['the rule', 'is a function', () => {}, 'give an object with on, domain'],
    ['keyz', 'is misspelt', { ...base, keyz: key }, 'the fields are on, domain'],
    ['domain', 'is missing', { on: 'a', key }, 'name a registered domain'],
    ['domain', 'is no text', { ...base, domain: 5, key }, 'name a registered domain'],
    ['on', 'is missing', { domain: 'offers', key }, 'the name of an event type'],
    ['on', 'is empty', { ...base, on: '', key }, 'the name of an event type'],
    ['on', 'is an empty list', { ...base, on: [], key }, 'the name of an event type'],
    ['on', 'holds what is no text', { ...base, on: ['a', 1], key }, 'the name of an event type'],
    ['from', 'is empty', { ...base, from: '', key }, 'the name of an event source'],
    ['from', 'is an empty list', { ...base, from: [], key }, 'the name of an event source'],
    ['name', 'is no text', { ...base, name: 5, key }, 'give a text'],
    ['action', 'does not exist', { ...base, action: 'purge', key }, 'invalidate, refresh, update'],
    ['mode', 'does not exist', { ...base, mode: 'erase', key }, 'expire, remove, purge'],
    ['key', 'is no function', { ...base, key: 'gold' }, 'a function of the event'],
    ['keys', 'is no function', { ...base, keys: ['gold'] }, 'a function of the event'],
    ['tags', 'is no function', { ...base, tags: ['gold'] }, 'a function of the event'],
    ['version', 'is no function', { ...base, key, version: 1n }, 'a function of the event'],
    ['value', 'is no function', { ...base, key, action: 'update', version, value: 1 }, 'a function of the event'],
    ['all', 'is not true', { ...base, all: false }, 'leave it out or give true'],
    ['target', 'is missing', base, 'exactly one of key, keys, tags and all'],
    ['target', 'is given twice', { ...base, key, tags: () => [] }, 'exactly one of'],
    ['target', 'is a key and all', { ...base, key, all: true }, 'exactly one of'],
    ['version', 'goes with tags', { ...base, tags: () => [], version }, 'it goes with key or keys'],
    ['name', 'goes with all', { ...base, all: true, name: 'Offers.find' }, 'it goes with key or keys'],
    ['value', 'goes with all', { ...base, all: true, value }, 'it goes with key or keys'],
    ['action', 'refreshes tags', { ...base, tags: () => [], action: 'refresh' }, 'can be invalidated only'],
    ['action', 'updates all', { ...base, all: true, action: 'update' }, 'can be invalidated only'],
    ['value', 'is missing for update', { ...base, key, action: 'update', version }, 'update needs value'],
    ['value', 'goes with invalidate', { ...base, key, value }, "it goes with action: 'update'"],
    ['value', 'goes with refresh', { ...base, key, action: 'refresh', value }, "it goes with action: 'update'"],
    ['version', 'is missing for update', { ...base, key, action: 'update', value }, 'update needs version'],
  ])('refuses a rule whose %s %s', (field, _what, rule, mend) => {
    const error = refusal(rule);
    expect(error).toMatchObject({ code: 'CG_INVALID_RULE', field });
    expect(error.message).toMatch(`Event rule events.rules[2]: ${field} = `);
    expect(error.message).toContain(mend);
  });

  it('applies the defaults', () => {
    const rule = read({ ...base, key });
    expect(rule).toMatchObject({ domain: 'offers', action: 'invalidate', scope: 'key', place: 'events.rules[2]' });
    expect([rule.from, rule.mode, rule.name]).toEqual([undefined, undefined, undefined]);
    expect([...rule.on]).toEqual(['offer.changed']);
  });

  it.each([
    ['a key', { key }, [{ name: 'gold' }]],
    ['no key: it does not concern the domain', { key: () => undefined }, []],
    ['keys', { keys: () => ['a', ['b', 1]] }, [{ name: 'a' }, { name: ['b', 1] }]],
    ['tags', { tags: ({ data }: DomainEvent<{ segment: string }>) => [data.segment] }, [{ name: 'gold' }]],
    ['all', { all: true }, []],
  ])('finds the targets of %s', (_what, target, expected) => {
    expect(read({ ...base, ...target }).targets(event)).toEqual(expected);
  });

  it('refuses, when it is applied, keys and tags that are no lists', () => {
    for (const field of ['keys', 'tags']) {
      for (const given of ['gold', undefined, new Set(['gold'])]) {
        expect(() => read({ ...base, [field]: () => given }).targets(event)).toThrow(`${field} gave `);
      }
    }
  });

  it('calls what was written with its own object as `this`, as written', () => {
    const rule = {
      ...base,
      prefix: undefined,
      action: 'update',
      key(this: object) { return this === rule; }, // prettier-ignore
      version(this: object) { return this === rule ? 1 : 2; }, // prettier-ignore
      value(this: object) { return this === rule; }, // prettier-ignore
    };
    delete rule.prefix;
    const parsed = read(rule);
    expect([parsed.targets(event), parsed.version(event), parsed.value(event)]).toEqual([[{ name: true }], 1n, true]);
  });

  it.each([0n, 7n, MAX_VERSION, 0, 7, Number.MAX_SAFE_INTEGER])('takes %s for a version', (given) => {
    expect(read({ ...base, key, version: () => given }).version(event)).toBe(BigInt(given));
  });

  it.each([-1n, MAX_VERSION + 1n, -1, 1.5, Number.NaN, 2 ** 53, '7', null, {}])('refuses %s as a version', (given) => {
    expect(() => read({ ...base, key, version: () => given }).version(event)).toThrow(/from 0 to 2\^64 - 1/);
  });

  it('may leave an invalidation without a version, never an update', () => {
    const none = { ...base, key, version: () => undefined };
    expect(read(none).version(event)).toBeUndefined();
    expect(read({ ...base, key }).version(event)).toBeUndefined();
    expect(() => read({ ...none, action: 'update', value }).version(event)).toThrow('version gave undefined');
  });
});

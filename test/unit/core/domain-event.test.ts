import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { identityOf, readEvent } from '../../../lib/core/domain-event.js';

const event = { id: '1', source: '/bank/offers', type: 'offer.changed' };

describe('readEvent', () => {
  it('takes the attributes, and nothing else, of a plain object', () => {
    const time = '2024-05-01T12:00:00.5+02:00';
    expect(readEvent({ ...event, subject: 'gold', time, data: { a: 1 }, specversion: '1.0', own: 1 })).toEqual({
      ...event,
      subject: 'gold',
      time,
      data: { a: 1 },
    });
    expect(readEvent({ ...event, time: new Date(0) })).toMatchObject({ time: '1970-01-01T00:00:00.000Z' });
    expect(readEvent(event)).toEqual({ ...event, data: undefined, subject: undefined, time: undefined });
  });

  it('hands out the data as it came', () => {
    const data = { deep: [new Map()] };
    expect(readEvent({ ...event, data })).toHaveProperty('data', data);
  });

  const hostile = new Proxy({}, { get: () => { throw new Error('no'); } }); // prettier-ignore
  it.each<[what: string, given: unknown, reason: string]>([
    ['nothing', undefined, 'not undefined'],
    ['null', null, 'not null'],
    ['a text', 'offer.changed', 'not string'],
    ['a list', [event], 'its id is undefined'],
    ['no id', { ...event, id: undefined }, 'its id is undefined'],
    ['an id that is a number', { ...event, id: 1 }, 'its id is number'],
    ['an empty id', { ...event, id: '' }, 'its id is empty'],
    ['no source', { ...event, source: null }, 'its source is null'],
    ['a list of types', { ...event, type: ['a'] }, 'its type is an array'],
    ['an empty subject', { ...event, subject: '' }, 'its subject is empty'],
    ['a subject that is null', { ...event, subject: null }, 'its subject is null'],
    ['a text that is too long', { ...event, id: 'x'.repeat(1_025) }, 'its id is longer than 1024 characters'],
    ['a time that is none', { ...event, time: 'yesterday' }, 'its time is no timestamp'],
    ['a time that is a number', { ...event, time: 0 }, 'its time is number'],
    ['an invalid date', { ...event, time: new Date(Number.NaN) }, 'it throws when it is read'],
    ['what throws', hostile, 'it throws when it is read'],
  ])('says why %s is no event', (_what, given, reason) => {
    expect(readEvent(given)).toEqual({ malformed: expect.stringContaining(reason) });
  });

  it('never throws, and never repeats what came', () => {
    const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true });
    const nearly = fc.record({ id: anything, source: anything, type: anything, time: anything, subject: anything });
    fc.assert(
      fc.property(
        fc.oneof(
          anything,
          nearly,
          fc.string().map((id) => ({ ...event, id })),
        ),
        (given) => {
          const read = readEvent(given);
          if ('malformed' in read) expect(read.malformed.length).toBeLessThan(100);
          else expect([read.id, read.source, read.type].every((text) => text !== '')).toBe(true);
        },
      ),
    );
    expect(readEvent({ ...event, time: 'secret' })).not.toMatchObject({ malformed: expect.stringContaining('secret') });
  });
});

describe('identityOf', () => {
  it('is of source and id alone', () => {
    const one = readEvent({ ...event, data: 1, subject: 'a' });
    const other = readEvent({ ...event, data: 2, type: 'offer.gone' });
    expect(identityOf(one as never)).toBe(identityOf(other as never));
    expect(identityOf(event)).toMatch(/^[A-Za-z0-9_-]{22}$/);
  });

  it('is another one for another source or id, also where they run into each other', () => {
    // Surrogates without their partners become the same in UTF-8.
    const text = fc.oneof(fc.constantFrom('a', 'ab', 'b', '1', '1:', ':a', '\ud800', '\udc00', '\ufffd'), fc.string());
    const pair = fc.record({ source: text, id: text });
    fc.assert(
      fc.property(pair, pair, (one, other) => {
        const same = one.source === other.source && one.id === other.id;
        expect(identityOf(one) === identityOf(other)).toBe(same);
      }),
      { numRuns: 2_000 },
    );
    expect(identityOf({ source: 'a', id: '\ud800' })).not.toBe(identityOf({ source: 'a', id: '\ud801' }));
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, MAX_DURATION_MS, parseDuration } from '../../../lib/core/durations.js';

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const unit = fc.constantFrom(...(Object.keys(UNITS) as (keyof typeof UNITS)[]));

describe('parseDuration', () => {
  it.each([
    [0, 0],
    [1, 1],
    [1500, 1500],
    [0.4, 0],
    [1.5, 2],
    [MAX_DURATION_MS, MAX_DURATION_MS],
    ['0s', 0],
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
    ['0.5s', 500],
    ['1.5h', 5_400_000],
    ['0.25ms', 0],
    ['007s', 7_000],
    ['49d', 49 * 86_400_000],
    ['4294967295ms', MAX_DURATION_MS],
  ])('reads %j as %d ms', (input, ms) => {
    expect(parseDuration(input)).toBe(ms);
  });

  it.each([
    '',
    ' ',
    '5',
    '5 s',
    ' 5s',
    '5s ',
    '5s\n',
    '5S',
    '5M',
    'ms',
    's',
    '5 minutes',
    '5min',
    '5sec',
    '5w',
    '5y',
    '5µs',
    '-5s',
    '+5s',
    '.5s',
    '5.s',
    '1,5s',
    '1e3s',
    '0x10s',
    '1_000s',
    '5ss',
    '1h30m',
    '٥s',
    'Infinitys',
    'NaNs',
    '50d',
    '4294967296ms',
    '99999999999d',
    '9999999999999ms',
    NaN,
    Infinity,
    -Infinity,
    -1,
    -0.001,
    MAX_DURATION_MS + 1,
    Number.MAX_VALUE,
    null,
    undefined,
    true,
    false,
    5n,
    [],
    [5],
    ['5s'],
    {},
    new Date(5),
    Object(5),
    Object('5s'),
    Symbol('5s'),
    () => 5,
  ])('refuses %o', (input) => {
    expect(parseDuration(input)).toBeUndefined();
  });

  it('never throws, and gives whole milliseconds in range or nothing', () => {
    fc.assert(
      fc.property(fc.anything({ withDate: true, withBigInt: true, withBoxedValues: true }), (input) => {
        const ms = parseDuration(input);
        expect(ms === undefined || (Number.isInteger(ms) && ms >= 0 && ms <= MAX_DURATION_MS)).toBe(true);
      }),
    );
  });

  it('multiplies by the unit that is written, whatever the number', () => {
    fc.assert(
      fc.property(fc.nat(10_000_000), unit, (count, name) => {
        const ms = count * UNITS[name];
        expect(parseDuration(`${count}${name}`)).toBe(ms <= MAX_DURATION_MS ? ms : undefined);
      }),
    );
  });

  it('reads a bare number as milliseconds, never as seconds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4_000_000 }), (count) => {
        expect(parseDuration(count)).toBe(parseDuration(`${count}ms`));
        expect(parseDuration(count)).not.toBe(parseDuration(`${count}s`));
      }),
    );
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0ms'],
    [1, '1ms'],
    [999, '999ms'],
    [1_000, '1s'],
    [1_500, '1.5s'],
    [90_000, '1.5m'],
    [3_600_000, '1h'],
    [100_000, '1.67m'],
    [MAX_DURATION_MS, '49.71d'],
  ])('shows %d as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it('shows whole counts of a unit exactly', () => {
    const below = { ms: 999, s: 59, m: 59, h: 23, d: 49 };
    fc.assert(
      fc.property(unit, fc.nat(), (name, seed) => {
        const count = 1 + (seed % below[name]);
        expect(formatDuration(count * UNITS[name])).toBe(`${count}${name}`);
      }),
    );
  });

  it('gives what parseDuration reads, up to the two decimals shown', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MAX_DURATION_MS }), (ms) => {
        const text = formatDuration(ms);
        const size = UNITS[text.replace(/[\d.]/g, '') as keyof typeof UNITS];
        expect(Math.abs(parseDuration(text)! - ms)).toBeLessThanOrEqual(0.005 * size + 0.5);
      }),
    );
  });
});

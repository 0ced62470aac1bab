import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WriteMarks, type WriteMark } from '../../../lib/core/write-marks.js';

const NOW = 1_800_000_000_000;
const everybody = (): boolean => true;

const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/);
const time = fc.integer({ min: 0, max: NOW * 2 });
const write = fc.record({ domain: name, atMs: time, pending: fc.boolean() });

type Write = { readonly domain: string; readonly atMs: number; readonly pending: boolean };

function marked(writes: readonly Write[]): WriteMarks {
  const marks = new WriteMarks();
  for (const { domain, atMs, pending } of writes) marks.add(domain, { atMs, pendingMs: pending ? atMs : -Infinity });
  return marks;
}

/** At least as strict, which a mark may always become. */
function covers(mark: WriteMark | undefined, { atMs, pending }: Write): boolean {
  return mark !== undefined && mark.atMs >= atMs && (!pending || mark.pendingMs >= atMs);
}

describe('what a session has written', () => {
  it('is never forgotten for want of room, and the text that tells of it is bounded', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 100 }), (writes) => {
        const marks = marked(writes);
        for (const one of writes) expect(covers(marks.of(one.domain), one)).toBe(true);
        expect(marks.domains.length).toBeLessThanOrEqual(32);
        const token = marks.token() ?? '';
        // A header of this length passes every proxy.
        expect(token.length).toBeLessThanOrEqual(4_096);
        expect(token).toMatch(/^[!#$%&'*+.^_`|~0-9A-Za-z-]*$/);
      }),
    );
  });

  it('arrives as it was sent', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 100 }), fc.array(name), (writes, others) => {
        const marks = marked(writes);
        const token = marks.token();
        const read = WriteMarks.read(token, everybody);
        expect(read.token()).toBe(token);
        for (const domain of [...writes.map((one) => one.domain), ...others]) {
          expect(read.of(domain)).toEqual(marks.of(domain));
        }
      }),
    );
  });

  it('of two parts of a session is the later of both', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 60 }), fc.array(write, { maxLength: 60 }), (one, other) => {
        const marks = marked(one);
        marks.addAll(marked(other));
        for (const each of [...one, ...other]) expect(covers(marks.of(each.domain), each)).toBe(true);
      }),
    );
  });

  it('is never of the future once it was capped', () => {
    fc.assert(
      fc.property(fc.array(write, { minLength: 1, maxLength: 60 }), (writes) => {
        const marks = marked(writes);
        for (const { domain } of writes) {
          const before = marks.of(domain)!;
          marks.cap(domain, NOW);
          const { atMs, pendingMs } = marks.of(domain)!;
          expect(atMs).toBe(Math.min(before.atMs, NOW));
          expect(pendingMs).toBe(Math.min(before.pendingMs, NOW));
        }
      }),
    );
  });
});

describe('a text from anybody', () => {
  const near = fc
    .tuple(fc.array(write, { minLength: 1, maxLength: 5 }), fc.nat(), fc.string({ maxLength: 3 }), fc.nat(2))
    .map(([writes, at, put, cut]) => {
      const token = marked(writes).token()!;
      const place = at % (token.length + 1);
      return token.slice(0, place) + put + token.slice(place + cut);
    });
  const anything = fc.oneof(fc.anything(), fc.string(), near);

  it('is read without a throw, and what comes of it is a token', () => {
    fc.assert(
      fc.property(anything, (given) => {
        const marks = WriteMarks.read(given, everybody);
        const token = marks.token();
        if (token === undefined) return;
        expect(typeof given).toBe('string');
        expect(WriteMarks.read(token, everybody).token()).toBe(token);
        for (const domain of marks.domains) {
          const { atMs, pendingMs } = marks.of(domain)!;
          expect(Number.isSafeInteger(atMs) && atMs >= 0).toBe(true);
          expect(pendingMs === -Infinity || (Number.isSafeInteger(pendingMs) && pendingMs >= 0)).toBe(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('says nothing of domains that there are not', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 20 }), (writes) => {
        expect(WriteMarks.read(marked(writes).token(), () => false).domains).toEqual([]);
      }),
    );
  });

  it('costs no more than its length, and beyond 4,096 characters nothing', () => {
    const long = `v1${'.a~1'.repeat(1_000)}`.slice(0, 4_094);
    const from = performance.now();
    for (const text of [long, `${long}~`, `v1.${'a'.repeat(4_000)}`, `v1${'.a~1'.repeat(1_000_000)}`]) {
      expect(WriteMarks.read(text, everybody).token()).toBeUndefined();
    }
    expect(performance.now() - from).toBeLessThan(200);
  });

  it.each(['toString', '__proto__', 'constructor'])('may call a domain %s', (domain) => {
    const marks = WriteMarks.read('v1.a~1', everybody);
    expect(marks.of(domain)).toBeUndefined();
  });
});

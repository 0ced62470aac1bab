import type { DomainPolicies } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { DOMAINS } from './support/fleet.js';
import { BOTH, promise } from './support/promise.js';
import { counted } from './support/source.js';

const GOLD = { domain: 'small', key: 'gold' };
const MOST = 1_000;
/** As JSON, one byte more than may be. */
const LARGE = 'x'.repeat(MOST - 1);
const small = (more: object): DomainPolicies => ({
  small: { ...DOMAINS.balances, maxValueBytes: MOST, ...more },
});
const MEND = expect.stringContaining('raise it') as unknown;

describe('a value larger than maxValueBytes', () => {
  for (const compressAbove of [0, false] as const) {
    promise(
      14,
      `is handed out, not kept, and says the mend (compressed above ${compressAbove})`,
      BOTH,
      async (fleet) => {
        const a = await fleet.start({ domains: small({ compressAbove }) });
        const own = counted(() => LARGE);
        expect([await a.guard.getOrLoad(GOLD, own), await a.guard.getOrLoad(GOLD, own)]).toEqual([LARGE, LARGE]);
        expect(own.calls).toBe(2);
        expect(await a.heard('unencodable')).toMatchObject({ code: 'CG_UNENCODABLE', path: '(root)', detail: MEND });
        expect(await a.guard.put(GOLD, LARGE)).toMatchObject({ stored: false, reason: 'uncacheable' });
        expect(await a.guard.put(GOLD, LARGE.slice(1))).toMatchObject({ stored: true });
        expect(await a.guard.peek(GOLD)).toMatchObject({ value: LARGE.slice(1) });
      },
    );

    promise(14, `is a miss where it is found (compressed above ${compressAbove})`, BOTH, async (fleet) => {
      const b = await fleet.start({ domains: small({ compressAbove, maxValueBytes: MOST + 1 }) });
      const a = await fleet.start({ domains: small({ compressAbove }) });
      await b.guard.put(GOLD, LARGE);
      expect(await b.guard.peek(GOLD)).toMatchObject({ value: LARGE });
      const own = counted(() => 'loaded again');
      expect(await a.guard.getOrLoad(GOLD, own)).toBe('loaded again');
      expect(await a.guard.getOrLoad(GOLD, own)).toBe('loaded again');
      expect(own.calls).toBe(1);
      expect(a.all('corrupt')).toMatchObject([{ domain: 'small', detail: expect.stringContaining(String(MOST)) }]);
    });
  }

  promise(14, 'is also what few objects make that name each other endlessly often', BOTH, async (fleet) => {
    const a = await fleet.start();
    let value: unknown = { price: 1 };
    for (let i = 0; i < 64; i++) value = [value, value];
    for (const plain of [false, true]) {
      const target = { domain: 'balances', key: String(plain), plain };
      expect(await a.guard.getOrLoad<unknown>(target, async () => value)).toBe(value);
      expect(await a.guard.peek(target)).toBeUndefined();
    }
    expect(a.all('unencodable')).toMatchObject(
      Array.from({ length: 2 }, () => ({ detail: expect.stringContaining('raise maxValueBytes') as unknown })),
    );
    const shared = { price: 1 };
    const list = Array.from({ length: 1_000 }, () => shared);
    expect(await a.guard.put({ domain: 'balances', key: 'list' }, list)).toMatchObject({ stored: true });
  });
});

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { DomainPolicies } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { until, type Fleet, type Member } from './support/fleet.js';
import { keep, near, read, trust } from './support/l1.js';
import { BOTH, MEMORY } from './support/promise.js';
import { counted } from './support/source.js';
import { rich, spoil } from '../support/values.js';

const REFERENCE = { freshness: 'reference', softTtl: '1m', hardTtl: '10m', jitter: 0 } as const;

class NotFound extends Error {
  override readonly name = 'NotFound';
}

const domains = {
  plain: REFERENCE,
  exact: { ...REFERENCE, negativeTtl: 'off' },
  absent: { ...REFERENCE, isAbsent: (outcome) => 'error' in outcome && outcome.error instanceof NotFound },
  packed: { ...REFERENCE, compressAbove: 0 },
  binary: { ...REFERENCE, codec: 'binary' },
} as const satisfies DomainPolicies;

const at = (domain: keyof typeof domains, key = 'gold') => ({ domain, key });

class Offer {
  constructor(
    readonly id: string,
    readonly rates: number[],
  ) {}

  label(): string {
    return `${this.id} at ${this.rates.join()}`;
  }
}

/** Reads of one target, until the last of them came from memory. */
async function fromMemory<T>(member: Member, target: object, load: (context: never) => Promise<T>): Promise<T> {
  let value: T;
  await until(async () => {
    const hits = member.all('hit').length;
    value = await member.guard.getOrLoad<T>(target as never, load as never);
    return member.all('hit')[hits]?.tier === 'l1';
  }, 'a hit in memory');
  return value!;
}

const start = (fleet: Fleet) => near(fleet, { domains });

describe('values from memory', () => {
  trust('null, nothing, zero, the empty text and false are values like any other', BOTH, async (fleet) => {
    const a = await start(fleet);
    for (const domain of ['plain', 'exact', 'packed', 'binary'] as const) {
      for (const [i, value] of [null, undefined, 0, '', false, -0, Number.NaN, 10n].entries()) {
        const source = counted(() => value as unknown);
        const target = at(domain, `key-${i}`);
        const got = await fromMemory(a, target, source);
        expect(Object.is(got, value), `${domain} ${String(value)}`).toBe(true);
        expect(source.calls).toBe(1);
      }
    }
  });

  trust('absence that was thrown is thrown again, each time anew', BOTH, async (fleet) => {
    const a = await start(fleet);
    const source = counted(() => Promise.reject<string>(new NotFound('no such offer')));
    const errors: unknown[] = [];
    await until(async () => {
      errors.push(await a.guard.getOrLoad(at('absent'), source).catch((error: unknown) => error));
      return a.all('hit', { tier: 'l1' }).length >= 2;
    });
    expect(source.calls).toBe(1);
    expect(new Set(errors).size).toBe(errors.length);
    for (const error of errors) expect(error).toMatchObject({ name: 'NotFound', message: 'no such offer' });
    expect(a.all('hit', { tier: 'l1' })[0]).toMatchObject({ negative: true, state: 'fresh' });
  });

  trust('absence is kept for its own time', MEMORY, async (fleet) => {
    const a = await start(fleet);
    await keep(a, at('plain'), null);
    await fleet.pass(59_999);
    expect(await read(a, at('plain'))).toMatchObject({ value: null, from: 'l1' });
    await fleet.pass(1);
    expect(await read(a, at('plain'), 'there')).toMatchObject({ value: 'there', from: 'load' });
  });

  trust('dates, maps, sets and bytes are copied for each reader', BOTH, async (fleet) => {
    const a = await start(fleet);
    for (const domain of ['plain', 'packed', 'binary'] as const) {
      const source = counted(rich);
      for (let i = 0; i < 3; i++) {
        const mine = await fromMemory(a, at(domain), source);
        expect(mine).toEqual(rich());
        spoil(mine);
        const both = await Promise.all([1, 2].map(() => fromMemory(a, at(domain), source)));
        expect(both[0]).not.toBe(both[1]);
        for (const one of both) expect(one).toEqual(rich());
        spoil(both[0]!);
        expect(both[1]).toEqual(rich());
      }
      expect(source.calls).toBe(1);
    }
  });

  trust('plain values are one frozen copy, not the one that the loader still holds', BOTH, async (fleet) => {
    const a = await start(fleet);
    const held = { list: [1], inner: { a: 1 } };
    const source = counted(() => held);
    for (const domain of ['plain', 'packed'] as const) {
      const [one, two] = [await fromMemory(a, at(domain), source), await fromMemory(a, at(domain), source)];
      expect(one).toBe(two);
      expect(one).not.toBe(held);
      expect(() => one.list.push(2)).toThrow(TypeError);
      expect(() => (one.inner.a = 2)).toThrow(TypeError);
    }
    held.list.push(666);
    expect(await fromMemory(a, at('plain'), source)).toEqual({ list: [1], inner: { a: 1 } });
  });

  trust('instances are revived for each reader, beside readers who want it plain', BOTH, async (fleet) => {
    const a = await start(fleet);
    const source = counted(() => new Offer('gold', [2]));
    const revived = { ...at('plain'), revive: Offer };
    const byFunction = {
      ...at('plain'),
      revive: ({ id, rates }: { id: string; rates: number[] }) => new Offer(`${id}!`, rates),
    };
    for (let i = 0; i < 2; i++) {
      const one = await fromMemory(a, revived, source);
      const two = await fromMemory(a, revived, source);
      expect([one.label(), two.label()]).toEqual(['gold at 2', 'gold at 2']);
      one.rates.push(666);
      expect((await fromMemory(a, byFunction, source)).label()).toBe('gold! at 2');
      const plain = await fromMemory(a, { ...at('plain'), plain: true }, source);
      expect(plain).not.toBeInstanceOf(Offer);
      expect(plain).toEqual({ id: 'gold', rates: [2] });
      expect(two.label()).toBe('gold at 2');
    }
    expect(source.calls).toBe(1);
  });

  trust('sharing one object is a choice', BOTH, async (fleet) => {
    const a = await start(fleet);
    const target = { ...at('plain'), aliasing: 'shared' } as const;
    const one = await fromMemory(a, target, async () => rich());
    expect(await fromMemory(a, target, async () => rich())).toBe(one);
  });

  trust('what memory cannot open is asked for again, and never served', MEMORY, async (fleet) => {
    let broken = false;
    const revive = (plain: unknown): unknown => {
      if (broken) throw new TypeError('not today');
      return plain;
    };
    const a = await start(fleet);
    const target = { ...at('plain'), revive };
    await fromMemory(a, target, async () => ({ a: 1 }));
    broken = true;
    await fromMemoryFails(a, target);
    broken = false;
    expect(await a.guard.getOrLoad<unknown>(target, async () => ({ a: 2 }))).toBeDefined();
  });
});

describe('values that this process cannot open', () => {
  trust('another codec is a miss like any other, not an outage', BOTH, async (fleet) => {
    const codec = { id: 99, name: 'own', encode: () => Buffer.from('?'.repeat(100)), decode: () => 'theirs' };
    for (const compressAbove of [0, false] as const) {
      const target = { domain: 'shared', key: `key-${compressAbove}` };
      const a = await near(fleet, { domains: { shared: { ...REFERENCE, compressAbove, codec } } });
      const b = await near(fleet, { domains: { shared: { ...REFERENCE, compressAbove } } });
      await a.guard.getOrLoad(target, async () => 'theirs');
      expect(await read(b, target, 'ours')).toMatchObject({ value: 'ours', from: 'load' });
      expect(b.all('store-error')).toEqual([]);
      expect(b.all('miss')).toMatchObject([{ cause: 'corrupt' }]);
    }
  });
});

async function fromMemoryFails(member: Member, target: object): Promise<void> {
  const load = async () => ({ a: 2 });
  await member.guard.getOrLoad<unknown>(target as never, load).catch(() => {});
  expect(member.all('hit', { tier: 'l1', state: 'fresh' }).length).toBeGreaterThan(0);
  const hits = member.all('hit').length;
  await member.guard.getOrLoad<unknown>(target as never, load).catch(() => {});
  expect(member.all('hit')).toHaveLength(hits);
}

describe('what memory holds on to', () => {
  /** Whether the object is gone once nobody holds it any more. */
  async function isForgotten(held: WeakRef<object>): Promise<boolean> {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    for (let round = 0; round < 20 && held.deref(); round++) {
      await new Promise(setImmediate);
      gc();
    }
    return held.deref() === undefined;
  }

  trust("not the first reader's call, with all that its loader holds", MEMORY, async (fleet) => {
    const [a, b] = [await start(fleet), await start(fleet)];
    await b.guard.getOrLoad(at('plain', 'theirs'), async () => 'of another process');
    // What a process loads goes into its memory on another way than what it reads.
    for (const target of [at('plain', 'own'), at('plain', 'theirs')]) {
      const held = await (async () => {
        const request = { body: 'x'.repeat(1_000) };
        await fromMemory(a, target, async () => `${request.body.length}`);
        a.events.length = 0;
        return new WeakRef(request);
      })();
      expect(await read(a, target)).toMatchObject({ from: 'l1' });
      expect(await isForgotten(held), target.key).toBe(true);
    }
  });

  trust('nothing of what was dropped, pushed out or closed', MEMORY, async (fleet) => {
    const a = await near(fleet, { domains: { few: { ...REFERENCE, l1: { maxEntries: 1 } } } });
    const target = (key: string) => ({ domain: 'few', key, tags: ['t'] });
    const refs: WeakRef<object>[] = [];
    const take = async (key: string) => {
      const value = await fromMemory(a, target(key), async () => ({ key }));
      refs.push(new WeakRef(value));
    };
    await take('pushed-out');
    await take('dropped');
    await a.guard.invalidateTags({ domain: 'few', tags: ['t'] });
    await take('closed');
    await fleet.patiently(a.guard.close());
    for (const ref of refs) expect(await isForgotten(ref)).toBe(true);
  });
});

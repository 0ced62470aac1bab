import { describe, expect } from 'vitest';
import { BOTH, promise } from './support/promise.js';
import { rich, spoil, type Rich } from '../support/values.js';

const BALANCE = { domain: 'balances', key: 'gold' };

interface Account {
  owner: { name: string };
  limits: number[];
}
const account = (): Account => ({ owner: { name: 'Ada' }, limits: [1, 2] });

class Offer {
  constructor(
    readonly id: string,
    readonly rate: number,
  ) {}

  label(): string {
    return `${this.id} at ${this.rate}`;
  }
}

describe('no aliasing', () => {
  promise(16, 'plain values: nobody can change what another has', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const source = fleet.source<Account>();
    const reads = [a, a, b].map(({ guard }) => guard.getOrLoad(BALANCE, source.load));
    (await source.call(1)).resolve(account());
    const got = [
      ...(await Promise.all(reads)),
      await a.guard.getOrLoad(BALANCE, source.load),
      (await a.guard.peek<Account>(BALANCE))!.value,
    ];
    for (const value of got) {
      expect(() => value.limits.push(3)).toThrow(TypeError);
      expect(() => (value.owner.name = 'Eve')).toThrow(TypeError);
      expect(value).toEqual(account());
    }
  });

  promise(16, "what the user's code still holds is neither frozen nor shared", BOTH, async (fleet) => {
    const a = await fleet.start();
    const held = account();
    const got = await a.guard.getOrLoad(BALANCE, async () => held);
    expect(got).not.toBe(held);
    held.owner.name = 'Eve';
    held.limits.push(3);
    expect([got, await a.guard.getOrLoad(BALANCE, async () => held)]).toEqual([account(), account()]);

    const put = account();
    await a.guard.put(BALANCE, put);
    put.limits.push(3);
    const written = account();
    expect(await a.guard.getOrLoad(BALANCE, async () => put)).toEqual(account());
    expect(await a.guard.writeThrough(BALANCE, async () => written)).toBe(written);
    written.limits.push(3);
    expect(await a.guard.getOrLoad(BALANCE, async () => put)).toEqual(account());
  });

  promise(16, 'values with dates, maps, sets and bytes are copied for each reader', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const source = fleet.source<Rich>();
    const reads = [a, a, a].map(({ guard }) => guard.getOrLoad(BALANCE, source.load));
    const load = await source.call(1);
    reads.push(b.guard.getOrLoad(BALANCE, source.load), b.guard.getOrLoad(BALANCE, source.load));
    await b.heard('lease', { outcome: 'refused' });
    const held = rich();
    load.resolve(held);
    for (const read of reads) {
      const mine = await read;
      expect(mine).toEqual(rich());
      spoil(mine);
    }
    for (const { guard } of [a, a, b]) {
      const hits = await Promise.all([1, 2].map(() => guard.getOrLoad(BALANCE, source.load)));
      for (const mine of [...hits, (await guard.peek<Rich>(BALANCE))!.value]) {
        expect(mine).toEqual(rich());
        spoil(mine);
      }
    }
    expect(held).toEqual(rich());
    expect(source.calls).toHaveLength(1);
  });

  promise(16, 'a load cannot change what is kept through its previous value', BOTH, async (fleet) => {
    const a = await fleet.start();
    const target = { domain: 'rates', key: 'gold' };
    await a.guard.getOrLoad(target, async () => rich());
    await a.guard.invalidate(target);
    const read = a.guard.getOrLoad<Rich>(target, async (context) => {
      spoil(context.previous!.value);
      throw new Error('no source');
    });
    expect(await read).toEqual(rich());
  });

  promise(16, 'a miss gives what a hit gives', BOTH, async (fleet) => {
    const a = await fleet.start();
    const source = {
      at: new Date(5),
      list: [undefined, -0, Number.NaN, 10n],
      nested: { map: new Map([[1, { a: new Date(1) }]]) },
    };
    const miss = await a.guard.getOrLoad(BALANCE, async () => source);
    const hit = await a.guard.getOrLoad(BALANCE, async () => source);
    expect(miss).toStrictEqual(hit);
    expect(miss).toStrictEqual(source);
    expect(miss).not.toBe(source);
  });

  promise(16, 'without its store, each reader of one load still has his own', BOTH, async (fleet) => {
    const a = await fleet.start();
    a.store.down();
    const source = fleet.source<Rich>();
    const reads = [1, 2, 3].map(() => a.guard.getOrLoad(BALANCE, source.load));
    const held = rich();
    (await source.call(1)).resolve(held);
    for (const read of reads) {
      const mine = await read;
      expect(mine).toEqual(rich());
      spoil(mine);
    }
    expect(held).toEqual(rich());
    expect(source.calls).toHaveLength(1);
  });

  promise(16, 'class instances are not flattened in silence', BOTH, async (fleet) => {
    const a = await fleet.start();
    const offer = new Offer('gold', 2);
    expect(await a.guard.getOrLoad(BALANCE, async () => ({ offer }))).toEqual({ offer });
    expect(await a.heard('unencodable')).toMatchObject({
      code: 'CG_UNENCODABLE',
      path: expect.stringContaining('offer'),
    });
    expect(await a.guard.peek(BALANCE)).toBeUndefined();
  });

  promise(16, 'revive gives instances on misses and on hits, each reader his own', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const target = { ...BALANCE, revive: Offer };
    const got = [
      await a.guard.getOrLoad(target, async () => new Offer('gold', 2)),
      await a.guard.getOrLoad(target, async () => new Offer('gold', 3)),
      await b.guard.getOrLoad(target, async () => new Offer('gold', 3)),
    ];
    for (const offer of got) {
      expect(offer).toBeInstanceOf(Offer);
      expect(offer.label()).toBe('gold at 2');
      Object.assign(offer, { rate: 666 });
    }
    expect(new Set(got).size).toBe(3);
  });

  promise(16, 'plain says that flattening is meant, on misses as on hits', BOTH, async (fleet) => {
    const a = await fleet.start();
    const target = { ...BALANCE, plain: true };
    for (const _ of ['miss', 'hit']) {
      const got = await a.guard.getOrLoad(target, async () => new Offer('gold', 2));
      expect(got).toStrictEqual({ id: 'gold', rate: 2 });
    }
  });

  promise(16, 'shared is an explicit choice: one object, not frozen', BOTH, async (fleet) => {
    const a = await fleet.start();
    const target = { ...BALANCE, aliasing: 'shared' } as const;
    const source = fleet.source<Rich>();
    const reads = [1, 2].map(() => a.guard.getOrLoad(target, source.load));
    (await source.call(1)).resolve(rich());
    const [one, two] = await Promise.all(reads);
    expect(one).toBe(two);
    expect(Object.isFrozen(one)).toBe(false);
    const other = await a.guard.getOrLoad(BALANCE, async () => rich());
    expect(other).not.toBe(one);
    spoil(one!);
    expect(await a.guard.getOrLoad(BALANCE, async () => rich())).toEqual(rich());
  });
});

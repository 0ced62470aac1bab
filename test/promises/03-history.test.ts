import { expect } from 'vitest';
import { DOMAINS, settle, type Member } from './support/fleet.js';
import { ALL, promise } from './support/promise.js';

const KEY = { domain: 'balances', key: 'gold', tags: ['tag'] };
const EVENTS = 200;
const OPERATIONS = ['read', 'acquire', 'commit'] as const;

/** Repeatable as far as the network is; the seed is shown when a history goes wrong. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

promise(
  3,
  'in a random history no read that starts after an invalidation or a write gives anything older',
  ALL,
  async (fleet) => {
    const seed = Date.now() % 2 ** 32;
    const random = randomFrom(seed);
    const domains = { balances: { ...DOMAINS.balances, lease: { duration: '300ms' } } } as const;
    const members = await fleet.startAll(3, { domains });
    let source = 0;
    let known = 0;
    const history = { over: false };
    const wrong: string[] = [];

    const load = async (): Promise<number> => {
      await settle(random(4));
      const value = source;
      await settle(2 + random(20));
      return value;
    };
    const events: ((member: Member, value: number) => Promise<unknown>)[] = [
      ({ guard }) => guard.invalidate(KEY),
      ({ guard }) => guard.invalidate({ ...KEY, mode: 'expire' }),
      ({ guard }) => guard.invalidateTags({ domain: KEY.domain, tags: KEY.tags, mode: 'expire' }),
      ({ guard }) => guard.invalidateDomain(KEY.domain),
      ({ guard }, value) => guard.put(KEY, value),
    ];
    const holdUp = ({ store }: Member, operation: (typeof OPERATIONS)[number]): void => {
      const held = store.delayReply(operation);
      void settle(5 + random(30)).then(() => held.release());
    };
    const happen = async (): Promise<void> => {
      for (let event = 0; event < EVENTS; event++) {
        const member = members[random(members.length)]!;
        if (random(4) === 0) member.store.loseReply('commit');
        if (random(2) === 0) holdUp(members[random(members.length)]!, OPERATIONS[random(OPERATIONS.length)]!);
        if (random(8) === 0) await member.guard.refresh(KEY, load).catch(() => {});
        if (random(4) === 0) member.store.deaf = !member.store.deaf;
        const write = random(6) === 0;
        const value = write ? source : ++source;
        if (write) await member.guard.writeThrough(KEY, async () => (await settle(random(6)), ++source));
        else await events[random(events.length)]!(member, value).catch(() => member.guard.invalidate(KEY));
        known = write ? source : value;
        await settle(random(30));
      }
      history.over = true;
    };
    const read = async ({ guard }: Member): Promise<void> => {
      const least = known;
      const got = await guard.getOrLoad(KEY, load);
      if (got < least) wrong.push(`${got} after ${least}`);
    };
    // Readers come whatever becomes of those before them.
    const arrive = async (): Promise<void> => {
      const reads: Promise<void>[] = [];
      while (!history.over) {
        reads.push(read(members[random(members.length)]!));
        await settle(1);
      }
      await Promise.all(reads);
    };
    await fleet.patiently(Promise.all([happen(), arrive()]));
    expect(wrong, `seed ${seed}`).toEqual([]);
    expect(members.flatMap((member) => member.all('hit')).length).toBeGreaterThan(0);
  },
);

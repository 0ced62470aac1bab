import { afterEach, describe, expect, inject, it } from 'vitest';
import { until } from '../support/redis-server.js';
import { Market, type Follower, type KillPoint } from './support/stream-followers.js';

let market: Market;

afterEach(() => market.close());

const IDS = Array.from({ length: 20 }, (_, i) => `offer${i}`);

/** Everything is cached as `old`, by a process that has left. */
async function cachedOld(ids: readonly string[]): Promise<void> {
  const first = await market.follower();
  await market.setTruth(ids, 'old');
  await market.shown(first, ids, 'old');
  await first.close();
}

async function gaps(...followers: readonly Follower[]): Promise<string[]> {
  const all = await Promise.all(followers.map((follower) => follower.events('event-gap')));
  return all.flat().map(({ reason }) => reason);
}

const settled = () => until('nothing is pending', async () => (await market.pending()) === 0);

describe('promise 12: events of a stream', () => {
  it.each<KillPoint>(['received', 'acting', 'done'])(
    'are not lost with a process that is killed between their receipt and their acknowledgement (%s)',
    async (killAt) => {
      market = new Market(inject('redisUrl'));
      await cachedOld(IDS);
      const victim = await market.follower(killAt);
      await market.setTruth(IDS, 'new');
      await market.publish(IDS);
      await until('it has died', () =>
        victim.events('domain-events').then(
          () => false,
          () => true,
        ),
      );
      expect(await market.pending()).toBeGreaterThan(0);

      const heir = await market.follower();
      await market.shown(heir, IDS, 'new');
      await settled();
      expect(await gaps(heir)).toEqual([]);
    },
  );

  it('are shared by the processes; when one of them is killed the others do its part', async () => {
    market = new Market(inject('redisUrl'));
    const ids = Array.from({ length: 400 }, (_, i) => `offer${i}`);
    await cachedOld(ids);
    const [victim, other] = await Promise.all([market.follower(), market.follower()]);
    await market.setTruth(ids, 'new');
    let published = 0;
    while (published < 200 || (await victim.applied()) === 0 || (await other.applied()) === 0) {
      await market.publish(ids.slice(published % 200, (published % 200) + 20));
      published += 20;
    }
    const rest = market.publish(ids.slice(200));
    await Promise.all([victim.worker.kill(), rest]);
    await market.shown(other, ids, 'new');
    await settled();
    expect(await gaps(other)).toEqual([]);
  });

  it('that were published while every process was down are made up for', async () => {
    market = new Market(inject('redisUrl'));
    await cachedOld(IDS);
    await market.setTruth(IDS, 'new');
    await market.publish(IDS);
    const follower = await market.follower();
    await market.shown(follower, IDS, 'new');
    await settled();
    expect([await follower.applied(), await gaps(follower)]).toEqual([IDS.length, []]);
  });

  it('that were trimmed meanwhile cost the whole domain, and nobody is shown what they were about', async () => {
    market = new Market(inject('redisUrl'));
    await cachedOld(IDS);
    await market.setTruth(IDS, 'new');
    await market.publish(IDS);
    await market.raw.xtrim(market.stream, 'MAXLEN', 0);
    const follower = await market.follower();
    await market.shown(follower, IDS, 'new');
    expect(await gaps(follower)).toEqual([`events were removed before anybody read them: ${IDS.length}`]);
  });

  it('that break their rule hold up no other, and are put aside with the reason', async () => {
    market = new Market(inject('redisUrl'));
    await cachedOld(IDS);
    const followers = await Promise.all([market.follower(), market.follower()]);
    await market.setTruth(IDS, 'new');
    await market.publish(['x'], 'offer.broken');
    await market.publish(IDS);
    await market.shown(followers[0], IDS, 'new');
    const dead = async () => (await Promise.all(followers.map((one) => one.events('dead-letter')))).flat();
    await until('it was put aside', async () => (await dead()).length > 0);
    expect((await dead()).map(({ reason }) => reason)).toEqual([expect.stringContaining('this event breaks its rule')]);
    const letters = await market.raw.xrange(`{${market.stream}}:dead`, '-', '+');
    expect(letters).toHaveLength(1);
    expect(letters[0]![1]).toEqual(expect.arrayContaining(['tries', '3']));
    await settled();
  });
});

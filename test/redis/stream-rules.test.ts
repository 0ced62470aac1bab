import { afterEach, describe, expect, inject, it } from 'vitest';
import { until } from '../support/redis-server.js';
import { StreamBench, type Heard } from './support/stream.js';

const benches: StreamBench[] = [];
afterEach(async () => {
  for (const one of benches.splice(0)) await one.close();
});

function bench(): StreamBench {
  const made = StreamBench.on(inject('redisUrl'));
  benches.push(made);
  return made;
}

/** Follows with rules of that name, and looks at the others all the time. */
const withRules = (b: StreamBench, rules: string) => b.follow({ forgetAfterMs: 300 }, (heard) => (heard.rules = rules));

/** The names in the group of those with the second rules. */
const others = async (b: StreamBench) => (await b.consumers()).filter((name) => name.includes('~v2'));

const differs = ({ troubles }: Heard) => troubles.some((one) => (one as { code?: string }).code === 'CG_RULES_DIFFER');

describe('processes of one group with other rules', () => {
  it('are told of on both sides, and nobody rests on the source', async () => {
    const b = bench();
    const one = await withRules(b, 'v1');
    await until('it is alive', async () => one.heard.lags.length > 0);
    const other = await withRules(b, 'v2');
    await until('both know', async () => differs(one.heard) && differs(other.heard));
    expect(other.heard.troubles.at(-1)).toMatchObject({ field: 'group' });
    expect(String(other.heard.troubles.at(-1))).toMatch(/1 of 2 processes of its group 'bench'.*redisStream's group/);
    const said = one.heard.lags.length + other.heard.lags.length;
    const told = one.heard.troubles.length;
    await until('it is told again', async () => one.heard.troubles.length >= told + 2);
    expect(one.heard.lags.length + other.heard.lags.length).toBe(said);
  });

  it('that leave have read what was not theirs: what follows the source is invalidated once, and may rest on it again', async () => {
    const b = bench();
    const old = await withRules(b, 'v1');
    const { heard } = await withRules(b, 'v2');
    await until('they are seen', async () => differs(heard));
    heard.atLoss = async () => {
      heard.atLoss = async () => {};
      throw new Error('the store is away');
    };
    expect(heard.losses).toEqual([]);
    await old.source.close();
    await until('it is alive again', async () => heard.lags.length > 0);
    expect(heard.losses).toEqual(['lost: processes with other rules have read from the group']);
  });

  it('that were there between two looks have left word: it is made up for once, in the group as a whole', async () => {
    const b = bench();
    await b.makeGroup();
    const canary = await b.follow({}, (heard) => (heard.rules = 'v2'));
    await b.publish('e1');
    await until('it took what was not its own', async () => canary.heard.ids.length === 1);
    await canary.source.close();
    const { heard } = await b.follow({}, (made) => {
      made.rules = 'v1';
      made.atLoss = async () => {
        // Nobody rests on the source, and the word remains, until that is done.
        expect(made.lags).toEqual([]);
        expect(await others(b)).toHaveLength(1);
      };
    });
    await until('it is alive', async () => heard.lags.length > 0);
    expect(heard.losses).toEqual(['lost: processes with other rules have read from the group']);
    expect(heard.troubles).toMatchObject([{ code: 'CG_RULES_DIFFER' }]);
    expect(String(heard.troubles[0])).toMatch(/processes of its group 'bench' had other rules/);
    expect(await others(b)).toEqual([]);
    const next = await withRules(b, 'v1');
    await until('it is alive', async () => next.heard.lags.length >= 3);
    expect([...next.heard.losses, ...next.heard.troubles]).toEqual([]);
  });

  it('that have died with something pending are made up for once, before it is taken over', async () => {
    const b = bench();
    await b.makeGroup();
    await b.publish('e1');
    await b.readAndDie(1, 'dead~v2~left');
    const { heard } = await withRules(b, 'v1');
    await until('several looks are over', async () => heard.lags.length >= 4);
    expect(heard.losses).toHaveLength(1);
    expect(await others(b)).toHaveLength(1);
  });

  it('that were there before are not forgotten while nobody has made up for it', async () => {
    const b = bench();
    const canary = await withRules(b, 'v2');
    await canary.source.close();
    const { heard } = await b.follow({ forgetAfterMs: 300 }, (made) => {
      made.rules = 'v1';
      made.atLoss = () => Promise.reject(new Error('the store is away'));
    });
    const looked = () => heard.troubles.filter((one) => String(one).includes('away')).length;
    await until('it was tried', async () => looked() >= 4);
    expect(await others(b)).toHaveLength(1);
    expect(heard.lags).toEqual([]);
  });

  it('are those of another namespace too', async () => {
    const b = bench();
    const inNamespace = (namespace: string) => b.follow({ namespace }, (heard) => (heard.rules = 'v1'));
    const shop = await inNamespace('shop');
    await until('it is alive', async () => shop.heard.lags.length > 0);
    const twin = await inNamespace('shop');
    await until('it is alive', async () => twin.heard.lags.length > 0);
    const { heard } = await inNamespace('admin');
    await until('they are seen', async () => differs(heard));
    expect(String(heard.troubles[0])).toMatch(/2 of 3 processes .* or another namespace/);
    expect([...twin.heard.troubles, ...heard.lags]).toEqual([]);
  });

  it('are none when their rules have one name, or none', async () => {
    const b = bench();
    const heards = [await withRules(b, 'v1'), await withRules(b, 'v1')].map(({ heard }) => heard);
    const { heard } = await b.follow({ forgetAfterMs: 300 });
    await until('all have looked', async () => [...heards, heard].every(({ lags }) => lags.length >= 3));
    expect([...heards, heard].flatMap(({ troubles }) => troubles)).toEqual([]);
    expect((await b.consumers()).filter((name) => name.endsWith('~v1'))).toHaveLength(2);
  });
});

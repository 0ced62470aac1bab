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

  it('are none when their rules have one name, or none', async () => {
    const b = bench();
    const heards = [await withRules(b, 'v1'), await withRules(b, 'v1')].map(({ heard }) => heard);
    const { heard } = await b.follow({ forgetAfterMs: 300 });
    await until('all have looked', async () => [...heards, heard].every(({ lags }) => lags.length >= 3));
    expect([...heards, heard].flatMap(({ troubles }) => troubles)).toEqual([]);
    expect((await b.consumers()).filter((name) => name.endsWith('~v1'))).toHaveLength(2);
  });
});

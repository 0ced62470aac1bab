import { NotFoundException } from '@nestjs/common';
import type { DomainPolicies, LoadContext } from 'nestjs-cache-guard';
import { describe, expect, vi } from 'vitest';
import { makeBreaker } from '../../lib/adapters/breaker.js';
import { DOMAINS, settle, type Fleet, type Member, type StoreKind } from './support/fleet.js';
import { BOTH, MEMORY, promise as declare } from './support/promise.js';
import { counted, type Counted } from './support/source.js';

const breaker = { failures: 3, pause: '1s' } as const;
const domains = {
  flaky: { ...DOMAINS.balances, breaker },
  beside: { ...DOMAINS.balances, breaker },
  instead: { ...DOMAINS.rates, breaker },
  behind: { ...DOMAINS.offers, breaker },
  slow: { ...DOMAINS.balances, breaker, loadTimeout: '1s', waitBudget: '5s', bulkhead: { concurrency: 3 } },
  paced: { ...DOMAINS.balances, breaker: { failures: 1, pause: '1s' }, maxLoadsPerSecond: 0.1 },
  plain: DOMAINS.balances,
} as const satisfies DomainPolicies;
type Domain = keyof typeof domains;
type Load = (context: LoadContext) => Promise<unknown>;

/** What the pause of a breaker counts from; it goes by the machine's time. */
function promise(number: number, title: string, stores: readonly StoreKind[], run: (fleet: Fleet) => Promise<void>) {
  declare(number, title, stores, async (fleet) => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      await run(fleet);
    } finally {
      vi.useRealTimers();
    }
  });
}

const pass = (ms: number) => vi.setSystemTime(Date.now() + ms);
/** Longer than any first pause. */
const PAUSE_MS = 2_000;

const start = (fleet: Fleet) => fleet.start({ domains, makeBreaker });

const failing = (text = 'no source'): Counted<unknown> =>
  counted<unknown>((_context, call) => {
    throw new Error(`${text} ${call}`);
  });
const answering = counted<unknown>(() => {
  throw new NotFoundException('no such key');
});

const read = ({ guard }: Member, domain: Domain, key: string, load: Load, signal?: AbortSignal) =>
  guard.getOrLoad<unknown>({ domain, key, signal }, load).catch((error: unknown) => error);

let keys = 0;
/** One load after another, each of a key of its own. */
async function loadAll(member: Member, domain: Domain, ...loads: readonly Load[]) {
  for (const load of loads) await read(member, domain, `key.${++keys}`, load);
}

async function open(member: Member, domain: Domain): Promise<void> {
  const { failures } = domains[domain as 'flaky'].breaker;
  await loadAll(member, domain, ...Array.from({ length: failures }, () => failing()));
  expect(states(member)).toEqual(['open']);
}

const states = (member: Member) => member.all('loader-breaker').map(({ state }) => state);

describe('a breaker on the loader: what opens it', () => {
  promise(8, 'so many failures in a row, whatever the keys; then nobody asks the source', BOTH, async (fleet) => {
    const a = await start(fleet);
    const load = failing();
    await loadAll(a, 'flaky', load, load);
    expect(states(a)).toEqual([]);
    await loadAll(a, 'flaky', load);
    expect(a.all('loader-breaker')).toEqual([{ type: 'loader-breaker', domain: 'flaky', state: 'open' }]);
    const refusal = await read(a, 'flaky', 'another', load);
    expect(refusal).toMatchObject({ code: 'CG_SOURCE_BROKEN', domain: 'flaky', field: 'breaker' });
    expect((refusal as Error).cause).toEqual(new Error('no source 3'));
    expect((refusal as Error).message).toContain('3 times in a row');
    expect(load.calls).toBe(3);
    expect(a.all('load')).toHaveLength(3);
    // The others are not concerned.
    expect(await read(a, 'beside', 'gold', async () => 'value')).toBe('value');
  });

  promise(8, 'a success or an answer in between begins the row anew', MEMORY, async (fleet) => {
    const a = await start(fleet);
    for (const between of [async () => 'value', answering]) {
      const load = failing();
      await loadAll(a, 'flaky', load, load, between, load, load, between);
      expect(load.calls).toBe(4);
    }
    await loadAll(a, 'flaky', ...Array.from({ length: 10 }, () => answering));
    expect(states(a)).toEqual([]);
  });

  promise(8, 'a load that nobody wants any more says nothing', MEMORY, async (fleet) => {
    const a = await start(fleet);
    const source = fleet.source();
    const leaving = new AbortController();
    const load = failing();
    await loadAll(a, 'flaky', load, load);
    const left = [1, 2, 3, 4].map((n) => read(a, 'flaky', `left.${n}`, source.load, leaving.signal));
    await source.call(4);
    leaving.abort(new Error('left'));
    await Promise.all(left);
    await settle();
    expect(states(a)).toEqual([]);
    await loadAll(a, 'flaky', load);
    expect(states(a)).toEqual(['open']);
    const refusal = await read(a, 'flaky', 'another', load);
    expect((refusal as Error).cause).toEqual(new Error('no source 3'));
  });

  promise(
    8,
    'a load that outlasts its time-out has failed, and keeps its slot until it ends',
    MEMORY,
    async (fleet) => {
      const a = await start(fleet);
      const hanging = fleet.source();
      const reads = [1, 2, 3].map((n) => read(a, 'slow', `hung.${n}`, hanging.load));
      await hanging.call(3);
      await fleet.pass(1_001);
      expect(await Promise.all(reads)).toMatchObject([1, 2, 3].map(() => ({ code: 'CG_LOAD_TIMEOUT' })));
      await settle();
      expect(states(a)).toEqual(['open']);
      const load = counted<unknown>(() => 'value');
      const queued = read(a, 'slow', 'queued', load);
      await fleet.pass(1_000);
      expect(await Promise.race([queued, settle().then(() => 'still waiting')])).toBe('still waiting');
      hanging.calls[0]!.resolve('late');
      expect(await queued).toMatchObject({ code: 'CG_SOURCE_BROKEN', cause: { code: 'CG_LOAD_TIMEOUT' } });
      expect(load.calls).toBe(0);
      expect(states(a)).toEqual(['open']);
    },
  );

  promise(8, 'a loader that throws before it gives a promise has failed', MEMORY, async (fleet) => {
    const a = await start(fleet);
    const thrown = new Error('at once');
    const load = (): never => {
      throw thrown;
    };
    await loadAll(a, 'flaky', load, load, load);
    expect(states(a)).toEqual(['open']);
    expect(await read(a, 'flaky', 'another', load)).toMatchObject({ code: 'CG_SOURCE_BROKEN', cause: thrown });
  });
});

describe('a breaker on the loader: while it is open', () => {
  for (const domain of ['instead', 'behind'] as const) {
    promise(8, `a permitted old value is served (${domain})`, BOTH, async (fleet) => {
      const a = await start(fleet);
      await a.guard.put({ domain, key: 'gold' }, 'old');
      await a.guard.invalidate({ domain, key: 'gold' });
      await open(a, domain);
      const load = failing();
      for (let time = 0; time < 3; time++) {
        const { value, served } = await a.guard.trace(() => a.guard.getOrLoad<unknown>({ domain, key: 'gold' }, load));
        expect(value).toBe('old');
        expect(served).toMatchObject([{ state: 'stale' }]);
      }
      await settle(20);
      expect(load.calls).toBe(0);
      expect(await read(a, domain, 'cold', load)).toMatchObject({ code: 'CG_SOURCE_BROKEN' });
    });
  }

  promise(8, 'a load for one caller only is refused as well, and is no load', MEMORY, async (fleet) => {
    const a = await start(fleet);
    const target = { domain: 'flaky', key: 'mine' };
    await a.guard.getOrLoad(target, async (context) => (context.doNotCache(), 'mine'));
    await open(a, 'flaky');
    const before = a.all('load').length;
    const load = counted<unknown>(() => 'mine');
    expect(await read(a, 'flaky', 'mine', load)).toMatchObject({ code: 'CG_SOURCE_BROKEN' });
    expect(load.calls).toBe(0);
    expect(a.all('load')).toHaveLength(before);
  });

  promise(8, 'a load that asked a broken domain is a load that failed', MEMORY, async (fleet) => {
    const a = await start(fleet);
    await open(a, 'flaky');
    const inner = failing();
    const outer = await read(a, 'plain', 'outer', () => a.guard.getOrLoad({ domain: 'flaky', key: 'inner' }, inner));
    expect(outer).toMatchObject({ code: 'CG_SOURCE_BROKEN', domain: 'flaky' });
    expect(a.all('load', { domain: 'plain' })).toMatchObject([{ outcome: 'failed' }]);
    expect(inner.calls).toBe(0);
  });

  promise(8, 'a refusal costs no turn of the rate: nobody waits to hear it', MEMORY, async (fleet) => {
    const a = await start(fleet);
    await loadAll(a, 'paced', failing());
    expect(states(a)).toEqual(['open']);
    const load = failing();
    const reads = Promise.all([1, 2, 3, 4].map((n) => read(a, 'paced', `key.${n}`, load)));
    // The turn after the load that failed.
    await fleet.pass(10_000);
    expect(await Promise.race([reads, settle(20).then(() => 'still waiting')])).toMatchObject(
      [1, 2, 3, 4].map(() => ({ code: 'CG_SOURCE_BROKEN' })),
    );
  });
});

describe('a breaker on the loader: how it closes', () => {
  promise(8, 'after the pause one load at a time tries; a success closes it', BOTH, async (fleet) => {
    const a = await start(fleet);
    await open(a, 'flaky');
    pass(PAUSE_MS);
    const source = fleet.source();
    const probe = read(a, 'flaky', 'probe', source.load);
    const call = await source.call(1);
    const load = counted<unknown>(() => 'value');
    expect(await read(a, 'flaky', 'another', load)).toMatchObject({ code: 'CG_SOURCE_BROKEN' });
    expect(load.calls).toBe(0);
    call.resolve('probed');
    expect(await probe).toBe('probed');
    expect(states(a)).toEqual(['open', 'closed']);
    expect(await read(a, 'flaky', 'another', load)).toBe('value');
  });

  promise(8, 'an answer closes it as well, and the row begins anew', MEMORY, async (fleet) => {
    const a = await start(fleet);
    await open(a, 'flaky');
    pass(PAUSE_MS);
    await loadAll(a, 'flaky', answering);
    expect(states(a)).toEqual(['open', 'closed']);
    const load = failing();
    await loadAll(a, 'flaky', load, load);
    expect(states(a)).toEqual(['open', 'closed']);
    await loadAll(a, 'flaky', load);
    expect(states(a)).toEqual(['open', 'closed', 'open']);
  });

  promise(8, 'a probe that fails leaves it open, for longer, and is not told again', MEMORY, async (fleet) => {
    const a = await start(fleet);
    await open(a, 'flaky');
    const load = failing('probe');
    for (let probe = 1; probe <= 4; probe++) {
      pass(30_000);
      await loadAll(a, 'flaky', load, load, load);
      expect(load.calls).toBe(probe);
    }
    expect(states(a)).toEqual(['open']);
    expect(await read(a, 'flaky', 'another', load)).toMatchObject({ cause: new Error('probe 4') });
    // After four probes the pause is no longer the first.
    pass(PAUSE_MS);
    await loadAll(a, 'flaky', load);
    expect(load.calls).toBe(4);
  });

  promise(8, 'a probe that nobody wants any more proves nothing', MEMORY, async (fleet) => {
    const a = await start(fleet);
    await open(a, 'flaky');
    pass(PAUSE_MS);
    const source = fleet.source();
    const leaving = new AbortController();
    const probe = read(a, 'flaky', 'probe', source.load, leaving.signal);
    await source.call(1);
    leaving.abort(new Error('left'));
    await probe;
    await settle();
    const load = counted<unknown>(() => 'value');
    expect(await read(a, 'flaky', 'another', load)).toMatchObject({
      code: 'CG_SOURCE_BROKEN',
      cause: new Error('no source 1'),
    });
    expect(states(a)).toEqual(['open']);
    pass(30_000);
    expect(await read(a, 'flaky', 'another', load)).toBe('value');
    expect(states(a)).toEqual(['open', 'closed']);
  });
});

describe('what is not a cap or a breaker', () => {
  const refused: readonly [string, unknown][] = [
    ...[0, -1, NaN, Infinity, '5s', '5', null, true, {}].map((value): [string, unknown] => [
      'maxLoadsPerSecond',
      value,
    ]),
    ...[0, -1, 1.5, NaN, '3', undefined].map((failures): [string, unknown] => ['breaker', { failures }]),
    ...[{}, 5, null, true, { failures: 1, pause: '5 s' }, { failures: 1, pause: 0 }, { failures: 1, paus: 1 }].map(
      (value): [string, unknown] => ['breaker', value],
    ),
  ];
  for (const [field, value] of refused) {
    declare(
      8,
      `is refused when the process starts: ${field} = ${JSON.stringify(value) ?? value}`,
      MEMORY,
      async (fleet) => {
        const wrong = { wrong: { freshness: 'experience', [field]: value } } as unknown as DomainPolicies;
        const error = await fleet.start({ domains: wrong }).catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: 'CG_INVALID_POLICY', domain: 'wrong' });
        expect((error as { field: string }).field.split('.')[0]).toBe(field);
      },
    );
  }
});

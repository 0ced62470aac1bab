import { BadGatewayException, ForbiddenException, NotFoundException } from '@nestjs/common';
import { describe, expect } from 'vitest';
import { httpThrown } from '../../lib/nest/http-thrown.js';
import { DOMAINS, until, type Fleet } from './support/fleet.js';
import { ALL, BOTH, MEMORY, promise } from './support/promise.js';
import { counted } from './support/source.js';

const RATE = { domain: 'rates', key: 'gold' };
const OFFER = { domain: 'offers', key: 'gold' };
const gone = new NotFoundException('no such segment');

const throwing = (error: unknown) => async (): Promise<never> => {
  throw error;
};

async function stale(fleet: Fleet, target: typeof RATE) {
  const members = await fleet.pair();
  await members[0].guard.getOrLoad(target, async () => 'old');
  await members[0].guard.invalidate(target);
  return members;
}

describe('stale beats a failure, not an answer', () => {
  const failures = {
    'an error': new Error('no source'),
    'a status of 502': new BadGatewayException(),
    'no error at all': 'text',
  };
  for (const [what, failure] of Object.entries(failures)) {
    promise(6, `the old value stands in for ${what}`, BOTH, async (fleet) => {
      const [a] = await stale(fleet, RATE);
      const { value, served } = await a.guard.trace(() => a.guard.getOrLoad<string>(RATE, throwing(failure)));
      expect(value).toBe('old');
      expect(served).toMatchObject([{ state: 'stale' }]);
      expect(a.all('hit', { state: 'stale-on-error' })).toHaveLength(1);
    });
  }

  for (const answer of [gone, new ForbiddenException()]) {
    promise(6, `a ${answer.getStatus()} is delivered unchanged and takes the old value away`, ALL, async (fleet) => {
      const [a, b] = await stale(fleet, RATE);
      const reads = [1, 2, 3].map(() => a.guard.getOrLoad(RATE, throwing(answer)).catch((error: unknown) => error));
      for (const error of await Promise.all(reads)) expect(error).toBe(answer);
      expect(a.all('load', { outcome: 'answer' })).toHaveLength(1);
      // Gone for everybody, also as a stand-in, and without a pause.
      const failure = new Error('no source');
      await expect(b.guard.getOrLoad(RATE, throwing(failure))).rejects.toBe(failure);
      expect(await b.guard.getOrLoad(RATE, async () => 'new')).toBe('new');
    });
  }

  promise(6, 'an answer to a refresh behind takes the old value away', BOTH, async (fleet) => {
    const [a, b] = await stale(fleet, OFFER);
    expect(await a.guard.getOrLoad<string>(OFFER, throwing(gone))).toBe('old');
    await a.heard('load', { outcome: 'answer', background: true });
    await until(async () => (await b.guard.peek(OFFER)) === undefined);
    await expect(b.guard.getOrLoad(OFFER, throwing(gone))).rejects.toBe(gone);
  });

  promise(6, 'a fresh value that an answer refutes goes as well', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    await a.guard.getOrLoad(RATE, async () => 'old');
    await expect(b.guard.refresh(RATE, throwing(gone))).rejects.toBe(gone);
    expect(await a.guard.peek(RATE)).toBeUndefined();
  });

  promise(6, 'isFailure decides, and one that throws itself counts as a failure', BOTH, async (fleet) => {
    const refused = new Error('refused');
    const odd = new Error('odd');
    const isFailure = (error: unknown): boolean => {
      if (error === odd) throw new Error('isFailure');
      return error !== refused;
    };
    const a = await fleet.start({ domains: { judged: { ...DOMAINS.rates, isFailure } } });
    const target = { domain: 'judged', key: 'gold' };
    await a.guard.getOrLoad(target, async () => 'old');
    await a.guard.invalidate(target);
    expect(await a.guard.getOrLoad<string>(target, throwing(odd))).toBe('old');
    await expect(a.guard.refresh(target, throwing(refused))).rejects.toBe(refused);
    await expect(a.guard.getOrLoad(target, throwing(odd))).rejects.toBe(odd);
  });
});

describe('absence', () => {
  const named = { freshness: 'experience', negativeTtl: '5s', jitter: 0 } as const;
  const strict = {
    ...named,
    isAbsent: (outcome: object) => 'error' in outcome && outcome.error instanceof NotFoundException,
  } as const;
  const domains = {
    named,
    strict,
    off: { ...named, negativeTtl: 'off' },
    grave: { freshness: 'critical', jitter: 0 },
  } as const;
  const at = (domain: keyof typeof domains) => ({ domain, key: 'gold', tags: ['segment'] });

  for (const nothing of [null, undefined]) {
    promise(6, `a result of ${nothing} is kept briefly as absence`, BOTH, async (fleet) => {
      const [a, b] = await fleet.pair({ domains });
      const own = counted(() => nothing);
      expect(await a.guard.getOrLoad(at('named'), own)).toBe(nothing);
      const { value, served } = await b.guard.trace(() => b.guard.getOrLoad(at('named'), own));
      expect({ value, served }).toMatchObject({ value: nothing, served: [{ negative: true, state: 'fresh' }] });
      expect(own.calls).toBe(1);
      expect((await b.guard.explain(at('named'))).entry!.hardInMs).toBeLessThanOrEqual(5_000);
    });
  }

  promise(6, 'absence ends with its own TTL', MEMORY, async (fleet) => {
    const a = await fleet.start({ domains });
    const own = counted(() => null);
    for (const domain of ['named', 'off'] as const) await a.guard.getOrLoad(at(domain), own);
    await fleet.pass(5_000);
    for (const domain of ['named', 'off'] as const) await a.guard.getOrLoad(at(domain), own);
    expect(own.calls).toBe(3);
  });

  promise(6, 'critical data knows no absence: null is a value like any other', MEMORY, async (fleet) => {
    const a = await fleet.start({ domains });
    await a.guard.getOrLoad(at('grave'), async () => null);
    expect(await a.guard.peek(at('grave'))).toMatchObject({ value: null, negative: false });
  });

  promise(6, 'a thrown absence is thrown again by hits, in every process', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair({ domains, thrown: httpThrown });
    const own = counted(() => Promise.reject(gone));
    await expect(a.guard.getOrLoad(at('strict'), own)).rejects.toBe(gone);
    for (const { guard } of [a, b]) {
      const error = await guard.getOrLoad(at('strict'), own).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(NotFoundException);
      expect((error as NotFoundException).getResponse()).toEqual(gone.getResponse());
      expect(error).not.toBe(gone);
    }
    expect(own.calls).toBe(1);
  });

  promise(6, 'another answer is not kept', BOTH, async (fleet) => {
    const a = await fleet.start({ domains, thrown: httpThrown });
    const own = counted(() => Promise.reject(new ForbiddenException()));
    for (const call of [1, 2]) {
      await expect(a.guard.getOrLoad(at('strict'), own)).rejects.toThrow('Forbidden');
      expect(own.calls).toBe(call);
    }
  });

  for (const domain of ['named', 'strict'] as const) {
    const clear = {
      key: (guard: Awaited<ReturnType<Fleet['start']>>['guard']) => guard.invalidate(at(domain)),
      tag: (guard: Awaited<ReturnType<Fleet['start']>>['guard']) => guard.invalidateTags({ domain, tags: ['segment'] }),
      domain: (guard: Awaited<ReturnType<Fleet['start']>>['guard']) => guard.invalidateDomain(domain),
    };
    for (const [scope, invalidate] of Object.entries(clear)) {
      promise(6, `a created-event clears absence at once (${domain}, by ${scope})`, BOTH, async (fleet) => {
        const [a, b] = await fleet.pair({ domains, thrown: httpThrown });
        const absent = domain === 'named' ? async () => null : throwing(gone);
        await a.guard.getOrLoad<string | null>(at(domain), absent).catch(() => undefined);
        expect((await a.guard.explain(at(domain))).entry?.negative).toBe(true);
        await invalidate(a.guard);
        expect(await b.guard.getOrLoad<string | null>(at(domain), async () => 'created')).toBe('created');
      });
    }
  }

  promise(6, 'a failure is never kept as absence, whatever isAbsent says', BOTH, async (fleet) => {
    const a = await fleet.start({ domains: { all: { ...named, isAbsent: () => true, isFailure: () => true } } });
    const own = counted(() => Promise.reject(new Error('no source')));
    for (const call of [1, 2, 3]) {
      await expect(a.guard.getOrLoad({ domain: 'all', key: 'gold' }, own)).rejects.toThrow('no source');
      expect(own.calls).toBe(call);
    }
    expect((await a.guard.explain({ domain: 'all', key: 'gold' })).entry).toBeUndefined();
  });
});

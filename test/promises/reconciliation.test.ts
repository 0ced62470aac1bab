import { argsKey, type DomainPolicyConfig, type ReconcileOptions, type ReconciliationReport } from 'nestjs-cache-guard';
import { describe, expect, test } from 'vitest';
import { until, type Fleet, type Member, type MemberOptions, type StoreKind } from './support/fleet.js';
import { ALL, BOTH, MEMORY, promise } from './support/promise.js';
import { KEPT, Shelf } from './support/shelf.js';

type Change = Partial<DomainPolicyConfig> & { readonly batch?: number };

function domainsOf(shelf: Shelf, { batch, ...change }: Change = {}): MemberOptions {
  const how = { every: '1d', versions: shelf.versions, ...(batch ? { batch } : {}) } as const;
  const policy = { ...KEPT, stalePolicy: 'never', reconcile: how, ...change } as const;
  return { scheduled: false, domains: { [shelf.domain]: policy } };
}

const reconciled = promise.bind(undefined, 12);

/** A run by hand, for which time passes where it has to. */
async function reconcile(fleet: Fleet, { guard }: Member, options?: ReconcileOptions) {
  const run = guard.reconcile('shelf', options);
  run.catch(() => {});
  await fleet.patiently(run.catch(() => {}));
  return run;
}

async function stocked(fleet: Fleet, change: Change = {}): Promise<{ shelf: Shelf; a: Member; b: Member }> {
  const shelf = new Shelf('shelf');
  const [a, b] = await fleet.pair(domainsOf(shelf, change));
  return { shelf, a, b };
}

describe('what events have missed is found and repaired', () => {
  for (const stalePolicy of ['never', 'while-revalidate'] as const) {
    reconciled(`each kind of drift, under ${stalePolicy}`, ALL, async (fleet) => {
      const { shelf, a, b } = await stocked(fleet, { stalePolicy });
      for (const key of ['old', 'same']) shelf.has.set(key, 7n);
      for (const key of ['changed', 'equal']) shelf.has.set(key, 'a');
      shelf.has.set('deleted', 1n);
      const keys = ['old', 'same', 'changed', 'equal', 'deleted', 'created', 'absent'];
      await shelf.keep(a, ...keys);
      shelf.has.set('old', 8n).set('changed', 'b').set('created', 1n).delete('deleted');
      expect(await shelf.drift(a, keys)).toEqual(['old', 'changed', 'deleted', 'created']);

      expect(await reconcile(fleet, b)).toMatchObject({ checked: 7, drifted: 4, repaired: 4, unchecked: 0 });
      expect(await shelf.drift(a, keys)).toEqual([]);
      for (const key of ['same', 'equal', 'absent'])
        expect((await a.guard.peek(shelf.target(key)))?.state).toBe('fresh');
      // A stale value may be served once more; an absence may not.
      expect(await shelf.read(a, 'created')).toBe('created of 1');
      const now = async (key: string, value: unknown) => until(async () => (await shelf.read(a, key)) === value, key);
      await now('old', 'old of 8');
      await now('changed', 'changed of b');
      await now('deleted', null);
      expect(await reconcile(fleet, a)).toMatchObject({ drifted: 0 });
    });
  }

  reconciled('what is served stale is loaded again before anybody asks, where it is known how', BOTH, async (fleet) => {
    const { shelf, a, b } = await stocked(fleet, { stalePolicy: 'while-revalidate' });
    b.guard.events.loader('shelf', (key, context) => shelf.load(key as string, context));
    shelf.has.set('gold', 1n).set('silver', 1n);
    await shelf.keep(a, 'gold', 'silver');
    shelf.has.set('gold', 2n);
    expect(await reconcile(fleet, b)).toMatchObject({ checked: 2, repaired: 1 });
    await until(async () => (await a.guard.peek(shelf.target('gold')))?.version === 2n, 'the new value');
    expect(shelf.loads).toBe(3);
    // By who does not know how: the next reader has it loaded.
    shelf.has.set('silver', 2n);
    expect(await reconcile(fleet, a)).toMatchObject({ repaired: 1 });
    expect(await a.guard.peek(shelf.target('silver'))).toMatchObject({ state: 'stale', version: 1n });
    expect([...a.all('refresh-skipped'), ...b.all('refresh-skipped')]).toEqual([]);
  });

  reconciled('the age of the oldest that had drifted is told', MEMORY, async (fleet) => {
    const { shelf, a } = await stocked(fleet);
    shelf.has.set('oldest', 1n).set('old', 1n).set('older but right', 1n);
    for (const key of ['older but right', 'oldest', 'old']) {
      await shelf.keep(a, key);
      await fleet.pass(60_000);
    }
    shelf.has.set('oldest', 2n).set('old', 2n);
    const report = await reconcile(fleet, a);
    expect(report).toMatchObject({ drifted: 2 });
    expect(report.oldestDriftMs).toBeGreaterThanOrEqual(120_000);
    expect(report.oldestDriftMs).toBeLessThan(130_000);
  });

  reconciled('what cannot be compared is counted, and left alone', BOTH, async (fleet) => {
    const { shelf, a } = await stocked(fleet);
    await a.guard.getOrLoad(shelf.target('unversioned'), async () => 'value');
    // Too long to be remembered.
    const unknown = { domain: 'shelf', key: ['a', 'key', 'x'.repeat(5_000)] };
    await a.guard.getOrLoad(unknown, async (context) => (context.setVersion(1n), 'value'));
    shelf.has.set('unversioned', 9n).set('mixed', 1n);
    await shelf.keep(a, 'mixed');
    shelf.has.set('mixed', 'an etag now');
    expect(await reconcile(fleet, a)).toMatchObject({ checked: 0, drifted: 0, unchecked: 3 });
    expect(a.all('invalidation')).toEqual([]);
    expect(shelf.asked.flat()).toHaveLength(2);
  });

  reconciled('the source is not asked for what is known to be old', BOTH, async (fleet) => {
    const { shelf, a, b } = await stocked(fleet, { stalePolicy: 'while-revalidate' });
    const tagged = { ...shelf.target('tagged'), tags: ['red'] };
    shelf.has.set('marked', 1n).set('gone', 1n).set('tagged', 1n).set('kept', 1n);
    await a.guard.getOrLoad<unknown>(tagged, (context) => shelf.load('tagged', context));
    await shelf.keep(a, 'marked', 'gone', 'kept');
    await a.guard.getOrLoad(shelf.target('uncacheable'), async (context) => (context.doNotCache(), 'value'));
    await a.guard.invalidate({ domain: 'shelf', key: 'marked' });
    await a.guard.invalidate({ domain: 'shelf', key: 'gone', mode: 'remove' });
    await a.guard.invalidateTags({ domain: 'shelf', tags: ['red'] });
    expect(await reconcile(fleet, b)).toMatchObject({ checked: 1, unchecked: 0 });
    expect(shelf.asked).toEqual([['kept']]);
    await a.guard.invalidateDomain('shelf');
    expect(await reconcile(fleet, b)).toMatchObject({ checked: 0, unchecked: 0 });
    expect(shelf.asked).toEqual([['kept']]);
  });

  reconciled('keys come as they were given to the cache', BOTH, async (fleet) => {
    const { shelf, a } = await stocked(fleet);
    const given = [{ segment: 'gold', tier: 1 }, ['gold', 2], 7, 8n, argsKey('gold', { tier: 3 })];
    for (const key of given) await a.guard.getOrLoad({ domain: 'shelf', key }, async () => 'value');
    const count = () => shelf.asked.at(-1)?.length;
    while (count() !== given.length) await reconcile(fleet, a);
    const asked = shelf.asked.at(-1)!;
    for (const key of given) {
      // A key from arguments shows them, and nothing else.
      const like = typeof key === 'object' && 'args' in key ? { args: key.args } : key;
      expect(asked).toContainEqual(typeof like === 'object' && 'args' in like ? expect.objectContaining(like) : like);
    }
  });
});

describe('a repair leaves alone what is newer', () => {
  reconciled('than the answer, by its version', ALL, async (fleet) => {
    const { shelf, a, b } = await stocked(fleet);
    shelf.has.set('gold', 1n);
    await shelf.keep(a, 'gold');
    shelf.has.set('gold', 2n);
    shelf.meanwhile = () => b.guard.put(shelf.target('gold'), 'gold of 3', { version: 3n });
    expect(await reconcile(fleet, a)).toMatchObject({ checked: 1, drifted: 0, repaired: 0 });
    expect(await b.guard.peek(shelf.target('gold'))).toMatchObject({ state: 'fresh', version: 3n });
  });

  reconciled('than the question, where there is no order', ALL, async (fleet) => {
    const { shelf, a, b } = await stocked(fleet);
    shelf.has.set('gold', 'a').set('silver', 'a');
    await shelf.keep(a, 'gold', 'silver');
    shelf.has.set('gold', 'b').delete('silver');
    shelf.meanwhile = async () => {
      // By more than what processes know of the store's clock.
      await fleet.pass(300);
      for (const key of ['gold', 'silver']) await b.guard.put(shelf.target(key), 'newer', { version: 'c' });
    };
    expect(await reconcile(fleet, a)).toMatchObject({ checked: 2, drifted: 0, repaired: 0 });
    for (const key of ['gold', 'silver']) {
      expect(await b.guard.peek(shelf.target(key))).toMatchObject({ state: 'fresh', etag: 'c' });
    }
  });

  reconciled('and not what only came later', ALL, async (fleet) => {
    const { shelf, a, b } = await stocked(fleet);
    shelf.has.set('gold', 1n);
    await shelf.keep(a, 'gold');
    shelf.has.set('gold', 3n);
    shelf.meanwhile = () => b.guard.put(shelf.target('gold'), 'gold of 2', { version: 2n });
    expect(await reconcile(fleet, a)).toMatchObject({ drifted: 1, repaired: 1 });
    expect(await b.guard.peek(shelf.target('gold'))).toBeUndefined();
    // From a replica that lags: older than what the source is known to have.
    await b.guard.put(shelf.target('gold'), 'gold of 2', { version: 2n });
    expect(await b.guard.peek(shelf.target('gold'))).toBeUndefined();
  });
});

describe('a run by hand', () => {
  const KEYS = Array.from({ length: 25 }, (_, i) => `key ${i}`);

  reconciled('goes in batches, and tells how far it is', BOTH, async (fleet) => {
    const { shelf, a, b } = await stocked(fleet, { batch: 10 });
    for (const key of KEYS) shelf.has.set(key, 1n);
    await shelf.keep(a, ...KEYS);
    for (const key of KEYS.slice(0, 5)) shelf.has.set(key, 2n);
    const progress: ReconciliationReport[] = [];
    const run = b.guard.reconcile('shelf', { onProgress: (soFar) => progress.push(soFar) });
    await fleet.patiently(run);
    expect(await run).toMatchObject({ checked: 25, drifted: 5, repaired: 5 });
    expect(shelf.asked.map((keys) => keys.length)).toEqual([10, 10, 5]);
    expect(new Set(shelf.asked.flat())).toEqual(new Set(KEYS));
    expect(progress.map(({ checked }) => checked)).toEqual([10, 20, 25]);
    const told = b.all('reconciliation');
    expect(told.map(({ state, checked }) => [state, checked])).toEqual([
      ['running', 0],
      ['running', 10],
      ['running', 20],
      ['running', 25],
      ['done', 25],
    ]);
    expect(told.at(-1)).toMatchObject({ domain: 'shelf', drifted: 5, repaired: 5, unchecked: 0, error: undefined });
  });

  reconciled('is the only one in the fleet', ALL, async (fleet) => {
    const { shelf, a, b } = await stocked(fleet, { batch: 1 });
    await shelf.keep(a, 'gold');
    let answer = () => {};
    shelf.meanwhile = () => new Promise<void>((resolve) => (answer = resolve));
    const run = a.guard.reconcile('shelf');
    await until(() => shelf.asked.length === 1, 'the question');
    for (const { guard } of [a, b]) {
      await expect(guard.reconcile('shelf')).rejects.toMatchObject({
        code: 'CG_RECONCILIATION_RUNNING',
        domain: 'shelf',
      });
    }
    answer();
    await fleet.patiently(run);
    shelf.meanwhile = () => {};
    expect(await reconcile(fleet, b)).toMatchObject({ checked: 1 });
  });

  reconciled('ends when its caller no longer wants it', BOTH, async (fleet) => {
    const { shelf, a } = await stocked(fleet, { batch: 10 });
    await shelf.keep(a, ...KEYS);
    const changedMind = new AbortController();
    shelf.meanwhile = () => {
      changedMind.abort(new Error('not now'));
      return new Promise(() => {});
    };
    await expect(reconcile(fleet, a, { signal: changedMind.signal })).rejects.toThrow('not now');
    expect(a.all('reconciliation').at(-1)).toMatchObject({ state: 'stopped', checked: 0 });
    await expect(a.guard.reconcile('shelf', { signal: changedMind.signal })).rejects.toThrow('not now');
    expect(shelf.asked).toHaveLength(1);
    shelf.meanwhile = () => {};
    expect(await reconcile(fleet, a)).toMatchObject({ checked: 25 });
  });

  reconciled('ends with what its progress throws', MEMORY, async (fleet) => {
    const { shelf, a } = await stocked(fleet);
    await shelf.keep(a, 'gold');
    const onProgress = () => {
      throw new Error('a broken bar');
    };
    await expect(reconcile(fleet, a, { onProgress })).rejects.toThrow('a broken bar');
    expect(a.all('reconciliation').at(-1)).toMatchObject({ state: 'failed' });
  });

  reconciled('needs somebody to ask', MEMORY, async (fleet) => {
    const { a } = await stocked(fleet);
    await expect(a.guard.reconcile('offers')).rejects.toMatchObject({
      code: 'CG_NOT_RECONCILABLE',
      message: expect.stringMatching(/Domain 'offers'.*set reconcile: \{ every, versions/) as string,
    });
    await expect(a.guard.reconcile('ofers')).rejects.toMatchObject({ code: 'CG_UNKNOWN_DOMAIN' });
    expect(await a.guard.lastReconciliation('offers')).toBeUndefined();
    await expect(a.guard.lastReconciliation('ofers')).rejects.toMatchObject({ code: 'CG_UNKNOWN_DOMAIN' });
  });

  reconciled('is remembered for every process of the fleet', ALL, async (fleet) => {
    const { shelf, a, b } = await stocked(fleet);
    shelf.has.set('gold', 1n);
    await shelf.keep(a, 'gold');
    expect(await b.guard.lastReconciliation('shelf')).toBeUndefined();
    shelf.has.set('gold', 2n);
    const report = await reconcile(fleet, a);
    const last = await b.guard.lastReconciliation('shelf');
    expect(last).toEqual({ ...report, ms: last!.ms, state: 'done', endedAt: expect.any(Date) as Date });
    shelf.meanwhile = () => Promise.reject(new Error('the source is down'));
    await shelf.read(a, 'gold');
    await expect(reconcile(fleet, b)).rejects.toMatchObject({ code: 'CG_RECONCILIATION_FAILED' });
    expect(await a.guard.lastReconciliation('shelf')).toMatchObject({ state: 'failed' });
  });
});

type Versions = NonNullable<DomainPolicyConfig['reconcile']>['versions'];

describe('a source that does not answer as it should', () => {
  const reason = new Error('the source is down');
  const bad: Record<string, [versions: (keys: readonly unknown[]) => unknown, says: RegExp]> = {
    'throws at once': [
      () => {
        throw reason;
      },
      /versions threw; see the cause/,
    ],
    rejects: [() => Promise.reject(reason), /versions threw; see the cause/],
    hangs: [() => new Promise(() => {}), /did not answer within loadTimeout \(500 ms\)/],
    'gives too few': [async (keys) => keys.slice(1).map(() => 9n), /gave 1 versions for 2 keys/],
    'gives too many': [async (keys) => [...keys, 'one more'].map(() => 9n), /gave 3 versions for 2 keys/],
    'gives nothing': [async () => undefined, /gave undefined; give a list/],
    'gives numbers': [async (keys) => keys.map(() => 9), /gave 9 at place 0; give a bigint/],
    'gives nulls': [async (keys) => keys.map(() => null), /gave null at place 0/],
    'gives a negative version': [async () => [9n, -1n], /gave -1n at place 1/],
  };
  for (const [what, [versions, says]] of Object.entries(bad)) {
    const kinds: readonly StoreKind[] = what === 'rejects' ? ALL : MEMORY;
    reconciled(`${what}: the run fails, and nothing is invalidated`, kinds, async (fleet) => {
      const shelf = new Shelf('shelf');
      const by = { every: '1d', versions: versions as Versions } as const;
      const a = await fleet.start(domainsOf(shelf, { loadTimeout: '500ms', reconcile: by }));
      shelf.has.set('gold', 1n).set('silver', 1n);
      await shelf.keep(a, 'gold', 'silver');
      const error = await reconcile(fleet, a).catch((thrown: unknown) => thrown);
      const field = 'reconcile.versions';
      expect(error).toMatchObject({ code: 'CG_RECONCILIATION_FAILED', domain: 'shelf', field });
      expect((error as Error).message).toMatch(says);
      if (/threw/.test(says.source)) expect((error as Error).cause).toBe(reason);
      expect(a.all('reconciliation').at(-1)).toMatchObject({ state: 'failed', drifted: 0, error });
      expect(a.all('invalidation')).toEqual([]);
      for (const key of ['gold', 'silver']) expect((await a.guard.peek(shelf.target(key)))?.state).toBe('fresh');
    });
  }

  reconciled('is told when nobody waits for its answer any more', MEMORY, async (fleet) => {
    const shelf = new Shelf('shelf');
    let given: AbortSignal | undefined;
    const versions: Versions = (_, { signal }) => new Promise(() => (given = signal));
    const a = await fleet.start(domainsOf(shelf, { loadTimeout: '500ms', reconcile: { every: '1d', versions } }));
    await shelf.keep(a, 'gold');
    await expect(reconcile(fleet, a)).rejects.toMatchObject({ code: 'CG_RECONCILIATION_FAILED' });
    expect(given?.aborted).toBe(true);
  });
});

test('a partitioned domain cannot be reconciled: its keys do not say whose they are', async () => {
  const { Domains } = await import('../../lib/engine/domains.js');
  const shelf = new Shelf('shelf');
  const { domains } = domainsOf(shelf, { partition: () => 'tenant' });
  expect(() => new Domains().register(domains!, 'the test')).toThrow(/reconcile = .* leave it out, or partition/);
});

import { FakeClock } from 'nestjs-cache-guard/testing';
import { describe, expect, it } from 'vitest';
import { CacheGuardStoreError } from '../../../../lib/core/errors.js';
import type { RefreshJob } from '../../../../lib/core/refresh-job.js';
import { resolvePolicy } from '../../../../lib/core/resolve-policy.js';
import type { PutResult } from '../../../../lib/core/targets.js';
import { Actions, type ActionRooms } from '../../../../lib/engine/events/actions.js';
import type { Wanted, WantedKey } from '../../../../lib/engine/events/wanted.js';

const policy = resolvePolicy('offers', { freshness: 'experience' });
const APPLIED = { kind: 'applied' };
const OVERLAPPED: PutResult = { outcome: 'applied', stored: false, reason: 'overlapped' };

/** Actions on rooms that note what they are asked for, and answer as the test says. */
function setUp({
  put = (): PutResult => ({ outcome: 'applied', stored: true }),
  told = () => 'applied',
  enqueue = async () => {},
}: {
  put?: (tries: number) => PutResult;
  told?: () => string;
  enqueue?: () => Promise<void>;
} = {}) {
  const did: unknown[][] = [];
  const queued: RefreshJob[] = [];
  const rooms = {
    clock: new FakeClock(),
    now: () => 5,
    calls: { callOrRefuse: (target: object) => target },
    invalidations: {
      keys: async (_: object, [key]: string[], mode: string, version?: bigint) => (
        did.push(['key', key, mode, version]),
        told()
      ),
      generations: async (_: object, ...asked: unknown[]) => (did.push(asked.flat()), told()),
    },
    writes: {
      put: async (_: object, value: unknown, { version }: { version: bigint }) =>
        put(did.push(['put', value, version])),
    },
    refreshes: { enqueue: async (jobs: RefreshJob[]) => (queued.push(...jobs), enqueue()) },
  };
  return { actions: new Actions(rooms as unknown as ActionRooms, 50), clock: rooms.clock, did, queued };
}

const of = (over: Partial<WantedKey>): Wanted => ({
  scope: 'key',
  policy,
  key: 'offers:::s.gold',
  name: undefined,
  keyInput: 'gold',
  invalidate: undefined,
  update: undefined,
  refresh: undefined,
  ...over,
});
const always = { mode: 'expire', always: true, version: undefined } as const;
const known = { mode: 'expire', always: false, version: 7n } as const;
const update = { value: 'v', version: 8n };

describe('actions', () => {
  it('invalidate a key: in any case, up to a version, or both', async () => {
    for (const [invalidate, calls] of [
      [always, [undefined]],
      [known, [7n]],
      [{ ...known, always: true }, [undefined, 7n]],
    ] as const) {
      const { actions, did } = setUp();
      expect(await actions.do(of({ invalidate }))).toEqual(APPLIED);
      expect(did).toEqual(calls.map((version) => ['key', 'offers:::s.gold', 'expire', version]));
    }
  });

  it('invalidate tags and domains', async () => {
    const { actions, did } = setUp();
    await actions.do({ scope: 'tag', policy, generation: 't:offers:s.a', mode: 'expire' });
    await actions.do({ scope: 'domain', policy, generation: 'd:offers', mode: 'remove' });
    expect(did).toEqual([['tag', 't:offers:s.a', 'expire'], ['domain', 'd:offers', 'remove']]); // prettier-ignore
  });

  it('put a value with its version, after what is to go', async () => {
    const { actions, did } = setUp();
    expect(await actions.do(of({ invalidate: known, update }))).toEqual(APPLIED);
    expect(did.map(([what]) => what)).toEqual(['key', 'put']);
    expect(did[1]).toEqual(['put', 'v', 8n]);
  });

  it('put a value again that others have overtaken, a few times', async () => {
    const once = setUp({ put: (tries) => (tries === 1 ? OVERLAPPED : { outcome: 'applied', stored: true }) });
    expect(await once.actions.do(of({ update }))).toEqual(APPLIED);
    expect(once.did).toHaveLength(2);
    const ever = setUp({ put: () => OVERLAPPED });
    expect(await ever.actions.do(of({ update }))).toEqual(APPLIED);
    expect(ever.did).toHaveLength(20);
    const older = setUp({ put: () => ({ outcome: 'applied', stored: false, reason: 'older-version' }) });
    expect(await older.actions.do(of({ update }))).toEqual(APPLIED);
    expect(older.did).toHaveLength(1);
  });

  it('say that the store is away, and go no further', async () => {
    const { actions, did, queued } = setUp({ told: () => 'pending' });
    for (const invalidate of [always, known]) {
      did.length = 0;
      expect(
        await actions.do(of({ key: `k${invalidate.always}`, invalidate, update, refresh: { args: [] } })),
      ).toMatchObject({ kind: 'later' });
      expect(did).toHaveLength(1);
    }
    expect(queued).toEqual([]);
    const putAway = setUp({ put: () => ({ outcome: 'pending', stored: false, reason: 'store-away' }) });
    expect(await putAway.actions.do(of({ update }))).toMatchObject({ kind: 'later' });
  });

  it('fail one by one', async () => {
    const { actions, queued } = setUp({ put: () => { throw new Error('no'); } }); // prettier-ignore
    const refresh = { args: undefined };
    const outcomes = await Promise.all([
      actions.do(of({ key: 'a', update })),
      actions.do(of({ key: 'b', invalidate: known })),
      actions.do(of({ key: 'c', update, refresh })),
      actions.do(of({ key: 'd', invalidate: known, refresh })),
    ]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['failed', 'applied', 'failed', 'applied']);
    expect(queued.map(({ key }) => key)).toEqual(['d']);
    const away = setUp({ put: () => { throw new CacheGuardStoreError('CG_STORE_UNAVAILABLE', 'away'); } }); // prettier-ignore
    expect(await away.actions.do(of({ update }))).toMatchObject({ kind: 'later' });
  });

  it('hand refreshes on together, and fail only with those where that fails', async () => {
    const { actions, queued } = setUp({ enqueue: () => Promise.reject(new Error('full')) });
    const outcomes = await Promise.all([
      actions.do(of({ key: 'a', invalidate: known, refresh: { args: ['gold'] }, name: 'Offers.find' })),
      actions.do(of({ key: 'b', invalidate: known })),
    ]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['failed', 'applied']);
    expect(queued).toMatchObject([{ domain: 'offers', name: 'Offers.find', key: 'a', args: ['gold'], sinceMs: 5 }]);
  });

  it('are one for a burst on a key', async () => {
    const { actions, clock, did } = setUp();
    const outcomes = Array.from({ length: 1_000 }, (_, i) =>
      actions.do(of({ update: { value: i, version: BigInt(i) } })),
    );
    await clock.run(50);
    expect(new Set((await Promise.all(outcomes)).map(({ kind }) => kind))).toEqual(new Set(['applied']));
    expect(did).toEqual([['put', 0, 0n], ['put', 999, 999n]]); // prettier-ignore
    expect(clock.pending).toBe(1);
    actions.close();
    expect(clock.pending).toBe(0);
  });
});

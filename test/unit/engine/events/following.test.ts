import { FakeClock } from 'nestjs-cache-guard/testing';
import { describe, expect, it } from 'vitest';
import type { EventSink } from '../../../../lib/core/event-source.js';
import { Following } from '../../../../lib/engine/events/following.js';
import { gate } from '../../../promises/support/source.js';

const never = () => new Promise<never>(() => {});

/** A source of somebody else, and what was told of it. */
function setUp(source: { open?: () => Promise<void>; close?: () => Promise<void> }) {
  const clock = new FakeClock();
  const calls: string[] = [];
  const troubles: unknown[] = [];
  const { open = async () => {}, close = async () => {} } = source;
  const following = new Following(
    {
      name: 'theirs',
      delivery: 'each',
      open: () => (calls.push('open'), open()),
      close: () => (calls.push('close'), close()),
    },
    { trouble: (error) => troubles.push(error) } as Partial<EventSink> as EventSink,
    clock,
  );
  const codes = () => troubles.map((error) => (error as { code?: unknown }).code ?? (error as Error).message);
  return { clock, following, calls, codes };
}

describe('a source', () => {
  it('that opens and closes leaves no timer', async () => {
    const { clock, following, calls, codes } = setUp({});
    await following.open();
    await following.close();
    expect([calls, codes(), clock.pending]).toEqual([['open', 'close'], [], 0]);
  });

  it('that does not open holds up the start for 10 s, is told, and may open later', async () => {
    const hold = gate();
    const { clock, following, codes } = setUp({ open: () => hold.opened });
    const opening = following.open();
    await clock.run(9_999);
    expect([codes(), clock.awaited]).toEqual([[], 1]);
    await clock.run(1);
    await opening;
    expect(codes()).toEqual(['CG_EVENT_SOURCE_TIMEOUT']);
    hold.open();
    await clock.run(60_000);
    expect([codes(), clock.pending]).toEqual([['CG_EVENT_SOURCE_TIMEOUT'], 0]);
  });

  it('that fails in time fails the start', async () => {
    const { clock, following, codes } = setUp({ open: () => Promise.reject(new Error('refused')) });
    await expect(following.open()).rejects.toThrow('refused');
    expect([codes(), clock.pending]).toEqual([[], 0]);
  });

  it('that fails later is opened again, with growing pauses, until it succeeds', async () => {
    const hold = gate();
    let tries = 0;
    const { clock, following, calls, codes } = setUp({
      open: async () => {
        if (++tries === 1) await hold.opened;
        if (tries < 4) throw new Error(`failed ${tries}`);
      },
    });
    const opening = following.open();
    await clock.run(10_000);
    await opening;
    hold.open();
    for (const [pauseMs, opened] of [
      [0, 1],
      [1_000, 2],
      [2_000, 3],
      [4_000, 4],
      [60_000, 4],
    ] as const) {
      await clock.run(pauseMs);
      expect(calls).toHaveLength(opened);
      expect(clock.awaited).toBe(0);
    }
    expect(codes()).toEqual(['CG_EVENT_SOURCE_TIMEOUT', 'failed 1', 'failed 2', 'failed 3']);
  });

  it('that does not close holds up the end for 10 s, and is told', async () => {
    const { clock, following, codes } = setUp({ close: never });
    await following.open();
    const closing = following.close();
    await clock.run(9_999);
    expect([codes(), clock.awaited]).toEqual([[], 1]);
    await clock.run(1);
    await closing;
    expect([codes(), clock.pending]).toEqual([['CG_EVENT_SOURCE_TIMEOUT'], 0]);
  });

  it.each([
    ['rejects', () => Promise.reject(new Error('stuck'))],
    [
      'throws',
      () => {
        throw new Error('stuck');
      },
    ],
  ])('whose close %s is told', async (_, close) => {
    const { following, codes } = setUp({ close });
    await following.close();
    expect(codes()).toEqual(['stuck']);
  });

  it('that opens after it was closed is closed once more', async () => {
    const hold = gate();
    const { clock, following, calls } = setUp({ open: () => hold.opened });
    const opening = following.open();
    await clock.run(10_000);
    await opening;
    await following.close();
    hold.open();
    await clock.run(0);
    expect(calls).toEqual(['open', 'close', 'close']);
  });

  it('is opened no more once it is closed', async () => {
    const hold = gate();
    const { clock, following, calls } = setUp({
      open: () => hold.opened.then(() => Promise.reject(new Error('late'))),
    });
    const opening = following.open();
    await clock.run(10_000);
    await opening;
    hold.open();
    await clock.run(0);
    await following.close();
    expect(clock.pending).toBe(0);
    await clock.run(60_000);
    expect(calls).toEqual(['open', 'close']);
  });
});

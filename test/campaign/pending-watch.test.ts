import { describe, expect, it } from 'vitest';
import type { InvalidationEvent } from '../../lib/core/events.js';
import type { Invalidation } from '../history/history.js';
import { PendingWatch } from './pending-watch.js';

function scenario() {
  const over: string[] = [];
  const watch = new PendingWatch((one) => over.push(one.name!));
  const tell = (outcome: InvalidationEvent['outcome'], count: number): void =>
    watch.onEvent({ type: 'invalidation', domain: 'offers', scope: 'key', mode: 'expire', outcome, count });
  const pending = (name: string): void => {
    tell('pending', 1);
    const invalidation = { op: 'invalidation', process: 'p1', domain: 'offers', scope: 'key', name } as const;
    watch.add({ ...invalidation, mode: 'expire', outcome: 'pending', beganAt: 0, endedAt: 1 } satisfies Invalidation);
  };
  const state = (to: 'away' | 'settling' | 'up'): void => watch.onEvent({ type: 'store-state', state: to, awayMs: 0 });
  return { over, tell, pending, state };
}

describe('what is known of pending invalidations', () => {
  it('is that all are carried out when as many have been as were put aside', () => {
    const { over, tell, pending } = scenario();
    pending('a');
    pending('b');
    tell('carried-out', 1);
    expect(over).toEqual([]);
    tell('carried-out', 1);
    expect(over).toEqual(['a', 'b']);
    pending('c');
    tell('carried-out', 1);
    expect(over).toEqual(['a', 'b', 'c']);
  });

  it('is nothing while some may have been merged, until the store is said to be back', () => {
    const { over, tell, pending, state } = scenario();
    pending('a');
    pending('a');
    pending('b');
    tell('carried-out', 2);
    state('away');
    state('up');
    expect(over).toEqual([]);
    state('settling');
    expect(over).toEqual(['a', 'a', 'b']);
  });
});

import { describe, expect, it } from 'vitest';
import type { DomainRules, Invalidation, Load, Read } from '../history/history.js';
import { Judge } from './judge.js';

const RULES: DomainRules = {
  softMs: 10_000,
  hardMs: 15_000,
  whileRevalidateMs: 0,
  ifErrorMs: 0,
  jitter: 0.1,
  concurrency: 4,
  leaseMs: 800,
  loadTimeoutMs: 1_500,
  waitBudgetMs: 4_000,
  hitForMissMs: 1_000,
  l1: false,
  versioned: false,
};

function newJudge(): Judge {
  return new Judge({ domains: { balances: RULES }, recoveryMs: 3_000, answerMs: 300, slackMs: 500 });
}

const balance = { domain: 'balances', key: 'k' } as const;

function loadAt(beganAt: number, id: string, process = 'p1'): Load {
  const value = { revision: 1, outcome: 'value', endedAt: beganAt + 10 } as const;
  return { op: 'load', via: 'read', id, process, ...balance, tags: ['t'], beganAt, ...value };
}

function readAt(beganAt: number, loadId: string, process = 'p1'): Read {
  const outcome = { kind: 'value', state: 'fresh', tier: 'l2', loadId, revision: 1 } as const;
  return { op: 'read', via: 'getOrLoad', process, ...balance, beganAt, endedAt: beganAt + 1, outcome };
}

function invalidationAt(beganAt: number, outcome: Invalidation['outcome'] = 'applied'): Invalidation {
  const over = outcome === undefined ? {} : { outcome, endedAt: beganAt + 2 };
  return {
    op: 'invalidation',
    process: 'p2',
    domain: 'balances',
    scope: 'tag',
    name: 't',
    mode: 'remove',
    beganAt,
    ...over,
  };
}

describe('the judge of a history without end', () => {
  it('sees cause and effect in different windows, and tells a breach once', () => {
    const judge = newJudge();
    judge.line('p1', loadAt(1_000, 'p1.1'));
    judge.line('p2', invalidationAt(4_000));
    expect(judge.judge(5_000)).toEqual([]);
    judge.line('p1', readAt(6_000, 'p1.1'));
    expect(judge.judge(5_500)).toEqual([]);
    expect(judge.judge(10_000)).toMatchObject([{ promise: 3, rule: 'no stale value' }]);
    expect(judge.judge(15_000)).toEqual([]);
    expect(judge.tally).toMatchObject({ reads: { 'fresh l2': 1 }, loads: { value: 1 }, invalidations: { applied: 1 } });
  });

  it('knows what a process had begun when it was killed, and forgets it when it ended', () => {
    const rivals = (judge: Judge): number => {
      judge.line('p1', { ...loadAt(1_000, 'p1.1'), endedAt: 1_400 });
      judge.line('p3', { ...loadAt(1_200, 'p3.1', 'p3'), endedAt: 1_300 });
      return judge.judge(5_000).length;
    };
    expect(rivals(newJudge())).toBe(1);

    const excused = newJudge();
    excused.line('p2', { begun: 1, operation: invalidationAt(1_100, undefined) });
    expect(rivals(excused)).toBe(0);

    const over = newJudge();
    over.line('p2', { begun: 1, operation: invalidationAt(100, undefined) });
    over.line('p2', invalidationAt(100));
    over.line('p2', { done: 1 });
    expect(rivals(over)).toBe(1);
  });

  it('puts one that was carried out later in the place of the pending one', () => {
    const judge = newJudge();
    judge.line('p1', loadAt(1_000, 'p1.1'));
    judge.line('p2', invalidationAt(2_000, 'pending'));
    judge.line('p1', readAt(3_000, 'p1.1'));
    expect(judge.judge(4_000)).toEqual([]);
    judge.line('p2', { ...invalidationAt(2_000, 'pending'), carriedOutAt: 4_500 });
    judge.line('p1', readAt(5_000, 'p1.1'));
    expect(judge.judge(6_000)).toMatchObject([{ promise: 9, rule: 'pending holds' }]);
    expect(judge.tally).toMatchObject({ invalidations: { pending: 1 }, carriedOut: 1 });
  });

  it('tells of values that nobody made, but for those of a process that was killed', () => {
    const judge = newJudge();
    judge.fault('1', { op: 'fault', what: 'process-killed', process: 'p9', beganAt: 500 });
    judge.line('p1', readAt(1_000, 'p9.7'));
    judge.line('p1', readAt(2_000, 'p8.7'));
    expect(judge.judge(3_000)).toMatchObject([
      { rule: 'known origin', what: expect.stringContaining('p8.7') as string },
    ]);
  });

  it('tells of a read that took too long, however late it ends', () => {
    const judge = newJudge();
    judge.line('p1', loadAt(1_000, 'p1.1'));
    judge.judge(10_000);
    judge.line('p1', { ...readAt(1_000, 'p1.1'), endedAt: 9_000 });
    expect(judge.judge(20_000)).toMatchObject([{ promise: 5, rule: 'bounded wait' }]);
    expect(judge.judge(25_000)).toEqual([]);
  });

  it('says which unanswered commands no fault explains', () => {
    const judge = newJudge();
    judge.fault('1', { op: 'fault', what: 'store-away', beganAt: 1_000, endedAt: 2_000 });
    for (const beganAt of [1_500, 4_900, 5_100, 9_000]) {
      judge.line('p1', { op: 'fault', what: 'unanswered', process: 'p1', beganAt, endedAt: beganAt + 300 });
    }
    judge.judge(20_000);
    expect(judge.tally).toMatchObject({ unanswered: 4, unexplained: 2 });
  });

  it('keeps what may still matter, and no more', () => {
    const judge = newJudge();
    for (let at = 0; at < 600_000; at += 100) {
      judge.line('p1', loadAt(at, `p1.${at}`));
      judge.line('p2', invalidationAt(at + 20));
      judge.line('p1', readAt(at + 50, `p1.${at}`));
      judge.line('p1', { op: 'fault', what: 'unanswered', process: 'p1', beganAt: at - 250, endedAt: at + 50 });
      if (at % 5_000 === 0) judge.judge(at - 5_000);
    }
    expect(judge.history(600_000).operations.length).toBeLessThan(3_000);
  });
});

import { covers, DATA_LOSS, keyOf, ms, type Breach, type Facts, type Rule, type ValueRead } from '../facts.js';
import { endOf, type Read } from '../history.js';

/** Failures in whose place a permitted old value is to be served. */
const FAILURES: readonly string[] = [
  'SOURCE_FAILED',
  'CG_LOAD_TIMEOUT',
  'CG_WAIT_TIMEOUT',
  'CG_OVERLOADED',
  'CG_SOURCE_BROKEN',
  'CG_STORE_UNAVAILABLE',
];

/** Promise 5: every read ends within its budget, as long as its process runs. */
export const boundedWait: Rule = (facts) =>
  facts.reads.flatMap((read): Breach[] => {
    const { waitBudgetMs } = facts.rules(read.domain);
    const until = read.beganAt + waitBudgetMs + facts.history.slackMs;
    const end = Math.min(endOf(read), Math.max(facts.overAt, read.beganAt));
    if (end <= until) return [];
    if (facts.during(['process-paused', 'process-killed'], read.beganAt, until, [read.process]).length > 0) return [];
    const took = read.endedAt === undefined ? 'has not ended' : `took ${ms(read.endedAt - read.beganAt)}`;
    return [
      {
        promise: 5,
        rule: 'bounded wait',
        what: `a read of ${keyOf(read)} by ${read.process} ${took}; budget ${ms(waitBudgetMs)}`,
        operations: [read],
      },
    ];
  });

/** Promise 9: no failure reaches a reader whose process certainly holds a value that it may still serve as stale. */
export const staleBeforeFailure: Rule = (facts) =>
  facts.reads.flatMap((read): Breach[] => {
    const { outcome } = read;
    if (outcome?.kind !== 'error' || read.via !== 'getOrLoad' || !FAILURES.includes(outcome.code)) return [];
    const served = facts.valuesByKey.get(keyOf(read))?.findLast((one) => holds(facts, one, read));
    if (!served) return [];
    return [
      {
        promise: 9,
        rule: 'stale before failure',
        what: `a read of ${keyOf(read)} by ${read.process} failed with ${outcome.code}, though ${served.value.loadId} lay in its memory and might have been served`,
        operations: [served.maker.operation, served.read, read],
      },
    ];
  });

/** Whether the store could not be reached while a read lasted. */
function cutOff(facts: Facts, { process, beganAt, endedAt = Infinity }: Read): boolean {
  return facts
    .during(['store-away', 'commands-cut'], beganAt, endedAt, [process])
    .some((fault) => fault.beganAt <= beganAt && endOf(fault) >= endedAt);
}

/** Whether `earlier` proves that its process still had that value, and might serve it, until `failed` ended. */
function holds(facts: Facts, { read, value, maker }: ValueRead, failed: Read): boolean {
  if (read.process !== failed.process || value.tier !== 'l1' || endOf(read) > failed.beganAt) return false;
  const { softMs, hardMs, ifErrorMs, jitter } = facts.rules(read.domain);
  const { answerMs, slackMs } = facts.history;
  const windowMs = Math.min(hardMs * (1 - jitter), softMs * (1 - jitter) + ifErrorMs) - answerMs - 2 * slackMs - 2;
  const { beganAt } = maker.operation;
  if (endOf(failed) > beganAt + windowMs) return false;
  if (facts.during(DATA_LOSS, beganAt, endOf(failed)).length > 0) return false;
  // What was not fresh may be of this process only: a store that answers, and has nothing, knows better.
  if (value.state !== 'fresh' && !cutOff(facts, failed)) return false;
  const invalidated = facts.invalidations.some(
    (one) =>
      covers(one, maker.operation) &&
      one.beganAt <= endOf(failed) &&
      (one.outcome === 'applied' ? endOf(one) : (one.carriedOutAt ?? Infinity)) >= beganAt,
  );
  // A newer value takes the place of an older one in the store, and a message to say so may come later than that.
  const others = [
    ...(facts.loadsByKey.get(keyOf(read)) ?? []),
    ...facts.puts.filter((put) => keyOf(put) === keyOf(read)),
  ];
  const replaced = others.some(
    (one) =>
      one !== maker.operation &&
      one.outcome !== 'failed' &&
      one.beganAt <= endOf(failed) &&
      endOf(one) + facts.history.recoveryMs >= beganAt,
  );
  return !invalidated && !replaced;
}

import { covers, keyOf, ms, type Breach, type Facts, type Rule } from '../facts.js';
import { endOf, type Fault, type FaultKind, type Invalidation, type Load, type Put } from '../history.js';

/** Under these, Redis does not answer or the holder may be taken for dead. */
const EXCUSES: readonly FaultKind[] = [
  'store-away',
  'restart-empty',
  'restart-snapshot',
  'process-paused',
  'process-killed',
  'unanswered',
  'commands-cut',
];

/** Promise 1: while Redis answers, the holder lives, and nothing was invalidated or timed out, one load of a key at a time. */
export const oneFlight: Rule = (facts) => {
  const breaches: Breach[] = [];
  for (const loads of facts.loadsByKey.values()) {
    let open: Load[] = [];
    for (const load of loads) {
      open = open.filter((earlier) => runsUntil(facts, earlier) > load.beganAt);
      const rival = open.find((earlier) => !excused(facts, loads, earlier, load));
      if (rival) breaches.push(overlap(rival, load));
      open.push(load);
    }
  }
  return breaches;
};

/** A load that was given up goes on at the source, but nobody could know for how long. */
function runsUntil(facts: Facts, load: Load): number {
  return Math.min(endOf(load), load.abortedAt ?? Infinity, load.beganAt + facts.rules(load.domain).loadTimeoutMs);
}

function excused(facts: Facts, loads: readonly Load[], earlier: Load, later: Load): boolean {
  // Who asks for a load of his own, or writes, waits for nobody.
  if (earlier.via !== 'read' || later.via !== 'read') return true;
  const { answerMs } = facts.history;
  const processes = [earlier.process, later.process];
  if (upset(facts, earlier.beganAt - answerMs, later.beganAt, processes).length > 0) return true;
  if (voided(facts, earlier, earlier.beganAt - answerMs, later.beganAt)) return true;
  if (tooSlowToKeep(facts, loads, later)) return true;
  // Those who waited elsewhere for a load that came to nothing wait for no other one: one load for each process.
  return earlier.process !== later.process && loads.some((load) => cameToNothing(facts, loads, load, later));
}

function upset(facts: Facts, from: number, until: number, processes: readonly string[]): Fault[] {
  return facts.during(EXCUSES, from, until, processes, facts.history.recoveryMs);
}

/** Whether something took, or may have taken, the right to the key from whoever held it. */
function voided(facts: Facts, load: Load, from: number, until: number): boolean {
  const within = (span: { readonly beganAt: number }, end: number) => span.beganAt <= until && end >= from;
  return (
    facts.invalidations.some((one) => covers(one, load) && within(one, overAt(facts, one))) ||
    facts.puts.some((put) => keyOf(put) === keyOf(load) && within(put, writtenBy(facts, put)))
  );
}

/** Until when an invalidation may have been carried out, as far as anybody knows. */
function overAt({ history }: Facts, invalidation: Invalidation): number {
  if (invalidation.outcome === 'applied') return endOf(invalidation);
  return invalidation.outcome === 'pending'
    ? (invalidation.carriedOutAt ?? Infinity)
    : endOf(invalidation) + history.recoveryMs;
}

/** What could not be written becomes an invalidation, which waits for the store's return; until when, nobody is told. */
function writtenBy(facts: Facts, put: Put): number {
  const { recoveryMs } = facts.history;
  let end = endOf(put) + recoveryMs;
  if (put.outcome === 'stored') return end;
  for (;;) {
    const later = upset(facts, put.beganAt, end, [put.process]).map((fault) => endOf(fault) + recoveryMs);
    if (Math.max(end, ...later) === end) return end;
    end = Math.max(end, ...later);
  }
}

/** A load that took longer than its value stays fresh leaves a mark that lets everybody load for himself. */
function tooSlowToKeep(facts: Facts, loads: readonly Load[], later: Load): boolean {
  const { softMs, jitter, hitForMissMs } = facts.rules(later.domain);
  const { answerMs, recoveryMs } = facts.history;
  return loads.some(
    (load) =>
      load !== later &&
      endOf(load) - load.beganAt >= softMs * (1 - jitter) - answerMs &&
      endOf(load) <= later.beganAt &&
      endOf(load) + hitForMissMs + recoveryMs >= later.beganAt,
  );
}

/** Whether somebody may have waited for `load`, in vain, right before `later` began: he will not be made to wait for another one. */
function cameToNothing(facts: Facts, loads: readonly Load[], load: Load, later: Load): boolean {
  const { answerMs, recoveryMs } = facts.history;
  const { waitBudgetMs } = facts.rules(later.domain);
  const end = runsUntil(facts, load);
  if (load === later || load.beganAt > later.beganAt || end < later.beganAt - waitBudgetMs) return false;
  if (voided(facts, load, load.beganAt - answerMs, Math.min(end + answerMs, later.beganAt))) return true;
  return (
    end <= later.beganAt &&
    (load.outcome !== 'value' ||
      end < endOf(load) ||
      upset(facts, load.beganAt - answerMs, end + recoveryMs, [load.process]).length > 0 ||
      loads.some((other) => other !== load && other.beganAt < end && runsUntil(facts, other) > load.beganAt))
  );
}

function overlap(earlier: Load, later: Load): Breach {
  return {
    promise: 1,
    rule: 'one flight',
    what: `${later.process} began to load ${keyOf(later)} ${ms(later.beganAt - earlier.beganAt)} after ${earlier.process} had, which still did`,
    operations: [earlier, later],
  };
}

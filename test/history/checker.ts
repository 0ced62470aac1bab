import { Facts, type Breach, type Rule } from './facts.js';
import { sorted, type History, type Operation } from './history.js';
import { boundedAge } from './rules/age.js';
import { bulkhead } from './rules/bulkhead.js';
import { invalidated } from './rules/invalidated.js';
import { oneFlight } from './rules/one-flight.js';
import { refreshed } from './rules/refreshed.js';
import { settling } from './rules/settling.js';
import { channelTrust } from './rules/trust.js';
import { monotonicVersions } from './rules/versions.js';
import { boundedWait, staleBeforeFailure } from './rules/waits.js';

export const RULES: readonly Rule[] = [
  oneFlight,
  invalidated,
  refreshed,
  boundedAge,
  boundedWait,
  staleBeforeFailure,
  settling,
  bulkhead,
  channelTrust,
  monotonicVersions,
];

export interface Report {
  readonly breaches: readonly Breach[];
  /** Reads that were given a value whose making is on record. */
  readonly reads: number;
  readonly loads: number;
  readonly invalidations: number;
}

/** Every certain breach of a promise in the history, each with the shortest history that shows it. */
export function check(history: History): Report {
  const facts = new Facts(history);
  const count = (groups: ReadonlyMap<string, readonly unknown[]>) =>
    [...groups.values()].reduce((sum, group) => sum + group.length, 0);
  return {
    breaches: RULES.flatMap((rule) => rule(facts).map((breach) => shortest(history, rule, breach))),
    reads: count(facts.valuesByKey),
    loads: count(facts.loadsByKey),
    invalidations: facts.invalidations.length,
  };
}

/** How many nines a run without a breach in so many reads stands for: 99.9 % is three. */
export function nines(reads: number): number {
  return reads === 0 ? 0 : Math.floor(Math.log10(reads));
}

/**
 * Leaves out what the rule can do without. It starts from what the rule named, never from the whole history: with what excuses it left
 * out as well, a sound history would break the rule too.
 */
function shortest(history: History, rule: Rule, breach: Breach): Breach {
  const find = (operations: readonly Operation[]) =>
    rule(new Facts({ ...history, operations })).find((found) => found.rule === breach.rule);
  let kept = sorted([...new Set(breach.operations)]);
  for (const operation of kept) {
    const fewer = kept.filter((other) => other !== operation);
    if (find(fewer)) kept = fewer;
  }
  return { ...breach, operations: kept };
}

export function describe({ promise, rule, what, operations }: Breach): string {
  return [
    `promise ${promise}, ${rule}: ${what}`,
    ...sorted(operations).map((one) => `  ${describeOperation(one)}`),
  ].join('\n');
}

export function describeOperation(operation: Operation): string {
  const { beganAt, endedAt } = operation;
  const span = `${at(beganAt)} - ${endedAt === undefined ? 'never'.padStart(10) : at(endedAt)}`;
  const who = (operation.process ?? 'all').padEnd(6);
  switch (operation.op) {
    case 'read':
      return `${span}  ${who} ${operation.via} ${operation.domain}/${operation.key}: ${describeOutcome(operation.outcome)}`;
    case 'load': {
      const given = operation.abortedAt === undefined ? '' : `, given up at${at(operation.abortedAt)}`;
      const seen = operation.revision === undefined ? (operation.outcome ?? '?') : `revision ${operation.revision}`;
      return `${span}  ${who} load ${operation.id} of ${operation.domain}/${operation.key} (${operation.via}): ${seen}${given}`;
    }
    case 'put':
      return `${span}  ${who} ${operation.via} ${operation.id} of ${operation.domain}/${operation.key}: ${operation.outcome ?? 'done'}`;
    case 'invalidation': {
      const out = operation.carriedOutAt === undefined ? '' : `, carried out by${at(operation.carriedOutAt)}`;
      const scope = `${operation.scope} ${operation.domain}/${operation.name ?? '*'}`;
      return `${span}  ${who} invalidate ${scope} (${operation.mode}): ${operation.outcome ?? '?'}${out}`;
    }
    case 'fault':
      return `${span}  ${who} fault: ${operation.what}`;
  }
}

function describeOutcome(outcome: Extract<Operation, { op: 'read' }>['outcome']): string {
  if (outcome === undefined) return '?';
  if (outcome.kind !== 'value') return outcome.kind === 'error' ? outcome.code : 'nothing';
  const tier = outcome.tier ? ` from ${outcome.tier}` : '';
  return `${outcome.loadId}, revision ${outcome.revision}, ${outcome.state}${tier}`;
}

function at(time: number): string {
  return time.toFixed(3).padStart(10);
}

import { check, describe } from '../history/checker.js';
import type { Breach } from '../history/facts.js';
import { endOf, type Fault, type History, type Invalidation, type Operation } from '../history/history.js';
import type { FoundBreach, Line, Tally } from './protocol.js';

/** What of the history stays at hand, counted back from the moment up to which it was judged. */
const KEEP_READS_MS = 25_000;
const KEEP_ACTIONS_MS = 90_000;
/** A breach whose causes may lie further back than what is at hand is none; it was found before if it is one. */
const CONTEXT_MS = 20_000;

/**
 * Checks a history that never ends, in windows. Each window overlaps the one before, so that causes and effects are seen together, and
 * each breach is told once.
 */
export class Judge {
  readonly tally: Tally = {
    reads: {},
    others: {},
    loads: {},
    puts: {},
    invalidations: {},
    carriedOut: 0,
    unanswered: 0,
    unexplained: 0,
    stalls: 0,
  };
  private operations: Operation[] = [];
  private readonly invalidations = new Map<string, Invalidation>();
  private readonly underway = new Map<string, Operation>();
  private readonly faults = new Map<string, Fault>();
  private readonly told = new Set<string>();
  private judgedUntil = -Infinity;
  private reported: Fault[] = [];
  /** By process, the last one. */
  private readonly unanswered = new Map<string, Fault>();

  constructor(private readonly conditions: Omit<History, 'operations'>) {}

  /** A line of the journal of a process. */
  line(process: string, line: Line): void {
    if ('begun' in line) this.underway.set(`${process} ${line.begun}`, line.operation);
    else if ('done' in line) this.underway.delete(`${process} ${line.done}`);
    else if (line.op === 'invalidation') this.invalidation(line);
    else this.operation(line);
  }

  /** What was done to the fleet; once more when it is over. */
  fault(id: string, fault: Fault): void {
    this.faults.set(id, fault);
  }

  /** Breaches that were not told yet, in what began before `until`: by then everything that had begun must have ended. */
  judge(until: number): FoundBreach[] {
    const seen = this.operations.filter(({ beganAt }) => beganAt <= until);
    const history = this.history(until);
    this.count(seen.filter(({ beganAt }) => beganAt > this.judgedUntil));
    const found = [...check(history).breaches, ...this.untraced(seen)].filter((breach) => this.isNew(breach, until));
    this.judgedUntil = until;
    this.forget(until);
    return found.map((breach) => ({
      promise: breach.promise,
      rule: breach.rule,
      what: breach.what,
      history: describe(breach),
    }));
  }

  /** What is at hand. */
  history(until: number): History {
    const all: Operation[] = [...this.operations, ...this.invalidations.values(), ...this.faults.values()];
    for (const one of this.underway.values()) {
      const known = one.op === 'invalidation' && this.invalidations.has(idOf(one));
      if (!known) all.push(one);
    }
    return { ...this.conditions, operations: all.filter(({ beganAt }) => beganAt <= until) };
  }

  /** Values of which nobody knows who made them: they are older than anything that is still on record. */
  private untraced(operations: readonly Operation[]): Breach[] {
    const makers = new Set(this.operations.flatMap((one) => (one.op === 'load' || one.op === 'put' ? [one.id] : [])));
    const killed = [...this.faults.values()].flatMap(({ what, process }) =>
      what === 'process-killed' ? process! : [],
    );
    return operations.flatMap((read) => {
      if (read.op !== 'read' || read.outcome?.kind !== 'value' || makers.has(read.outcome.loadId)) return [];
      const { process, domain, key, outcome } = read;
      // What a process put right before its death was not written down.
      if (killed.some((name) => outcome.loadId.startsWith(`${name}.`))) return [];
      const what = `${process} was given ${outcome.loadId} of ${domain}/${key} as ${outcome.state}, which nobody made lately`;
      return [{ promise: 4, rule: 'known origin', what, operations: [read] }];
    });
  }

  private operation(operation: Operation): void {
    if (operation.op === 'fault' && operation.what === 'unanswered') return this.notAnswered(operation);
    if (operation.op === 'fault') this.tally.stalls++;
    this.operations.push(operation);
  }

  /** Thousands of commands that are not answered while nothing is are one fault. */
  private notAnswered(fault: Fault): void {
    this.reported.push(fault);
    const name = fault.process ?? '';
    const last = this.unanswered.get(name);
    const merged =
      last && fault.beganAt <= endOf(last) ? { ...last, endedAt: Math.max(endOf(last), endOf(fault)) } : fault;
    this.unanswered.set(name, merged);
    this.faults.set(`unanswered ${name} ${merged.beganAt}`, merged);
  }

  private invalidation(invalidation: Invalidation): void {
    if (invalidation.carriedOutAt !== undefined) this.tally.carriedOut++;
    else add(this.tally.invalidations, invalidation.outcome ?? '?');
    this.invalidations.set(idOf(invalidation), invalidation);
  }

  private isNew(breach: Breach, until: number): boolean {
    const began = breach.operations.map(({ beganAt }) => beganAt);
    const latest = Math.max(...began);
    // A wait that was too long is known when it ends, or never; it needs no context.
    const isWait = breach.rule === 'bounded wait';
    if (!isWait && (latest <= this.judgedUntil || latest < until - CONTEXT_MS)) return false;
    const id = `${breach.rule} ${JSON.stringify(breach.operations)}`;
    if (this.told.has(id)) return false;
    this.told.add(id);
    return true;
  }

  private count(operations: readonly Operation[]): void {
    for (const one of operations) {
      if (one.op === 'load')
        add(this.tally.loads, one.abortedAt === undefined ? (one.outcome ?? 'unended') : 'given up');
      if (one.op === 'put') add(this.tally.puts, `${one.via} ${one.outcome ?? 'done'}`);
      if (one.op !== 'read') continue;
      const { outcome } = one;
      if (outcome?.kind !== 'value') add(this.tally.others, outcome?.kind === 'error' ? outcome.code : 'nothing');
      else add(this.tally.reads, outcome.tier ? `${outcome.state} ${outcome.tier}` : outcome.state);
    }
  }

  private forget(until: number): void {
    const done = [...this.faults].flatMap(([id, fault]) => (id.startsWith('unanswered ') ? [] : fault));
    const known = [...done, ...this.operations.filter(isStall)];
    for (const fault of this.reported.filter(({ beganAt }) => beganAt <= until)) {
      this.tally.unanswered++;
      if (!known.some((one) => explains(one, fault, this.conditions.recoveryMs))) this.tally.unexplained++;
    }
    this.reported = this.reported.filter(({ beganAt }) => beganAt > until);
    this.operations = this.operations.filter(
      ({ op, beganAt }) => beganAt > until - (op === 'read' ? KEEP_READS_MS : KEEP_ACTIONS_MS),
    );
    const isOld = (one: Operation): boolean => (one.endedAt ?? one.beganAt) < until - KEEP_ACTIONS_MS;
    for (const all of [this.invalidations, this.underway, this.faults]) {
      for (const [id, one] of all) if (isOld(one)) all.delete(id);
    }
  }
}

function isStall(one: Operation): one is Fault {
  return one.op === 'fault' && one.what === 'process-paused';
}

function explains(fault: Fault, unanswered: Fault, recoveryMs: number): boolean {
  if (fault.process !== undefined && fault.process !== unanswered.process) return false;
  return fault.beganAt <= endOf(unanswered) && endOf(fault) + recoveryMs >= unanswered.beganAt;
}

function idOf({ process, beganAt, domain, name }: Invalidation): string {
  return `${process} ${beganAt} ${domain} ${name}`;
}

function add(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

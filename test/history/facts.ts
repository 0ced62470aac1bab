import {
  endOf,
  staleAllowed,
  type DomainRules,
  type Fault,
  type FaultKind,
  type History,
  type Invalidation,
  type Load,
  type Operation,
  type Put,
  type Read,
} from './history.js';

/** A rule found something that a promise excludes; the operations are all that it takes to see it. */
export interface Breach {
  readonly promise: number;
  readonly rule: string;
  readonly what: string;
  readonly operations: readonly Operation[];
}

export type Rule = (facts: Facts) => Breach[];

/** What made a value, and the latest time at which that may have begun. */
export interface Maker {
  readonly operation: Load | Put;
  readonly beganAt: number;
}

/** A read that was given a value whose making is on record. */
export interface ValueRead {
  readonly read: Read;
  readonly value: Extract<Read['outcome'], { kind: 'value' }>;
  readonly maker: Maker;
}

/** Losing these, the store loses what it promised to keep. */
export const DATA_LOSS: readonly FaultKind[] = ['restart-empty', 'restart-snapshot'];

/** Within this time every process knows of an invalidation. */
export const KNOWN_EVERYWHERE_MS = 1_000;

/** A history, looked up in the ways that rules need. */
export class Facts {
  readonly reads: Read[] = [];
  readonly invalidations: Invalidation[] = [];
  readonly puts: Put[] = [];
  readonly faults: Fault[] = [];
  readonly loadsByKey: ReadonlyMap<string, readonly Load[]>;
  readonly valuesByKey: ReadonlyMap<string, readonly ValueRead[]>;
  /** The last moment that the history knows of. */
  readonly overAt: number;
  private readonly makers = new Map<string, Maker>();

  constructor(readonly history: History) {
    const loadsByKey = new Map<string, Load[]>();
    let overAt = 0;
    for (const operation of history.operations) {
      overAt = Math.max(overAt, operation.beganAt, operation.endedAt ?? 0);
      switch (operation.op) {
        case 'read':
          this.reads.push(operation);
          break;
        case 'load':
          grouped(loadsByKey, keyOf(operation)).push(operation);
          this.makers.set(operation.id, { operation, beganAt: operation.beganAt });
          break;
        case 'put':
          this.puts.push(operation);
          // What was put by hand counts from its end: only then it is certain that it was the later one.
          if (operation.via === 'put') this.makers.set(operation.id, { operation, beganAt: endOf(operation) });
          break;
        case 'invalidation':
          this.invalidations.push(operation);
          break;
        case 'fault':
          this.faults.push(operation);
          break;
      }
    }
    for (const loads of loadsByKey.values()) loads.sort((a, b) => a.beganAt - b.beganAt);
    this.loadsByKey = loadsByKey;
    this.valuesByKey = this.groupValues();
    this.overAt = overAt;
  }

  rules(domain: string): DomainRules {
    const rules = this.history.domains[domain];
    if (!rules) throw new Error(`the history says nothing of the policy of '${domain}'`);
    return rules;
  }

  neverStale(domain: string): boolean {
    return !staleAllowed(this.rules(domain));
  }

  /** Faults of one of the kinds that concern one of the processes and lasted into the time given. */
  during(
    kinds: readonly FaultKind[],
    from: number,
    until: number,
    processes: readonly string[] | 'anybody' = 'anybody',
    aftermathMs = 0,
  ): Fault[] {
    return this.faults.filter(
      (fault) =>
        kinds.includes(fault.what) &&
        (fault.process === undefined || processes === 'anybody' || processes.includes(fault.process)) &&
        fault.beganAt <= until &&
        endOf(fault) + aftermathMs >= from,
    );
  }

  private groupValues(): Map<string, ValueRead[]> {
    const groups = new Map<string, ValueRead[]>();
    for (const read of this.reads) {
      if (read.outcome?.kind !== 'value') continue;
      const maker = this.makers.get(read.outcome.loadId);
      // What a process did right before it was killed may never have been written down.
      if (maker) grouped(groups, keyOf(read)).push({ read, value: read.outcome, maker });
    }
    return groups;
  }
}

export function keyOf({ domain, key }: { readonly domain: string; readonly key: string }): string {
  return `${domain}/${key}`;
}

export function covers(invalidation: Invalidation, { domain, key, tags }: Load | Put): boolean {
  if (invalidation.domain !== domain) return false;
  if (invalidation.scope === 'domain') return true;
  return invalidation.scope === 'key' ? invalidation.name === key : tags.includes(invalidation.name!);
}

export function grouped<K, T>(groups: Map<K, T[]>, key: K): T[] {
  let group = groups.get(key);
  if (!group) groups.set(key, (group = []));
  return group;
}

export function ms(time: number): string {
  return `${Math.round(time * 1_000) / 1_000} ms`;
}

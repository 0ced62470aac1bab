import type { InvalidationMode, InvalidationScope } from '../../lib/core/events.js';
import type { Policy } from '../../lib/core/policy.js';

/**
 * What processes of a fleet did and were told, on ONE monotonic clock (milliseconds, with fractions).
 *
 * - `beganAt` is taken right before the call, `endedAt` right after its outcome is known to the caller; an operation that never
 *   ended (its process died, or the history was cut off) has no `endedAt`.
 * - `process` names one life of a process: after a restart it is another one.
 * - Keys and tags are as the caller gave them, unique within their domain.
 * - A value says which load or write made it, so every read can be traced to its source.
 */
export type Operation = Read | Load | Invalidation | Put | Fault;

interface Span {
  readonly beganAt: number;
  readonly endedAt?: number;
}

interface OfKey extends Span {
  readonly process: string;
  readonly domain: string;
  readonly key: string;
}

/** What every cached value of a recorded fleet is. */
export interface Value {
  /** The `id` of the load, write-through or put that made it. */
  readonly loadId: string;
  /** Of the source, as the load saw it; grows with every change. */
  readonly revision: number;
}

export type ReadOutcome =
  | ({
      readonly kind: 'value';
      readonly state: 'fresh' | 'stale' | 'loaded' | 'uncached';
      /** Where a hit came from. */
      readonly tier?: 'l1' | 'l2';
    } & Value)
  /** `peek` found nothing. */
  | { readonly kind: 'nothing' }
  /** `SOURCE_FAILED` for what the loader itself threw, else the library's code. */
  | { readonly kind: 'error'; readonly code: string };

export interface Read extends OfKey {
  readonly op: 'read';
  readonly via: 'getOrLoad' | 'peek' | 'refresh';
  readonly outcome?: ReadOutcome;
}

/** One call of a loader (for a read, or for a refresh), or of what a write-through writes. */
export interface Load extends OfKey {
  readonly op: 'load';
  readonly id: string;
  readonly via: 'read' | 'refresh' | 'write';
  readonly tags: readonly string[];
  /** What it saw of the source; without it the load gave no value. */
  readonly revision?: number;
  /** When its signal told it to stop: at its time-out, or when nobody wanted it any more. */
  readonly abortedAt?: number;
  readonly outcome?: 'value' | 'failed';
}

export interface Invalidation extends Span {
  readonly op: 'invalidation';
  readonly process: string;
  readonly domain: string;
  readonly scope: InvalidationScope;
  /** The key or the tag; for a domain, nothing. */
  readonly name?: string;
  readonly mode: InvalidationMode;
  readonly outcome?: 'applied' | 'pending' | 'failed';
  /** When its process knew that what was pending had been carried out. */
  readonly carriedOutAt?: number;
}

/** A value that a process put by hand, or a whole write-through: from the call to its end, with its load `via: 'write'` inside. */
export interface Put extends OfKey {
  readonly op: 'put';
  readonly via: 'put' | 'write-through';
  readonly id: string;
  readonly tags: readonly string[];
  /** Of what was put by hand. */
  readonly revision?: number;
  /** How a write-through ended, its caller is not told. */
  readonly outcome?: 'stored' | 'not-stored' | 'pending' | 'failed';
}

/**
 * - `store-away`: it answers nobody (killed, paused, cut off); `restart-empty`, `restart-snapshot`: it came back without its data, or
 *   with older data; from the death of the old server to the first answer of the new one.
 * - `process-paused`, `process-killed` (from its death on).
 * - `unanswered`: one process sent a command and got no reply, or not in time.
 * - `commands-cut`, `signals-cut`: the connection of one process was cut, with or without notice.
 * - `signal-lost`: messages that one process should have got were dropped or held up.
 */
export type FaultKind =
  | 'store-away'
  | 'restart-empty'
  | 'restart-snapshot'
  | 'process-paused'
  | 'process-killed'
  | 'unanswered'
  | 'commands-cut'
  | 'signals-cut'
  | 'signal-lost';

export interface Fault extends Span {
  readonly op: 'fault';
  readonly what: FaultKind;
  /** Whom it concerns; without one, everybody. */
  readonly process?: string;
}

/** What the rules need to know of a domain's policy. */
export interface DomainRules {
  readonly softMs: number;
  readonly hardMs: number;
  readonly whileRevalidateMs: number;
  readonly ifErrorMs: number;
  /** Share by which the TTLs may have been shortened. */
  readonly jitter: number;
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly loadTimeoutMs: number;
  readonly waitBudgetMs: number;
  readonly hitForMissMs: number;
  readonly l1: boolean;
  /** Each load sets its revision as the value's version. */
  readonly versioned: boolean;
}

export interface History {
  readonly domains: Readonly<Record<string, DomainRules>>;
  /** For so long after a fault has ended processes may go on as if it lasted. */
  readonly recoveryMs: number;
  /** A command that was answered at all was answered within this time. */
  readonly answerMs: number;
  /** How late a process may be with what a timer told it to do; 0 where time is simulated. */
  readonly slackMs: number;
  readonly operations: readonly Operation[];
}

export function domainRules(policy: Policy, versioned: boolean): DomainRules {
  const { softTtlMs, hardTtlMs, whileRevalidateMs, ifErrorMs, jitter, concurrency, l1 } = policy;
  const { leaseMs, loadTimeoutMs, waitBudgetMs, hitForMissMs } = policy;
  return {
    softMs: softTtlMs,
    hardMs: hardTtlMs,
    whileRevalidateMs,
    ifErrorMs,
    jitter,
    concurrency,
    leaseMs,
    loadTimeoutMs,
    waitBudgetMs,
    hitForMissMs,
    l1: l1 !== undefined,
    versioned,
  };
}

export function staleAllowed({ whileRevalidateMs, ifErrorMs }: DomainRules): boolean {
  return whileRevalidateMs > 0 || ifErrorMs > 0;
}

/** JSON lines: the conditions first, then one operation on each line, by the time at which it began. */
export function serialise({ operations, ...conditions }: History): string {
  return [conditions, ...sorted(operations)].map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** Reads what `serialise` wrote; lines that several processes wrote may come in any order behind the first. */
export function parse(lines: string): History {
  const [conditions, ...operations] = lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
  return { ...(conditions as Omit<History, 'operations'>), operations: sorted(operations as Operation[]) };
}

export function sorted(operations: readonly Operation[]): Operation[] {
  return operations.toSorted((a, b) => a.beganAt - b.beganAt || endOf(a) - endOf(b));
}

/** Infinity for what never ended. */
export function endOf({ endedAt }: Span): number {
  return endedAt ?? Infinity;
}

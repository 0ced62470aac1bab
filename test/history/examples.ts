import type {
  DomainRules,
  Fault,
  FaultKind,
  History,
  Invalidation,
  Load,
  Operation,
  Put,
  Read,
  ReadOutcome,
} from './history.js';

const LIMITS = { leaseMs: 400, loadTimeoutMs: 800, waitBudgetMs: 2_000, hitForMissMs: 100, jitter: 0, concurrency: 2 };
export const never: DomainRules = {
  ...LIMITS,
  softMs: 2e3,
  hardMs: 4e3,
  whileRevalidateMs: 0,
  ifErrorMs: 0,
  l1: false,
  versioned: true,
};
export const stale: DomainRules = {
  ...LIMITS,
  softMs: 2e3,
  hardMs: 8e3,
  whileRevalidateMs: 2e3,
  ifErrorMs: 6e3,
  l1: true,
  versioned: true,
};
const CONDITIONS: Omit<History, 'operations'> = {
  domains: { never, stale },
  recoveryMs: 500,
  answerMs: 10,
  slackMs: 5,
};

export const KEY = { domain: 'never', key: 'k' };
export const OFFER = { domain: 'stale', key: 'k' };
type Place = typeof KEY;

export function load(id: string, beganAt: number, endedAt: number, more: Partial<Load> = {}): Load {
  const process = id.split('.')[0]!;
  const made = { revision: 1, outcome: 'value' } as const;
  return { op: 'load', id, via: 'read', process, ...KEY, tags: ['tag'], beganAt, endedAt, ...made, ...more };
}

export function failedLoad(id: string, beganAt: number, endedAt: number, more: Partial<Load> = {}): Load {
  const { revision: _none, ...rest } = load(id, beganAt, endedAt, { outcome: 'failed', ...more });
  return rest;
}

export function read(process: string, beganAt: number, of: string, more: Partial<Read> & Partial<Given> = {}): Read {
  const { state = 'fresh', tier, revision = 1, ...rest } = more;
  const outcome: ReadOutcome = { kind: 'value', loadId: of, revision, state, ...(tier ? { tier } : {}) };
  return { op: 'read', via: 'getOrLoad', process, ...KEY, beganAt, endedAt: beganAt + 1, outcome, ...rest };
}

type Given = Extract<ReadOutcome, { kind: 'value' }>;

export function failure(
  process: string,
  beganAt: number,
  endedAt: number,
  code = 'SOURCE_FAILED',
  place: Place = OFFER,
): Read {
  return { op: 'read', via: 'getOrLoad', process, ...place, beganAt, endedAt, outcome: { kind: 'error', code } };
}

export function invalidation(
  process: string,
  beganAt: number,
  endedAt: number,
  more: Partial<Invalidation> = {},
): Invalidation {
  const how = { scope: 'key', name: 'k', mode: 'remove', outcome: 'applied' } as const;
  return { op: 'invalidation', process, domain: 'never', ...how, beganAt, endedAt, ...more };
}

export function fault(what: FaultKind, beganAt: number, endedAt: number, process?: string): Fault {
  return { op: 'fault', what, ...(process ? { process } : {}), beganAt, endedAt };
}

export function put(id: string, beganAt: number, endedAt: number): Put {
  const process = id.split('.')[0]!;
  return {
    op: 'put',
    via: 'put',
    id,
    process,
    ...KEY,
    tags: ['tag'],
    revision: 1,
    beganAt,
    endedAt,
    outcome: 'stored',
  };
}

export const of = (operations: readonly Operation[]): History => ({ ...CONDITIONS, operations });

import { schemaNumber } from '../core/entry.js';
import { CacheGuardTimeoutError } from '../core/errors.js';
import type { GenerationName } from '../core/generations.js';
import type { EntryKey } from '../core/keys.js';
import type { Policy } from '../core/policy.js';
import type { MissCause } from '../core/decide.js';
import type { Entry } from '../core/entry.js';
import type { LoadContext, ReadTarget, ServedValue } from '../core/targets.js';
import type { ValueOptions } from '../core/values.js';
import type { WriteMark } from '../core/write-marks.js';

/** Where a target carries what only this library's own decorators say of it: the arguments of the call. */
export const METHOD_ARGS: unique symbol = Symbol('CacheGuard:args');

/** Where a target carries how its key is made, where that is made from objects that may change. */
export const KEY_AGAIN: unique symbol = Symbol('CacheGuard:key-again');

/** A value as it was handed to a reader at store time `nowMs`. */
export interface Served {
  readonly call: GuardedCall;
  /** Without one nothing vouches for the value beyond this reader. */
  readonly entry: Entry | undefined;
  readonly state: ServedValue['state'];
  readonly nowMs: number;
  /** How long past its soft expiry; 0 when fresh. */
  readonly staleMs: number;
  /** Why it could not be served from what is kept. */
  readonly cause?: MissCause | undefined;
  /** Somebody else's load has made it. */
  readonly collapsed?: boolean;
  /** It was served in place of a load that failed or is slow. */
  readonly standsIn?: boolean;
  /** It became the cached value. */
  readonly stored?: boolean;
}

export type OnServed = (served: Served) => void;

/** Where a target carries who wants to know how its read was answered. */
export const ON_SERVED: unique symbol = Symbol('CacheGuard:on-served');

export interface MethodTarget<T = unknown> extends ReadTarget<T> {
  readonly [METHOD_ARGS]?: readonly unknown[];
  readonly [ON_SERVED]?: OnServed | undefined;
  readonly [KEY_AGAIN]?: (() => unknown) | undefined;
}

/** One guarded call, with everything about it worked out. */
export interface GuardedCall {
  readonly policy: Policy;
  readonly key: EntryKey;
  /** Whose value it is, where it is private. */
  readonly principal?: string | undefined;
  /** The key as the user gave it, for the version probe. */
  readonly keyInput: unknown;
  /** The space of keys within the domain; `undefined`: the domain's own. */
  readonly name?: string | undefined;
  /** Of the guarded method, where one was called. */
  readonly args?: readonly unknown[] | undefined;
  /** Its domain's and its tags'. */
  readonly generations: readonly GenerationName[];
  readonly values: ValueOptions;
  /** What a written value becomes before it is kept; `load` does so itself. */
  readonly project?: ReadTarget['project'];
  readonly origin: string;
  readonly signal: AbortSignal | undefined;
  /** What the caller's session has written of the domain. */
  readonly mark?: WriteMark | undefined;
  /** Told of what this reader is served. */
  readonly onServed?: OnServed | undefined;
  load(context: LoadContext): Promise<unknown>;
}

const schemas = new Map<string, number>();

/** The number that stands for the policy's schema version in an entry. */
export function schemaOf(policy: Policy): number {
  let number = schemas.get(policy.schema);
  if (number === undefined) schemas.set(policy.schema, (number = schemaNumber(policy.schema)));
  return number;
}

/** A generation must outlive every entry that carries it, and the loads that are about to. */
export function generationTtl(policy: Policy): number {
  return 2 * (policy.hardTtlMs + policy.hitForMissMs) + policy.loadTimeoutMs + 3_600_000;
}

export function loadTimeoutError({ policy, origin, key }: GuardedCall): CacheGuardTimeoutError {
  return new CacheGuardTimeoutError(
    'CG_LOAD_TIMEOUT',
    `Domain '${policy.domain}': the load by ${origin} took longer than loadTimeout (${policy.loadTimeoutMs} ms) and was aborted.`,
    { domain: policy.domain, key, field: 'loadTimeout' },
  );
}

export function waitTimeoutError({ policy, origin, key }: GuardedCall): CacheGuardTimeoutError {
  return new CacheGuardTimeoutError(
    'CG_WAIT_TIMEOUT',
    `Domain '${policy.domain}': a read of ${origin} waited longer than waitBudget (${policy.waitBudgetMs} ms); ` +
      'raise it, or allow a stale value with stalePolicy.',
    { domain: policy.domain, key, field: 'waitBudget' },
  );
}

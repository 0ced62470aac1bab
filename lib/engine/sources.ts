import type { Breaker, MakeBreaker } from '../core/breaker.js';
import type { Clock } from '../core/clock.js';
import { CacheGuardError, errorKind, isCacheGuardError } from '../core/errors.js';
import { Pace } from '../core/pace.js';
import type { Policy } from '../core/policy.js';
import { Bulkhead, type Free, type LoadPriority, type Place } from './bulkhead.js';
import type { EventHub } from './event-hub.js';
import { currentFrame, type LoadFrame } from './load-frames.js';

const MAX_PAUSE_MS = 30_000;
/** Refreshes per second, for each place in the bulkhead, of what another server process has left: hot keys draw more lots. */
const RECOVERY_PER_PLACE = 4;

/** Given to a load that nobody waits for any more; says nothing about the source. */
class Abandoned extends Error {
  constructor(
    /** Then the breaker stays open: nothing was proven. */
    readonly probe: boolean,
  ) {
    super('abandoned');
  }
}

/** What stands between the loads of one domain and their source: bulkhead, rate, breaker. */
export class Source {
  private readonly bulkhead: Bulkhead;
  private readonly recovery: Pace;
  private readonly breaker: Breaker | undefined;
  private lastFailure: { readonly error: unknown; readonly personal: boolean } | undefined;
  private readonly refusals = new WeakSet<object>();

  constructor(
    private readonly policy: Policy,
    clock: Clock,
    live: () => number,
    breaker: Breaker | undefined,
    hub: EventHub,
  ) {
    const { domain } = policy;
    this.bulkhead = new Bulkhead(policy, clock, () => policy.maxLoadsPerSecond / live());
    this.recovery = new Pace(clock);
    this.breaker = breaker;
    breaker?.onChange((closed) => hub.emit({ type: 'loader-breaker', domain, state: closed ? 'closed' : 'open' }));
  }

  /** @throws CacheGuardOverloadError (`CG_OVERLOADED`) when the queue is full */
  enter(priority: LoadPriority): Place {
    return this.bulkhead.enter(priority);
  }

  /** A turn for a load inside one that holds a slot already. Rejects with the signal's reason. */
  turn(signal: AbortSignal): Promise<Free> {
    return this.bulkhead.turn(signal);
  }

  /** Whether one more refresh may begin of what was cached by another server process. */
  admitsRecovery(): boolean {
    return this.recovery.tryTake(RECOVERY_PER_PLACE * this.policy.concurrency);
  }

  /** Calls the loader in the frame of its load, unless its breaker is open. @throws CacheGuardError (`CG_SOURCE_BROKEN`) then */
  load(load: () => Promise<unknown>, signal: AbortSignal): Promise<unknown> {
    if (!this.breaker) return load();
    let running: Promise<unknown> | undefined;
    const judged = this.breaker.run(
      (probe) => this.judge((running = invoke(load)), signal, probe),
      () => this.refusal(),
    );
    if (!running) return judged;
    judged.catch(() => {});
    return running;
  }

  /** Whether `error` says that the loader was not called. */
  refused(error: unknown): boolean {
    return typeof error === 'object' && error !== null && this.refusals.has(error);
  }

  /** Rejects with failures only: an answer shows that the source lives. One that hangs has failed when the load is given up. */
  private async judge(running: Promise<unknown>, signal: AbortSignal, probe: boolean): Promise<void> {
    let onAbort = () => {};
    const givenUp = new Promise<never>((_, reject) => {
      onAbort = () =>
        reject(isCacheGuardError(signal.reason, 'CG_LOAD_TIMEOUT') ? signal.reason : new Abandoned(probe));
      signal.addEventListener('abort', onAbort, { once: true });
    });
    const frame = currentFrame();
    try {
      await Promise.race([running, givenUp]);
    } catch (error) {
      if (error instanceof Abandoned) throw error;
      if (!failed(this.policy, error)) return;
      this.lastFailure = { error, personal: isPersonal(frame) };
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  private refusal(): Error {
    const { domain, breaker } = this.policy;
    const { error: cause, personal } = this.lastFailure ?? {};
    const why = personal ? `the last time it threw ${errorKind(cause)}` : 'see the cause';
    const error = new CacheGuardError(
      'CG_SOURCE_BROKEN',
      `Domain '${domain}': the loader failed ${breaker!.failures} times in a row and is left alone for now (breaker); ${why}.`,
      { domain, field: 'breaker', cause: personal ? undefined : cause },
    );
    this.refusals.add(error);
    return error;
  }
}

/** Whether what a load throws may tell of a person, or of what its domain hides, to others of the domain. */
function isPersonal(frame: LoadFrame | undefined): boolean {
  if (!frame) return true;
  const { scope, partition, hashKeys, encrypt } = frame.call.policy;
  return scope === 'private' || partition !== undefined || hashKeys || encrypt || frame.inheritance.personal;
}

/** A loader that throws before it returns its promise has failed like one whose promise rejects. */
async function invoke(load: () => Promise<unknown>): Promise<unknown> {
  return load();
}

/** One source for each domain. */
export class Sources {
  private readonly byDomain = new Map<string, Source>();

  constructor(
    private readonly clock: Clock,
    private readonly hub: EventHub,
    private readonly makeBreaker: MakeBreaker | undefined,
    /** Processes that share the rate. */
    private readonly live: () => number,
  ) {}

  of(policy: Policy): Source {
    let source = this.byDomain.get(policy.domain);
    if (!source) this.byDomain.set(policy.domain, (source = this.make(policy)));
    return source;
  }

  private make(policy: Policy): Source {
    const isFailure = (error: unknown) => !(error instanceof Abandoned) || error.probe;
    const breaker = policy.breaker && this.makeBreaker?.({ ...policy.breaker, maxPauseMs: MAX_PAUSE_MS, isFailure });
    return new Source(policy, this.clock, this.live, breaker, this.hub);
  }
}

/** Whether a throw is a failure of the source; a policy that cannot say so has one. */
export function failed({ isFailure }: Pick<Policy, 'isFailure'>, error: unknown): boolean {
  // Whatever the policy takes for a failure, these are none of the source's answers.
  if (isCacheGuardError(error, 'CG_LOAD_TIMEOUT') || isCacheGuardError(error, 'CG_SOURCE_BROKEN')) return true;
  try {
    return isFailure(error);
  } catch {
    return true;
  }
}

import type { Free, Place } from './bulkhead.js';
import { loadTimeoutError, waitTimeoutError, type GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';
import { currentFrame, LoadDirectives, LoadFrame, runInFrame } from './load-frames.js';
import { runLoad } from './loader.js';
import { noteServed } from './served.js';
import { failed } from './sources.js';
import type { Interruption, Waiter } from './waiter.js';

/** Loads past cache and leases, for one caller only: uncacheable results, and what would otherwise wait for itself. */
export class LoneLoads {
  private readonly underway = new Map<AbortController, Promise<unknown>>();

  constructor(private readonly parts: EngineParts) {}

  /** As `load`, as long as the waiter's budget lasts. */
  async loadFor(waiter: Waiter): Promise<{ readonly value: unknown } | Interruption> {
    const { call } = waiter;
    const leaving = new AbortController();
    const loaded = this.load(call, leaving.signal).then((value) => ({ value }));
    const given = await waiter.within(loaded);
    if ('value' in given) return given;
    leaving.abort(given.kind === 'aborted' ? given.reason : waitTimeoutError(call));
    loaded.catch(() => {});
    return given;
  }

  /**
   * Under the bulkhead, unless inside a load that holds a slot already; counted as its caller's. Rejects with what the loader threw, or with the reason of `left`,
   * by which the caller gives up.
   */
  private async load(call: GuardedCall, left: AbortSignal): Promise<unknown> {
    const leave = this.parts.shares.take(call);
    const abort = new AbortController();
    const onLeft = () => abort.abort(left.reason);
    if (left.aborted) onLeft();
    left.addEventListener('abort', onLeft, { once: true });
    const running = this.run(call, abort);
    this.underway.set(abort, running);
    try {
      return await running;
    } finally {
      leave();
      this.underway.delete(abort);
      left.removeEventListener('abort', onLeft);
    }
  }

  /** Waits until what is under way has ended, or `patience` ends. */
  async drain(patience: Promise<void>): Promise<void> {
    await Promise.race([Promise.allSettled(this.underway.values()), patience]);
  }

  /** Gives everything up with `reason`, at shutdown. */
  close(reason: unknown): void {
    for (const abort of this.underway.keys()) abort.abort(reason);
  }

  private async run(call: GuardedCall, abort: AbortController): Promise<unknown> {
    const { owner, clock, hub } = this.parts;
    const { policy, key } = call;
    const outer = currentFrame();
    const source = this.parts.sources.of(policy);
    const free = await (outer?.holdsSlot ? source.turn(abort.signal) : this.slot(call, abort.signal));
    const directives = new LoadDirectives(abort.signal, undefined);
    const frame = new LoadFrame(owner, call, directives, undefined, outer);
    const run = () => runInFrame(frame, () => source.load(() => call.load(directives), abort.signal));
    const running = runLoad(run, abort, policy.loadTimeoutMs, () => loadTimeoutError(call), clock);
    const refused = running.result.then((result) => result.kind === 'threw' && source.refused(result.error));
    void running.settled.then(async () => free(await refused));
    const result = await running.result;
    const outcome = result.kind === 'threw' ? (failed(policy, result.error) ? 'failed' : 'answer') : result.kind;
    if (!(await refused))
      hub.emit({ type: 'load', domain: policy.domain, key, outcome, background: false, ms: result.ms });
    switch (result.kind) {
      case 'value':
        noteServed(owner, { call, entry: undefined, state: 'uncached', nowMs: 0, staleMs: 0 });
        return result.value;
      case 'threw':
        throw result.error;
      case 'timeout':
        throw loadTimeoutError(call);
      case 'aborted':
        throw abort.signal.reason;
    }
  }

  private async slot({ policy, key }: GuardedCall, signal: AbortSignal): Promise<Free> {
    const place = this.enter(policy, key);
    const onAbort = () => place.leave(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      return await place.slot;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  private enter(policy: GuardedCall['policy'], key: GuardedCall['key']): Place {
    try {
      return this.parts.sources.of(policy).enter('foreground');
    } catch (error) {
      this.parts.hub.emit({ type: 'overload', domain: policy.domain, key, bound: 'bulkhead' });
      throw error;
    }
  }
}

import { loadTimeoutError, type GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';
import { currentFrame, LoadDirectives, LoadFrame, runInFrame } from './load-frames.js';
import { runLoad } from './loader.js';
import { noteServed } from './served.js';

/** Loads past cache and leases, for one caller only: uncacheable results, and what would otherwise wait for itself. */
export class LoneLoads {
  constructor(private readonly parts: EngineParts) {}

  /** Under the bulkhead, unless inside a load that holds a slot already. Rejects with what the loader threw. */
  async load(call: GuardedCall): Promise<unknown> {
    const { bulkheads, owner, clock, hub } = this.parts;
    const { policy, key, signal } = call;
    const outer = currentFrame();
    const free = outer ? () => {} : await bulkheads.of(policy).enter('foreground').slot;
    const abort = new AbortController();
    const onAbort = () => abort.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    const directives = new LoadDirectives(abort.signal, undefined);
    const frame = new LoadFrame(owner, call, directives, undefined, outer);
    const run = () => runInFrame(frame, () => call.load(directives));
    const running = runLoad(run, abort, policy.loadTimeoutMs, () => loadTimeoutError(call), clock);
    void running.settled.then(free);
    const result = await running.result;
    signal?.removeEventListener('abort', onAbort);
    const outcome = result.kind === 'threw' ? 'failed' : result.kind;
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
        throw signal?.reason;
    }
  }
}

import { waitTimeoutError, type GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';
import type { Flights } from './flights.js';
import type { LoneLoads } from './lone-loads.js';
import type { Snapshot } from './lookup.js';
import { noteServed } from './served.js';
import { isInterruption, Waiter, type Interruption } from './waiter.js';

/** A load that begins after this call and replaces what is cached; shared with refreshes that came before its loader was called. */
export async function refreshNow(
  parts: EngineParts,
  flights: Flights,
  alone: LoneLoads,
  call: GuardedCall,
): Promise<unknown> {
  call.signal?.throwIfAborted();
  const waiter = new Waiter(call, parts);
  const seen = await waiter.within(look(parts, call));
  if (seen && isInterruption(seen)) throw interruption(parts, call, seen);
  const stored = seen !== undefined && call.policy.keep !== 'nothing';
  const plan = {
    call,
    seen,
    via: stored ? 'guarded' : 'direct',
    background: false,
    insist: true,
    honourBackoff: false,
    forced: true,
  } as const;
  const open = flights.getForced(call.key);
  const outcome = await (open ? open.join(waiter) : flights.start(plan, (flight) => flight.join(waiter)));
  switch (outcome.kind) {
    case 'value': {
      const { entry } = outcome;
      noteServed(parts.owner, {
        call,
        entry,
        state: entry ? 'loaded' : 'uncached',
        nowMs: entry?.beganMs ?? 0,
        staleMs: 0,
      });
      return outcome.handout(call.values);
    }
    case 'failed':
    case 'threw':
      throw outcome.error;
    case 'aborted':
    case 'budget':
    case 'soft-timeout':
      throw interruption(parts, call, outcome);
    default:
      return alone.load(call, call.signal);
  }
}

/** What is kept now, for a conditional refresh; `undefined` while the store is away. */
async function look(parts: EngineParts, call: GuardedCall): Promise<Snapshot | undefined> {
  try {
    return await parts.lookup.look(call);
  } catch (error) {
    parts.hub.emit({ type: 'store-error', domain: call.policy.domain, operation: 'read', error });
    return undefined;
  }
}

function interruption(parts: EngineParts, call: GuardedCall, why: Interruption): unknown {
  if (why.kind === 'aborted') return why.reason;
  parts.hub.emit({ type: 'wait-timeout', domain: call.policy.domain, key: call.key });
  return waitTimeoutError(call);
}

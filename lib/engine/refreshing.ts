import { answered } from './answered.js';
import { waitTimeoutError, type GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';
import type { Flights } from './flights.js';
import { runInFrame } from './load-frames.js';
import type { Rooms } from './rooms.js';
import type { Snapshot } from './snapshot.js';
import { noteInner, noteServed } from './served.js';
import { isInterruption, Waiter, type Interruption } from './waiter.js';

/** A load that begins after this call and replaces what is cached; shared with refreshes that came before its loader was called. */
export async function refreshNow(rooms: Rooms, call: GuardedCall): Promise<unknown> {
  const { parts, flights } = rooms;
  call.signal?.throwIfAborted();
  const waiter = new Waiter(call, parts);
  // What is kept now, for a conditional refresh.
  const seen = await waiter.within(answered(parts, call, 'read', () => parts.lookup.look(call)));
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
      // Without an entry nothing has taken the place of what is cached.
      parts.sessions.wrote(call.policy.domain, entry ? 'applied' : 'pending', [call.key]);
      noteServed(parts.owner, {
        call,
        entry,
        state: entry ? 'loaded' : 'uncached',
        nowMs: entry?.beganMs ?? 0,
        staleMs: 0,
        stored: outcome.stored,
        collapsed: open !== undefined,
      });
      return outcome.handout(call.values);
    }
    case 'threw':
      if (outcome.entry) noteInner(parts.owner, call, outcome.entry);
      throw outcome.error;
    case 'failed':
      throw outcome.error;
    case 'aborted':
    case 'budget':
    case 'soft-timeout':
      throw interruption(parts, call, outcome);
    default:
      if (open) await flights.landed(open);
      return loadAlone(rooms, call, waiter);
  }
}

/** A load past the cache, for its caller alone. Rejects with what the loader threw, or what made an end of the wait. */
export async function loadAlone(
  rooms: Rooms,
  call: GuardedCall,
  waiter = new Waiter(call, rooms.parts),
): Promise<unknown> {
  const given = await rooms.alone.loadFor(waiter);
  if (isInterruption(given)) throw interruption(rooms.parts, call, given);
  return given.value;
}

function interruption(parts: EngineParts, call: GuardedCall, why: Interruption): unknown {
  if (why.kind === 'aborted') return why.reason;
  parts.hub.emit({ type: 'wait-timeout', domain: call.policy.domain, key: call.key });
  return waitTimeoutError(call);
}

/** Whether many entries are in need of a refresh at once: a server was restarted, or a tag or the domain was invalidated. */
function inBulk({ found }: Snapshot): boolean {
  return typeof found === 'object' && (found.doubt === 'epoch' || found.drift.kind !== 'none');
}

/** One load behind a reader who was given an old value. Never throws. */
export function refreshBehind(
  { quiet, sources }: EngineParts,
  flights: Flights,
  call: GuardedCall,
  seen: Snapshot,
  storeAway: boolean,
): void {
  if (flights.get(call.key) || quiet.has(call.key)) return;
  if (inBulk(seen) && !sources.of(call.policy).admitsRecovery()) return;
  const plan = {
    call: { ...call, signal: undefined },
    seen,
    via: storeAway ? 'direct' : 'guarded',
    background: true,
    insist: false,
    honourBackoff: true,
    forced: false,
  } as const;
  try {
    // Outside the reader's own load: it does not wait for the refresh, so it neither holds its slot nor inherits from it.
    runInFrame(undefined, () => flights.start(plan, () => {}));
  } catch {
    // Too many keys in flight, reported by an event: the old value is what there is.
  }
}

import { asInner } from '../core/composition.js';
import { FLAG, type Entry } from '../core/entry.js';
import type { HitEvent } from '../core/events.js';
import type { ServedValue } from '../core/targets.js';
import type { GuardedCall, Served } from './call.js';
import type { EngineParts } from './engine-parts.js';
import { currentFrame, currentTrace } from './load-frames.js';

/** Tells the loads that this read is part of whose value is asked for, whatever becomes of it. @param call `undefined`: nobody knows whose */
export function noteAsked(owner: object, domain: string, call: GuardedCall | undefined): void {
  const frame = currentFrame();
  if (call) frame?.ask(owner, call);
  else frame?.askUnknown(domain);
}

/** Tells the load that this read is part of what it was given. @param softMs when it was stale: since when */
export function noteInner(owner: object, call: GuardedCall, entry: Entry | undefined, softMs?: number): void {
  const frame = currentFrame();
  if (!frame) return;
  frame.inherit(owner, asInner(call.policy, entry, frame.call.policy, softMs, frame.isOwner(owner, call)));
}

/** Tells the load that this read is part of, and whoever traces, what was served. */
export function noteServed(owner: object, served: Served): void {
  const { call, entry, staleMs, nowMs } = served;
  noteInner(owner, call, entry, staleMs > 0 ? nowMs - staleMs : undefined);
  currentTrace()?.push(describeServed(served));
  call.onServed?.(served);
}

export function describeServed({ call, entry, state, nowMs, staleMs }: Served): ServedValue {
  return {
    domain: call.policy.domain,
    key: call.key,
    state,
    ageMs: entry ? Math.max(0, nowMs - entry.beganMs) : 0,
    staleMs,
    version: entry?.version,
    etag: entry?.etag,
    negative: entry !== undefined && (entry.flags & FLAG.negative) !== 0,
  };
}

/** A reader was answered from the store. */
export function tellHit(
  { owner, hub }: Pick<EngineParts, 'owner' | 'hub'>,
  call: GuardedCall,
  entry: Entry,
  tier: HitEvent['tier'],
  { state, nowMs, staleMs }: Pick<HitEvent, 'state' | 'staleMs'> & { readonly nowMs: number },
): void {
  const negative = (entry.flags & FLAG.negative) !== 0;
  const { domain } = call.policy;
  hub.emit({ type: 'hit', domain, key: call.key, state, tier, negative, ageMs: nowMs - entry.beganMs, staleMs });
  if (currentFrame() || currentTrace() || call.onServed)
    noteServed(owner, {
      call,
      entry,
      state: state === 'fresh' ? 'fresh' : 'stale',
      nowMs,
      staleMs,
      standsIn: state === 'stale-on-error',
    });
}

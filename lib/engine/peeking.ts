import { decide } from '../core/decide.js';
import { FLAG } from '../core/entry.js';
import type { PeekedValue } from '../core/targets.js';
import type { GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';
import { describeServed, noteInner } from './served.js';

/** What a reader would be given now without a load. Never throws. */
export async function peekAt<T>(
  { owner, lookup, hub }: Pick<EngineParts, 'owner' | 'lookup' | 'hub'>,
  call: GuardedCall,
): Promise<PeekedValue<T> | undefined> {
  try {
    const seen = await lookup.look(call);
    const { found, nowMs } = seen;
    const decision = decide(found, call.policy, nowMs, call.mark);
    if (decision.kind !== 'serve' || typeof found !== 'object' || found.entry.flags & FLAG.thrown) return undefined;
    const state = decision.stale ? 'stale' : 'fresh';
    const described = describeServed({ call, entry: found.entry, state, nowMs, staleMs: decision.staleMs });
    const value = (await seen.unpack(call.values)).take() as T;
    noteInner(owner, call, found.entry, decision.stale ? nowMs - decision.staleMs : undefined);
    return { ...described, value };
  } catch (error) {
    hub.emit({ type: 'store-error', domain: call.policy.domain, operation: 'read', error });
    return undefined;
  }
}

import type { StoreErrorEvent } from '../core/events.js';
import type { GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';

/** The store's answer, or `undefined` when it is away: the way to a value then is the loader, or this process's memory. */
export async function answered<T>(
  { hub }: Pick<EngineParts, 'hub'>,
  { policy }: GuardedCall,
  operation: StoreErrorEvent['operation'],
  ask: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    hub.emit({ type: 'store-error', domain: policy.domain, operation, error });
    return undefined;
  }
}

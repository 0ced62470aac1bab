import { CacheGuardOverloadError } from '../core/errors.js';
import type { GuardedCall } from './call.js';
import type { EventHub } from './event-hub.js';
import type { KeyMaker } from './key-maker.js';

/** How many loads of each domain one principal has under way: nobody takes all the room that there is. */
export class PrincipalShares {
  /** By domain and principal; none for whom nothing is under way. */
  private readonly taken = new Map<string, number>();

  constructor(private readonly parts: { readonly keys: Pick<KeyMaker, 'caller'>; readonly hub: EventHub }) {}

  /**
   * @returns what ends it
   * @throws CacheGuardOverloadError (`CG_OVERLOADED`) when the caller has too many; not where nobody knows who has called
   */
  take({ policy, key, principal }: GuardedCall): () => void {
    const caller = principal ?? this.parts.keys.caller();
    if (caller === undefined) return () => {};
    const { domain, maxKeysInFlightPerPrincipal } = policy;
    const whose = `${domain}:${caller}`;
    const count = this.taken.get(whose) ?? 0;
    if (count >= maxKeysInFlightPerPrincipal) {
      this.parts.hub.emit({ type: 'overload', domain, key, bound: 'keys-in-flight-per-principal' });
      throw new CacheGuardOverloadError(
        'CG_OVERLOADED',
        `Domain '${domain}': ${maxKeysInFlightPerPrincipal} keys have a load in flight for one principal, no more may start; ` +
          'raise maxKeysInFlightPerPrincipal, or bound the keys that a caller can ask for.',
        { domain, field: 'maxKeysInFlightPerPrincipal' },
      );
    }
    this.taken.set(whose, count + 1);
    return () => this.giveBack(whose);
  }

  private giveBack(whose: string): void {
    const left = this.taken.get(whose)! - 1;
    if (left > 0) this.taken.set(whose, left);
    else this.taken.delete(whose);
  }
}

import { LRUCache } from 'lru-cache';
import type { Ledger } from '../../core/ledger.js';

const MAX_KNOWN = 50_000;

/** Which events one process has dealt with. */
export class MemoryLedger implements Ledger {
  private readonly done = new LRUCache<string, true>({ max: MAX_KNOWN });

  /** @param enter throws when the store is closed */
  constructor(private readonly enter: () => void = () => {}) {}

  async known(identities: readonly string[]): Promise<readonly boolean[]> {
    this.enter();
    return identities.map((identity) => this.done.has(identity));
  }

  async remember(identities: readonly string[]): Promise<void> {
    this.enter();
    for (const identity of identities) this.done.set(identity, true);
  }
}

import { LRUCache } from 'lru-cache';
import type { Ledger } from '../../core/ledger.js';

const MAX_KNOWN = 50_000;

/** Which events one process has dealt with. */
export class MemoryLedger implements Ledger {
  private readonly done = new LRUCache<string, true>({ max: MAX_KNOWN });

  async known(identities: readonly string[]): Promise<readonly boolean[]> {
    return identities.map((identity) => this.done.has(identity));
  }

  async remember(identities: readonly string[]): Promise<void> {
    for (const identity of identities) this.done.set(identity, true);
  }
}

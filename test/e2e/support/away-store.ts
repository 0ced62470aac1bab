import { CacheGuardStoreError } from 'nestjs-cache-guard';
import { MemoryStore } from '../../../lib/adapters/memory/memory-store.js';

/** A store that confirms no invalidation. */
export class AwayStore extends MemoryStore {
  override invalidate(): Promise<never> {
    return Promise.reject(new CacheGuardStoreError('CG_STORE_UNAVAILABLE', 'The store did not answer.'));
  }
}

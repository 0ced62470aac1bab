import type { Item } from './origin-client.js';
import type { Domain } from './policies.js';

/** What a reader got. */
export interface ItemRead {
  readonly version: number;
  /** The reader was told that it is stale. */
  readonly marked: boolean;
}

/** The same reads and writes, guarded or not. */
export interface Items {
  read(domain: Domain, id: string): Promise<ItemRead>;
  /** Resolves when the write and what it does to the cache are done. */
  write(domain: Domain, id: string): Promise<Item>;
}

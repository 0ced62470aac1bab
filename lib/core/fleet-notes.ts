import type { EntryKey } from './keys.js';

/** What is remembered of the last call of a guarded method, by its key; as bytes, with a life of its own. */
export interface Records {
  put(key: EntryKey, record: Buffer, ttlMs: number): Promise<void>;
  /** In the order of the keys. */
  get(keys: readonly EntryKey[]): Promise<readonly (Buffer | undefined)[]>;
}

/** Short texts that processes leave for each other. */
export interface Board {
  post(name: string, text: string, ttlMs: number): Promise<void>;
  /** In the order of the names. */
  read(names: readonly string[]): Promise<readonly (string | undefined)[]>;
}

/** One entry that a walk comes across. */
export interface WalkedEntry {
  readonly key: EntryKey;
  readonly bytes: Buffer;
}

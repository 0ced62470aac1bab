import type { EntryKey, KeyPart } from './keys.js';

/** A value that was invalidated and is to be loaded again, once in the fleet, behind waiting people. */
export interface RefreshJob {
  readonly domain: string;
  /** The space of keys within the domain: the guarded method's. */
  readonly name: string | undefined;
  readonly key: EntryKey;
  /** The key as the rule gave it; `undefined` where that could not be handed on. */
  readonly keyInput: KeyPart | undefined;
  /** The arguments with which the guarded method is called; `undefined`: those that were recorded when it was called last. */
  readonly args: readonly unknown[] | undefined;
  /** Store time, not before the invalidation: what was loaded later is as new as is wanted. `undefined`: not known. */
  readonly sinceMs: number | undefined;
}

/** Takes jobs off the way of the events that cause them. */
export interface RefreshQueue {
  /** Resolves when the jobs are kept where they will be done even if this process dies, as far as there is such a place. */
  enqueue(jobs: readonly RefreshJob[]): Promise<void>;
  /** Takes no more; resolves when what runs here is given up, and nothing is left running. */
  close?(): Promise<void>;
}

import { LRUCache } from 'lru-cache';
import type { Board, Records } from '../../core/fleet-notes.js';
import type { EntryKey } from '../../core/keys.js';

interface Kept<T> {
  readonly value: T;
  readonly untilMs: number;
}

/** A bounded number of notes, each with its time. */
class Notes<T> {
  private readonly kept: LRUCache<string, Kept<T>>;

  constructor(
    /** Store time. Throws when the store is closed. */
    private readonly now: () => number,
    max: number,
  ) {
    this.kept = new LRUCache({ max });
  }

  set(name: string, value: T, ttlMs: number): void {
    this.kept.set(name, { value, untilMs: this.now() + ttlMs });
  }

  all(names: readonly string[]): (T | undefined)[] {
    const now = this.now();
    return names.map((name) => {
      const kept = this.kept.get(name);
      return kept && kept.untilMs > now ? kept.value : undefined;
    });
  }
}

export class MemoryRecords implements Records {
  private readonly notes: Notes<Buffer>;

  constructor(now: () => number, max: number) {
    this.notes = new Notes(now, max);
  }

  async put(key: EntryKey, record: Buffer, ttlMs: number): Promise<void> {
    this.notes.set(key, Buffer.from(record), ttlMs);
  }

  async get(keys: readonly EntryKey[]): Promise<readonly (Buffer | undefined)[]> {
    return this.notes.all(keys).map((record) => record && Buffer.from(record));
  }
}

const MAX_TEXTS = 1_000;

export class MemoryBoard implements Board {
  private readonly notes: Notes<string>;

  constructor(now: () => number) {
    this.notes = new Notes(now, MAX_TEXTS);
  }

  async post(name: string, text: string, ttlMs: number): Promise<void> {
    this.notes.set(name, text, ttlMs);
  }

  async read(names: readonly string[]): Promise<readonly (string | undefined)[]> {
    return this.notes.all(names);
  }
}

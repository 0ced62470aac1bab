import { LRUCache } from 'lru-cache';
import type { InvalidationMode } from '../../core/events.js';
import type { Generation, GenerationName, Generations } from '../../core/generations.js';
import type { StoreTime } from './store-time.js';

interface Kept extends Generation {
  readonly untilMs: number;
}

/** The current generations, each as long as somebody may still compare with it. */
export class GenerationTable {
  private readonly kept: LRUCache<GenerationName, Kept>;

  constructor(
    private readonly time: StoreTime,
    max: number,
  ) {
    this.kept = new LRUCache({ max });
  }

  current(names: readonly GenerationName[]): Generations {
    return new Map(names.map((name) => [name, published(this.find(name))]));
  }

  /** Like `current`, and there is none that is missing. */
  ensure(names: readonly GenerationName[], ttlMs: number): Generations {
    const nowMs = this.time.ms();
    for (const name of names) {
      const known = this.find(name) ?? { value: this.time.micros(), removed: 0, untilMs: 0 };
      this.kept.set(name, { ...known, untilMs: Math.max(known.untilMs, nowMs + ttlMs) });
    }
    return this.current(names);
  }

  advance(name: GenerationName, mode: InvalidationMode, ttlMs: number): number {
    const known = this.find(name);
    const value = Math.max((known?.value ?? 0) + 1, this.time.tick());
    const removed = mode === 'expire' ? (known?.removed ?? 0) : value;
    this.kept.set(name, { value, removed, untilMs: Math.max(known?.untilMs ?? 0, this.time.ms() + ttlMs) });
    return value;
  }

  private find(name: GenerationName): Kept | undefined {
    const known = this.kept.get(name);
    return known && known.untilMs > this.time.ms() ? known : undefined;
  }
}

function published(kept: Kept | undefined): Generation | undefined {
  return kept && { value: kept.value, removed: kept.removed };
}

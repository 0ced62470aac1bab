import type { InvalidationMode, InvalidationScope } from '../core/events.js';
import type { GenerationName } from '../core/generations.js';
import { domainGeneration, type EntryKey } from '../core/keys.js';
import type { KnownVersion } from '../core/store.js';
import type { EventHub } from './event-hub.js';

/** One key, tag or domain to be invalidated. */
export type Invalidation = {
  readonly domain: string;
  readonly mode: InvalidationMode;
  /** How long a generation must outlive it. */
  readonly ttlMs: number;
} & (
  | { readonly scope: 'key'; readonly key: EntryKey; readonly known?: KnownVersion | undefined }
  | { readonly scope: 'tag' | 'domain'; readonly generation: GenerationName }
);

/** How many are kept before those of one domain give way to one of all the domain. */
export const MAX_PENDING = 10_000;

/** How many are on their way to the store at once. */
const AT_ONCE = 64;

const STRICTNESS: readonly InvalidationMode[] = ['expire', 'remove', 'purge'];

/**
 * Invalidations that the store has not confirmed: kept in this process, one for each key, tag and domain, in the strictest mode that was
 * asked for, until the store is back. They end with the process; an outbox beside the write is the durable way.
 */
export class PendingInvalidations {
  private readonly kept = new Map<string, Invalidation>();

  constructor(
    private readonly hub: EventHub,
    private readonly max = MAX_PENDING,
  ) {}

  get size(): number {
    return this.kept.size;
  }

  /** Half of the room is taken. */
  get crowded(): boolean {
    return this.kept.size >= this.max / 2;
  }

  add(given: Invalidation): void {
    // Several become one here, and the version of one says nothing about the others.
    const invalidation = given.scope === 'key' ? { ...given, known: undefined } : given;
    const whole = this.kept.get(`g ${domainGeneration(invalidation.domain)}`);
    // All of the domain goes already: its keys and tags need no room of their own.
    if (whole && invalidation.scope !== 'domain') {
      const { mode, ttlMs } = invalidation;
      this.kept.set(idOf(whole), stricter({ ...whole, mode, ttlMs }, whole));
      return;
    }
    const id = idOf(invalidation);
    const known = this.kept.get(id);
    if (!known && this.kept.size >= this.max) this.coarsen();
    this.kept.set(id, known ? stricter(known, invalidation) : invalidation);
  }

  /** Whether what the store has of a key, or of what carries one of the generations, is known to be out of date. */
  covers(key: EntryKey, generations: readonly GenerationName[]): boolean {
    if (this.kept.size === 0) return false;
    return this.kept.has(`k ${key}`) || generations.some((generation) => this.kept.has(`g ${generation}`));
  }

  /** Carries out what is kept; whether nothing is left. Gives up for now when much of it was refused. */
  async carryOut(execute: (invalidation: Invalidation) => Promise<void>): Promise<boolean> {
    const done: Invalidation[] = [];
    const work = [...this.kept];
    let refused = 0;
    const next = async (): Promise<void> => {
      for (let item = work.shift(); item && refused < AT_ONCE; item = work.shift()) {
        const [id, invalidation] = item;
        try {
          await execute(invalidation);
        } catch {
          refused++;
          // To the end: what one server of a cluster refuses must not keep the others waiting.
          if (this.kept.get(id) === invalidation && this.kept.delete(id)) this.kept.set(id, invalidation);
          continue;
        }
        // One that was asked for meanwhile is another.
        if (this.kept.get(id) === invalidation) this.kept.delete(id);
        done.push(invalidation);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
    this.tellAll(done, 'carried-out');
    return this.kept.size === 0;
  }

  /** Gives all of them up, at shutdown, and says so. */
  abandon(): void {
    this.tellAll([...this.kept.values()], 'failed');
    this.kept.clear();
  }

  /** Once for each kind. */
  private tellAll(invalidations: readonly Invalidation[], outcome: 'carried-out' | 'failed'): void {
    const kinds = new Map<string, { of: Invalidation; count: number }>();
    for (const of of invalidations) {
      const kind = `${of.domain} ${of.scope} ${of.mode}`;
      kinds.set(kind, { of, count: (kinds.get(kind)?.count ?? 0) + 1 });
    }
    for (const { of, count } of kinds.values()) this.tell(of, outcome, count);
  }

  /** The domain with the most gives way: all of it is invalidated instead. */
  private coarsen(): void {
    const byDomain = new Map<string, Invalidation[]>();
    for (const invalidation of this.kept.values()) {
      const known = byDomain.get(invalidation.domain);
      if (known) known.push(invalidation);
      else byDomain.set(invalidation.domain, [invalidation]);
    }
    const [domain, all] = [...byDomain].reduce((most, one) => (one[1].length > most[1].length ? one : most));
    for (const invalidation of all) this.kept.delete(idOf(invalidation));
    const whole = all
      .map(({ mode, ttlMs }): Invalidation => ({
        domain,
        mode,
        ttlMs,
        scope: 'domain',
        generation: domainGeneration(domain),
      }))
      .reduce(stricter);
    this.kept.set(idOf(whole), whole);
    this.tell(whole, 'coarsened', all.length);
  }

  private tell(
    { domain, scope, mode }: { domain: string; scope: InvalidationScope; mode: InvalidationMode },
    outcome: 'carried-out' | 'coarsened' | 'failed',
    count: number,
  ): void {
    this.hub.emit({ type: 'invalidation', domain, scope, mode, outcome, count });
  }
}

function idOf(invalidation: Invalidation): string {
  return invalidation.scope === 'key' ? `k ${invalidation.key}` : `g ${invalidation.generation}`;
}

/** A new object in any case: who carries out the old one must not take the new one for done. */
function stricter(one: Invalidation, other: Invalidation): Invalidation {
  const mode = STRICTNESS[Math.max(STRICTNESS.indexOf(one.mode), STRICTNESS.indexOf(other.mode))]!;
  return { ...other, mode, ttlMs: Math.max(one.ttlMs, other.ttlMs) };
}

import { elapsedSince, instant, type Instant } from '../core/clock.js';
import { decodeEntry } from '../core/entry.js';
import { CacheGuardError, describeValue } from '../core/errors.js';
import type { InvalidationEvent, InvalidationMode } from '../core/events.js';
import type { GenerationName } from '../core/generations.js';
import type { EntryKey } from '../core/keys.js';
import type { Policy } from '../core/policy.js';
import type { InvalidationResult } from '../core/targets.js';
import { generationTtl, type GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';
import type { Flights } from './flights.js';
import { nextTurn } from './next-turn.js';
import type { Invalidation, PendingInvalidations } from './pending.js';

const MODES: readonly InvalidationMode[] = ['expire', 'remove', 'purge'];

/** A command that has no answer for longer may be one of an outage. */
const SLOW_MS = 100;

/** Of what is asked for at once, so many go to the store together; then others have their turn. */
const AT_ONCE = 256;

type Outcome = InvalidationResult['outcome'];

/** The one way of an invalidation: this process's memory, the store, and, while the store is away, what is kept for its return. */
export class Invalidations {
  private closed = false;
  /** When those were sent that have not been answered, the oldest first. */
  private readonly underway = new Set<Instant>();

  constructor(
    private readonly parts: Pick<EngineParts, 'store' | 'hub' | 'near' | 'health' | 'clock' | 'sessions'>,
    private readonly pending: PendingInvalidations,
    private readonly flights: Flights,
  ) {}

  /**
   * @param version what is cached and as new may stay
   * @throws CacheGuardStoreError once the guard is closed, when nothing could be kept any more
   */
  keys(policy: Policy, keys: readonly EntryKey[], mode: InvalidationMode, version?: bigint): Promise<Outcome> {
    const known = version === undefined ? undefined : { version, windowMs: policy.hardTtlMs + policy.versionWindowMs };
    const common = { domain: policy.domain, mode, ttlMs: generationTtl(policy), scope: 'key', known } as const;
    return this.ask(keys.map((key) => ({ ...common, key })));
  }

  /** O(1) for any number of entries; `purge` also walks the domain's entries and erases the bytes of those concerned. Throws as `keys`. */
  generations(
    policy: Policy,
    scope: 'tag' | 'domain',
    generations: readonly GenerationName[],
    mode: InvalidationMode,
  ): Promise<Outcome> {
    const common = { domain: policy.domain, mode, ttlMs: generationTtl(policy), scope } as const;
    return this.ask(generations.map((generation) => ({ ...common, generation })));
  }

  keepRemoval({ policy, key }: GuardedCall): void {
    // Nobody asked for it: a crowd of unknown keys must not cost their domain what it has.
    if (policy.keep === 'nothing' || this.closed || this.pending.crowded) return;
    const ttlMs = generationTtl(policy);
    const removal = { domain: policy.domain, mode: 'remove', ttlMs, scope: 'key', key } as const;
    this.pending.add(removal);
    this.keep([removal]);
  }

  /** Nothing is pending, nor about to be. */
  settled(): boolean {
    const [oldest] = this.underway;
    return this.pending.size === 0 && (!oldest || elapsedSince(oldest, this.parts.clock) < SLOW_MS);
  }

  /** One that is kept, now that the store is back. Rejects when it is not. */
  readonly carryOut = async (invalidation: Invalidation): Promise<void> => {
    await this.execute(invalidation);
    this.forget(invalidation);
  };

  /** Tries for the last time what is pending. */
  async close(): Promise<void> {
    this.closed = true;
    if (this.pending.size > 0) {
      await this.parts.health.lastBeat();
      await this.pending.carryOut(this.carryOut);
    }
    this.pending.abandon();
  }

  private async ask(all: readonly Invalidation[]): Promise<Outcome> {
    let outcome: Outcome = 'applied';
    for (let from = 0; from < all.length; from += AT_ONCE) {
      // A store in this process's memory never waits for anything.
      if (from > 0) await nextTurn();
      if ((await this.askTogether(all.slice(from, from + AT_ONCE))) === 'pending') outcome = 'pending';
    }
    return outcome;
  }

  private async askTogether(invalidations: readonly Invalidation[]): Promise<Outcome> {
    const first = invalidations[0]!;
    for (const invalidation of invalidations) this.forget(invalidation);
    const kept: Invalidation[] = [];
    const failures: unknown[] = [];
    const sentAt = instant(this.parts.clock);
    this.underway.add(sentAt);
    await Promise.all(
      invalidations.map(async (invalidation) => {
        try {
          await this.execute(invalidation);
        } catch (error) {
          // At once: a read may come while the others are still under way.
          if (!this.closed) this.pending.add(invalidation);
          kept.push(invalidation);
          failures.push(error);
        }
        // A read that was under way may have brought back what it replaces.
        this.forget(invalidation);
      }),
    );
    this.underway.delete(sentAt);
    this.tell(first, 'applied', invalidations.length - kept.length);
    const keys = invalidations.flatMap((one) => (one.scope === 'key' ? [one.key] : []));
    this.parts.sessions.wrote(first.domain, kept.length === 0 ? 'applied' : 'pending', keys);
    if (kept.length === 0) return 'applied';
    this.parts.hub.emit({ type: 'store-error', domain: first.domain, operation: 'invalidate', error: failures[0] });
    if (this.closed) {
      this.tell(first, 'failed', kept.length);
      throw failures[0];
    }
    this.keep(kept);
    return 'pending';
  }

  private keep(invalidations: readonly Invalidation[]): void {
    for (const invalidation of invalidations) this.flights.void(invalidation);
    this.tell(invalidations[0]!, 'pending', invalidations.length);
    this.parts.health.nudge();
  }

  private async execute(invalidation: Invalidation): Promise<void> {
    const { store } = this.parts;
    const { domain, mode, ttlMs } = invalidation;
    if (invalidation.scope === 'key') return store.invalidate(invalidation.key, mode, invalidation.known);
    const { generation } = invalidation;
    await store.advance(generation, mode, ttlMs);
    if (mode !== 'purge') return;
    await store.sweep(domain, (bytes) => decodeEntry(bytes)?.stamps.some(({ name }) => name === generation) ?? true);
  }

  private forget(invalidation: Invalidation): void {
    if (invalidation.scope === 'key') this.parts.near.drop(invalidation.key);
    else this.parts.near.dropCarriers(invalidation.generation);
  }

  private tell({ domain, scope, mode }: Invalidation, outcome: InvalidationEvent['outcome'], count: number): void {
    if (count > 0) this.parts.hub.emit({ type: 'invalidation', domain, scope, mode, count, outcome });
  }
}

/** @throws CacheGuardError (`CG_INVALID_OPTIONS`) for a mode that does not exist */
export function modeOf(policy: Policy, mode: InvalidationMode | undefined): InvalidationMode {
  if (mode === undefined) return defaultMode(policy);
  if (MODES.includes(mode)) return mode;
  throw new CacheGuardError(
    'CG_INVALID_OPTIONS',
    `Domain '${policy.domain}': mode = ${describeValue(mode)} is refused; use one of ${MODES.join(', ')}.`,
    { domain: policy.domain, field: 'mode' },
  );
}

/** Where stale serving is allowed, an invalidation leaves no miss window; where it is not, it takes the value away. */
export function defaultMode(policy: Policy): InvalidationMode {
  return policy.staleAllowed ? 'expire' : 'remove';
}

import { decide } from '../../core/decide.js';
import { FLAG } from '../../core/entry.js';
import type { RefreshJob } from '../../core/refresh-job.js';
import { answered } from '../answered.js';
import type { GuardedCall } from '../call.js';
import type { EngineParts } from '../engine-parts.js';
import type { Flight } from '../flight.js';
import type { Flights } from '../flights.js';
import type { Snapshot } from '../snapshot.js';
import { failed } from '../sources.js';

/** What became of one attempt to make a value again. `away`: the store does not answer, and nothing was done. */
export type Remade = 'loaded' | 'fresh' | 'failed' | 'away';

/** A load that never takes off (no room, backing off) ends at once; this many in a row are enough. */
const MOST_ROUNDS = 20;

/** One load of a key in the background: under its lease, behind waiting people, and only if what is cached is not as new already. */
export class Remaking {
  private stopped = false;
  private flight: Flight | undefined;
  private load: 'none' | 'running' | 'done' | 'failed' = 'none';

  constructor(
    private readonly parts: EngineParts,
    private readonly flights: Flights,
    private readonly call: GuardedCall,
    private readonly sinceMs: RefreshJob['sinceMs'],
  ) {}

  /** Gives up the load. */
  stop(reason: unknown): void {
    this.stopped = true;
    this.flight?.cancel(reason);
  }

  async run(): Promise<Remade> {
    const { parts, flights, call } = this;
    const since = parts.clock.monotonic();
    for (let round = 0; round < MOST_ROUNDS && !this.stopped; round++) {
      const seen = await answered(parts, call, 'read', () => parts.lookup.look(call));
      if (!seen) return 'away';
      if (this.suffices(seen)) return 'fresh';
      if (parts.quiet.has(call.key) || parts.clock.monotonic() - since > call.policy.waitBudgetMs) return 'failed';
      const open = flights.get(call.key);
      // Somebody loads it here: for whom that began too early, it is not enough, and the next round sees it.
      await flights.landed(open ?? this.takeOff(seen));
      if (this.load !== 'none') return this.load === 'done' ? 'loaded' : 'failed';
    }
    return 'failed';
  }

  /** @throws CacheGuardOverloadError (`CG_OVERLOADED`) */
  private takeOff(seen: Snapshot): Flight {
    const call = { ...this.call, load: this.watched };
    const plan = {
      call,
      seen,
      via: 'guarded',
      background: true,
      insist: false,
      honourBackoff: true,
      forced: false,
    } as const;
    return this.flights.start(plan, (flight) => (this.flight = flight));
  }

  private readonly watched: GuardedCall['load'] = async (context) => {
    this.load = 'running';
    try {
      const value = await this.call.load(context);
      this.load = 'done';
      return value;
    } catch (error) {
      // An answer of the source is as good as a value.
      this.load = failed(this.call.policy, error) ? 'failed' : 'done';
      throw error;
    }
  };

  /** Whether what is cached is fresh, or at least began after what the job is about. */
  private suffices({ found, nowMs }: Snapshot): boolean {
    const decision = decide(found, this.call.policy, nowMs);
    if (decision.kind === 'serve') {
      if (!decision.stale) return true;
    } else if (decision.kind !== 'load') {
      return true;
    }
    if (typeof found !== 'object' || found.entry.flags & (FLAG.removed | FLAG.hitForMiss)) return false;
    return this.sinceMs !== undefined && found.entry.beganMs > this.sinceMs;
  }
}

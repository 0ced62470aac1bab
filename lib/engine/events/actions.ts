import type { Clock } from '../../core/clock.js';
import { isCacheGuardError } from '../../core/errors.js';
import type { RefreshJob, RefreshQueue } from '../../core/refresh-job.js';
import type { EntryKey } from '../../core/keys.js';
import { NEVER_ABORTED, LoadDirectives } from '../load-frames.js';
import type { CallMaker } from '../call-maker.js';
import type { Invalidations } from '../invalidations.js';
import type { Writes } from '../writes.js';
import { Bursts } from './bursts.js';
import { Lane } from './lane.js';
import { merged, targetOf, type Wanted, type WantedKey } from './wanted.js';

/** `later`: the store did not confirm it. */
export type ActionOutcome =
  | { readonly kind: 'applied' }
  | { readonly kind: 'later'; readonly reason: string }
  | { readonly kind: 'failed'; readonly error: unknown };

const APPLIED: ActionOutcome = { kind: 'applied' };
const LATER: ActionOutcome = { kind: 'later', reason: 'the store is away' };

/** How often a value that others overtake is put again. */
const MOST_PUTS = 20;

export interface ActionRooms {
  readonly clock: Clock;
  readonly calls: CallMaker;
  readonly invalidations: Invalidations;
  readonly writes: Writes;
  readonly refreshes: RefreshQueue;
  /** Store time where a key lives. Throws CacheGuardStoreError while it is not known. */
  readonly now: (key: EntryKey) => number;
}

/** Does what events want, once for a burst of them. */
export class Actions {
  private readonly bursts: Bursts<Wanted, ActionOutcome>;
  private readonly lane = new Lane();

  /** @param windowMs what events want of one target within it becomes one action */
  constructor(
    private readonly rooms: ActionRooms,
    windowMs: number,
  ) {
    this.bursts = new Bursts(rooms.clock, windowMs, merged, (wanted) => this.run(wanted));
  }

  /** Never rejects. */
  do(wanted: Wanted): Promise<ActionOutcome> {
    return this.bursts.submit(targetOf(wanted), wanted);
  }

  close(): void {
    this.bursts.close();
  }

  private async run(wanted: readonly Wanted[]): Promise<ActionOutcome[]> {
    const outcomes = await Promise.all(wanted.map((one) => this.lane.run(() => this.one(one)).catch(failed)));
    const jobs = wanted.flatMap((one, i) => (outcomes[i]!.kind === 'applied' ? this.jobsOf(one) : []));
    if (jobs.length === 0) return outcomes;
    try {
      await this.rooms.refreshes.enqueue(jobs);
      return outcomes;
    } catch (error) {
      const outcome = failed(error);
      return wanted.map((one, i) =>
        one.scope === 'key' && one.refresh && outcomes[i]!.kind === 'applied' ? outcome : outcomes[i]!,
      );
    }
  }

  private async one(wanted: Wanted): Promise<ActionOutcome> {
    const { invalidations } = this.rooms;
    const { policy } = wanted;
    if (wanted.scope !== 'key') {
      const { scope, generation, mode } = wanted;
      return told(await invalidations.generations(policy, scope, [generation], mode));
    }
    const { invalidate, update, key } = wanted;
    // Their versions keep the order of the two: what is older than the other is refused.
    if (invalidate) {
      const { mode, always, version } = invalidate;
      if (always && (await invalidations.keys(policy, [key], mode)) !== 'applied') return LATER;
      const known = version !== undefined;
      if (known && (await invalidations.keys(policy, [key], mode, version)) !== 'applied') return LATER;
    }
    return update ? this.update(wanted, update) : APPLIED;
  }

  private async update(
    { policy: { domain }, name, keyInput }: WantedKey,
    { value, version }: NonNullable<WantedKey['update']>,
  ): Promise<ActionOutcome> {
    const { calls, writes } = this.rooms;
    const call = calls.callOrRefuse({ domain, name, key: keyInput });
    for (let tries = 1; ; tries++) {
      const directives = new LoadDirectives(NEVER_ABORTED, undefined);
      directives.setVersion(version);
      const put = await writes.put(call, value, directives, { again: tries < MOST_PUTS });
      // Another process is dealing with the same key. Of the two values the newer one stays, whichever comes last.
      if (put.stored || put.reason !== 'overlapped' || tries === MOST_PUTS) return told(put.outcome);
    }
  }

  private jobsOf(wanted: Wanted): RefreshJob[] {
    if (wanted.scope !== 'key' || !wanted.refresh) return [];
    const { policy, name, key, keyInput, refresh } = wanted;
    return [{ domain: policy.domain, name, key, keyInput, args: refresh.args, sinceMs: this.since(key) }];
  }

  private since(key: EntryKey): number | undefined {
    try {
      return this.rooms.now(key);
    } catch {
      return undefined;
    }
  }
}

function told(outcome: 'applied' | 'pending'): ActionOutcome {
  return outcome === 'applied' ? APPLIED : LATER;
}

function failed(error: unknown): ActionOutcome {
  return isCacheGuardError(error, 'CG_STORE_UNAVAILABLE') ? LATER : { kind: 'failed', error };
}

import { isCacheGuardError } from '../../core/errors.js';
import type { Duties } from '../duty.js';
import type { EngineParts } from '../engine-parts.js';
import type { RunNotes, Turn } from './notes.js';
import { dutyOf, homeOf, type ReconcilingPolicy } from './reconciling-policy.js';

/** The longest time in which nobody looks: who died in the middle of a run is replaced within it. */
const LOOK_MS = 60_000;
/** After something that will pass: the store is away, another process runs it. */
const AGAIN_MS = 5_000;
/** The share of the cadence by which a process may be early, so that a fleet does not move in step. */
const EARLY = 0.1;

export interface CadenceRooms {
  readonly parts: Pick<EngineParts, 'store' | 'clock' | 'ids' | 'health'>;
  readonly policy: ReconcilingPolicy;
  readonly notes: RunNotes;
  readonly duties: Duties;
  readonly run: (signal: AbortSignal) => Promise<unknown>;
}

/** Sees to it that a domain is reconciled once in its cadence, by one process of the fleet, whichever it is. */
export class Cadence {
  private closed = false;
  private cancelTimer: () => void;
  private looking: Promise<void> | undefined;
  /** From 0 to 1, drawn anew after each run. */
  private lot = 0;
  private lotOf = -1;

  constructor(private readonly rooms: CadenceRooms) {
    const { parts, policy } = rooms;
    this.cancelTimer = this.schedule(parts.ids.random() * Math.min(policy.reconcile.everyMs, LOOK_MS));
  }

  /** Resolves when nothing is under way any more; a run is ended by its duty. */
  async close(): Promise<void> {
    this.closed = true;
    this.cancelTimer();
    await this.looking;
  }

  private schedule(ms: number): () => void {
    if (this.closed) return () => {};
    return this.rooms.parts.clock.schedule(ms, () => {
      this.looking = this.look()
        // Told as events by the run or by the store's health.
        .catch(() => this.soon())
        .then((nextMs) => void (this.cancelTimer = this.schedule(nextMs)));
    });
  }

  /** Resolves to when to look again, milliseconds. */
  private async look(): Promise<number> {
    if (this.rooms.parts.health.away) return this.soon();
    const waitMs = await this.dueIn();
    if (waitMs > 0) return Math.min(waitMs, LOOK_MS);
    const { duties, policy } = this.rooms;
    const done = await duties.run(dutyOf(policy), (signal) => this.takeTurn(signal));
    return done ? Math.min(await this.dueIn(), LOOK_MS) : this.soon();
  }

  private async takeTurn(signal: AbortSignal): Promise<void> {
    // Another process may have had it in between.
    if ((await this.dueIn()) > 0) return;
    const { notes, policy, run } = this.rooms;
    const turn = { startedMs: this.nowMs(), ended: false };
    await notes.postTurn(policy, turn);
    try {
      await run(signal);
    } catch (error) {
      // Nothing that the source can do about it: whoever comes next begins anew.
      if (signal.aborted || isCacheGuardError(error, 'CG_STORE_UNAVAILABLE')) throw error;
    }
    await notes.postTurn(policy, { ...turn, ended: true });
  }

  private async dueIn(): Promise<number> {
    const { notes, policy } = this.rooms;
    const turn = await notes.turn(policy);
    if (!turn?.ended) return 0;
    const sinceMs = this.nowMs() - turn.startedMs;
    // From the future, by a server whose clock was ahead.
    if (sinceMs < 0) return 0;
    return Math.max(0, policy.reconcile.everyMs * (1 - EARLY * this.lotFor(turn)) - sinceMs);
  }

  private lotFor({ startedMs }: Turn): number {
    if (startedMs !== this.lotOf) {
      this.lotOf = startedMs;
      this.lot = this.rooms.parts.ids.random();
    }
    return this.lot;
  }

  private soon(): number {
    const { parts, policy } = this.rooms;
    return Math.min(AGAIN_MS, policy.reconcile.everyMs) * (0.5 + 0.5 * parts.ids.random());
  }

  /** Store time, the same for the whole fleet. */
  private nowMs(): number {
    return this.rooms.parts.store.now(homeOf(this.rooms.policy));
  }
}

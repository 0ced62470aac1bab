import { elapsedSince, instant, type Clock, type Instant } from './clock.js';

/** For so long after a beat was sent it vouches for what was signalled before it; within a second every process treats as stale what was invalidated. */
export const TRUST_MS = 900;

const MAX_UNHEARD = 64;

/**
 * Whether the signals of the fleet are known to arrive. A beat that comes back over their way proves that everything signalled before
 * it was sent has arrived; a connection that is half open gives no beat back.
 */
export class Trust {
  /** Grows with every loss of signals: what was learnt under an older number is not trusted again. */
  era = 0;
  private readonly sent = new Map<number, Instant>();
  private provenAt: Instant | undefined;

  constructor(private readonly clock: Clock) {}

  get alive(): boolean {
    return this.provenAt !== undefined && elapsedSince(this.provenAt, this.clock) < TRUST_MS;
  }

  /** Signals of this era arrive, if late: what is learnt now will be corrected, or the loss noticed. */
  get proven(): boolean {
    return this.provenAt !== undefined;
  }

  /** To be told before the beat goes on its way. */
  send(beat: number): void {
    // In a cluster of which one server is away, beats are sent and never heard.
    if (this.sent.size >= MAX_UNHEARD) this.sent.delete(this.sent.keys().next().value!);
    this.sent.set(beat, instant(this.clock));
  }

  /** The beat never left, or nobody knows. */
  unsent(beat: number): void {
    this.sent.delete(beat);
  }

  heard(beat: number): void {
    const at = this.sent.get(beat);
    // Sent before the last loss, it proves nothing about the time since.
    if (at === undefined) return;
    for (const earlier of this.sent.keys()) {
      if (earlier > beat) break;
      this.sent.delete(earlier);
      // Beats arrive in their order: where one is missing, other signals may be.
      if (earlier < beat) this.era++;
    }
    this.provenAt = at;
  }

  lost(): void {
    this.era++;
    this.sent.clear();
    this.provenAt = undefined;
  }
}

import type { Clock } from '../core/clock.js';
import type { Ids } from '../core/ids.js';
import type { KeySignal } from '../core/store.js';

/** Why the wait for another attempt ended. */
export type WaitEnd = 'message' | 'timer' | 'insist' | 'abandoned';

/** A wait for the attempt of another process, ended by a message. A message may overtake the refusal that it answers. */
export class HolderWait {
  private signalledMs = -Infinity;
  private refusedMs = Infinity;
  private stop: ((why: WaitEnd) => void) | undefined;
  /** A load came to its end, or its attempt was voided: if what is there now does not serve, it was waited for in vain. */
  loadWasAwaited = false;

  constructor(
    private readonly clock: Clock,
    private readonly ids: Ids,
  ) {}

  /** `atMs`: store time of what is signalled. */
  hear(signal: KeySignal, atMs: number): void {
    this.signalledMs = Math.max(this.signalledMs, atMs);
    this.loadWasAwaited ||= signal.kind !== 'released' || signal.loaded;
    this.check();
  }

  end(why: WaitEnd): void {
    this.stop?.(why);
  }

  /** A slow, jittered look at the lease covers a message that was lost, and a holder that died. */
  async until({ remainingMs, nowMs }: { readonly remainingMs: number; readonly nowMs: number }): Promise<WaitEnd> {
    const why = await new Promise<WaitEnd>((resolve) => {
      const cancel = this.clock.schedule(remainingMs + 10 + 40 * this.ids.random(), () => resolve('timer'));
      this.stop = (end) => {
        cancel();
        resolve(end);
      };
      this.refusedMs = nowMs;
      this.check();
    });
    this.stop = undefined;
    this.refusedMs = Infinity;
    return why;
  }

  /** What was signalled before the refusal was over by then. */
  private check(): void {
    if (this.signalledMs >= this.refusedMs) this.end('message');
  }
}

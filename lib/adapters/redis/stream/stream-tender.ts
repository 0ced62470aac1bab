import type { Clock } from '../../../core/clock.js';
import type { EventSink } from '../../../core/event-source.js';
import type { StreamEntry } from './stream-entry.js';
import type { PendingEntry, StreamGroup } from './stream-group.js';
import type { StreamWork } from './stream-work.js';

const TICK_MS = 500;
const TIDY_MS = 10_000;
const PAGE = 256;

export interface StreamTenderOptions {
  readonly group: StreamGroup;
  readonly sink: EventSink;
  readonly work: StreamWork;
  readonly clock: Clock;
  readonly consumer: string;
  readonly retryAfterMs: number;
  readonly claimAfterMs: number;
  readonly forgetAfterMs: number;
}

/** Measures the lag, and looks after what was handed out and not acknowledged, here and by processes that are gone. */
export class StreamTender {
  private tidiedMs = -Infinity;
  private surveyAtMs = -Infinity;
  /** Where the next look at what is pending begins. */
  private from = '-';
  private crowded = false;

  constructor(private readonly options: StreamTenderOptions) {}

  /** Whether it would go on at once if there were room. */
  get waitsForRoom(): boolean {
    return this.crowded;
  }

  /** Gives for how many milliseconds there is nothing to do. */
  async step(): Promise<number> {
    const { sink, work, clock } = this.options;
    if (clock.monotonic() >= this.surveyAtMs) {
      const lagMs = await this.survey();
      // Whoever reads finds out that the group is gone, and what that means.
      if (lagMs === undefined) return TICK_MS;
      this.surveyAtMs = clock.monotonic() + TICK_MS;
      sink.lag(lagMs);
      await work.acknowledgements.send();
      await this.walk();
    } else if (this.crowded) {
      await this.walk();
    }
    return Math.max(0, this.surveyAtMs - clock.monotonic());
  }

  /** Looks at all that is pending, once, as far as there is room and the next survey is not due: what cannot be dealt with is passed by. */
  private async walk(): Promise<void> {
    const { work, clock } = this.options;
    do {
      this.crowded = work.waitMs > 0;
      if (this.crowded) return;
      await this.claim();
    } while (this.from !== '-' && clock.monotonic() < this.surveyAtMs);
  }

  private async survey(): Promise<number | undefined> {
    const { group, clock, forgetAfterMs } = this.options;
    const now = clock.monotonic();
    const tidy = now - this.tidiedMs >= Math.min(TIDY_MS, forgetAfterMs);
    const lagMs = await group.survey(tidy ? forgetAfterMs : undefined);
    if (tidy) this.tidiedMs = now;
    return lagMs;
  }

  private async claim(): Promise<void> {
    const { group, sink, work, retryAfterMs, claimAfterMs } = this.options;
    const pending = await group.pending(Math.min(retryAfterMs, claimAfterMs), this.from, PAGE);
    this.from = pending.length < PAGE ? '-' : `(${pending.at(-1)!.id}`;
    const due = pending
      .map((one) => ({ id: one.id, idleMs: this.pauseOf(one), isIdle: one.idleMs }))
      .filter(({ id, idleMs, isIdle }) => isIdle >= idleMs && !work.has(id));
    if (due.length === 0) return;
    const { entries, gone } = await group.claim(due);
    const [together, apart] = split(entries);
    void work.deal(together, apart);
    if (gone.length === 0) return;
    await sink.lost(`events were removed before they were dealt with: ${gone.length}`);
    work.acknowledgements.add(gone);
  }

  /** How long an entry is left alone. */
  private pauseOf({ consumer, count }: PendingEntry): number {
    const { retryAfterMs, claimAfterMs } = this.options;
    if (consumer !== this.options.consumer) return claimAfterMs;
    return Math.min(retryAfterMs * 2 ** Math.max(0, count - 1), Math.max(retryAfterMs, claimAfterMs));
  }
}

/** One that came back several times may be what ends or holds up those who deal with it: it is not dealt with together with others. */
function split(entries: readonly StreamEntry[]): [together: StreamEntry[], apart: StreamEntry[]] {
  return [entries.filter(({ count }) => count <= 2), entries.filter(({ count }) => count > 2)];
}

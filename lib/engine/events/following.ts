import type { Clock } from '../../core/clock.js';
import { CacheGuardError } from '../../core/errors.js';
import type { EventSink, EventSource } from '../../core/event-source.js';

/** How long a source may hold up the start of the application, and its end. */
const PATIENCE_MS = 10_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/** One source that is followed. Sources are the application's own code: whatever they do, it starts and ends in bounded time. */
export class Following {
  private closed = false;
  private cancelPause = () => {};

  constructor(
    private readonly source: EventSource,
    private readonly sink: EventSink,
    private readonly clock: Clock,
  ) {}

  /** Resolves when the source is open, or has not answered for 10 s: then it may still open later. Rejects with what it throws before. */
  async open(): Promise<void> {
    const opening = this.attempt();
    if (await this.inTime(opening)) return;
    this.tell('did not open', 'the application starts without it, and follows it as soon as it has');
    // What it says later is nobody's start any more.
    opening.catch((error: unknown) => this.again(error, FIRST_PAUSE_MS));
  }

  /** Resolves when the source is closed, or has not answered for 10 s. Never rejects. */
  async close(): Promise<void> {
    this.closed = true;
    this.cancelPause();
    try {
      if (await this.inTime(this.end())) return;
      this.tell('did not close', 'the application ends without it; what it holds may be left open');
    } catch (error) {
      this.sink.trouble(error);
    }
  }

  private async attempt(): Promise<void> {
    await this.source.open(this.sink);
    // Closed meanwhile, it may have opened what that did not find.
    if (this.closed) await this.source.close();
  }

  private again(error: unknown, pauseMs: number): void {
    if (this.closed) return;
    this.sink.trouble(error);
    this.cancelPause = this.clock.schedule(pauseMs, () => void this.retry(pauseMs));
  }

  private async retry(pauseMs: number): Promise<void> {
    try {
      await this.attempt();
    } catch (error) {
      this.again(error, Math.min(2 * pauseMs, LONGEST_PAUSE_MS));
    }
  }

  private async end(): Promise<void> {
    await this.source.close();
  }

  /** Whether `work` is done in time; rejects as it does. */
  private async inTime(work: Promise<void>): Promise<boolean> {
    let cancel = () => {};
    const patience = new Promise<false>((resolve) => {
      cancel = this.clock.schedule(PATIENCE_MS, () => resolve(false), true);
    });
    try {
      return await Promise.race([work.then(() => true), patience]);
    } finally {
      cancel();
    }
  }

  private tell(what: string, then: string): void {
    const { name } = this.source;
    const message = `Event source '${name}' ${what} within ${PATIENCE_MS / 1_000} s: ${then}. Bound what it waits for.`;
    this.sink.trouble(new CacheGuardError('CG_EVENT_SOURCE_TIMEOUT', message, { field: 'events.sources' }));
  }
}

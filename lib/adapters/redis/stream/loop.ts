import type { Clock } from '../../../core/clock.js';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

/** Repeats a step until it is stopped. After a failure it waits, twice as long as after the one before. */
export class Loop {
  private stopped = false;
  private failures = 0;
  private woken = false;
  private endPause: (() => void) | undefined;
  private readonly running: Promise<void>;

  /**
   * @param step gives for how many milliseconds to wait before the next
   * @param failed hears why a step did not work, unless the loop was stopped
   */
  constructor(
    private readonly clock: Clock,
    private readonly step: () => Promise<number>,
    private readonly failed: (error: unknown) => void,
  ) {
    this.running = this.run();
  }

  /** Ends the pause, or the one that would follow the step under way. */
  wake(): void {
    this.woken = true;
    this.endPause?.();
  }

  /** Resolves when the step under way is over. */
  stop(): Promise<void> {
    this.stopped = true;
    this.wake();
    return this.running;
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      this.woken = false;
      const pauseMs = await this.once();
      if (pauseMs > 0 && !this.woken) await this.pause(pauseMs);
    }
  }

  private async once(): Promise<number> {
    try {
      const pauseMs = await this.step();
      this.failures = 0;
      return pauseMs;
    } catch (error) {
      if (this.stopped) return 0;
      this.failed(error);
      const longest = Math.min(FIRST_PAUSE_MS * 2 ** this.failures++, LONGEST_PAUSE_MS);
      return longest * (0.75 + 0.25 * Math.random());
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.clock.schedule(ms, resolve);
      this.endPause = () => {
        cancel();
        resolve();
      };
    });
  }
}

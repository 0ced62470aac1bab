import { elapsedSince, instant, type Clock, type Instant } from '../../core/clock.js';

/** A sample older than this is replaced by any newer one, so that drift between the clocks does not add up. */
const SAMPLE_LIFE_MS = 60_000;

interface Sample {
  readonly serverMs: number;
  readonly sentAt: Instant;
  readonly roundTripMs: number;
}

/**
 * A Redis server's clock as this process knows it: what the server said, counted on from the moment the question was sent. That is never
 * earlier than the server's clock and at most one round trip later, so values look older, never younger. Of several samples the one
 * with the shortest round trip is the most exact (the clock filter of RFC 5905, section 10).
 */
export class ServerClock {
  private sample: Sample | undefined;

  constructor(private readonly clock: Clock) {}

  /** Forgets all samples: another server may answer from now on. */
  reset(): void {
    this.sample = undefined;
  }

  /** To be taken when a command that answers with the server's time is sent. */
  start(): Instant {
    return instant(this.clock);
  }

  learn(serverMs: number, sentAt: Instant): void {
    const roundTripMs = elapsedSince(sentAt, this.clock);
    const { sample } = this;
    const replaces =
      !sample ||
      roundTripMs <= sample.roundTripMs ||
      elapsedSince(sample.sentAt, this.clock) > SAMPLE_LIFE_MS ||
      serverMs > this.at(sample);
    if (replaces) this.sample = { serverMs, sentAt, roundTripMs };
  }

  /** Milliseconds on the server's clock; `undefined` before the first sample. */
  now(): number | undefined {
    return this.sample && this.at(this.sample);
  }

  private at(sample: Sample): number {
    return sample.serverMs + elapsedSince(sample.sentAt, this.clock);
  }
}

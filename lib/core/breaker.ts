/** Keeps calls away from what has failed again and again, until a probe succeeds. */
export interface Breaker {
  /** Whether calls are let through now; while it is `false`, at most a probe is. */
  readonly closed: boolean;
  /**
   * Calls `work` at once, if it is closed, or as the one probe (which it is told) once the pause is over; else not at all.
   *
   * @throws what `work` threw, or what `refusal` makes when it was not let through
   */
  run<T>(work: (probe: boolean) => Promise<T>, refusal: () => Error): Promise<T>;
  /** Hears of every change between closed and open. */
  onChange(listener: (closed: boolean) => void): void;
}

export interface BreakerOptions {
  /** How many failures in a row open it. */
  readonly failures: number;
  /** Milliseconds from its opening to the first probe; doubles with each probe that fails, up to `maxPauseMs`. */
  readonly pauseMs: number;
  readonly maxPauseMs: number;
  /** Which rejections count. */
  readonly isFailure: (error: unknown) => boolean;
}

export type MakeBreaker = (options: BreakerOptions) => Breaker;

/**
 * Where the engine takes time from. Nothing in `core` or `engine` reads a clock or sets a timer by itself.
 */
export interface Clock {
  /** Milliseconds from an arbitrary start; never goes backwards. */
  monotonic(): number;
  /** Milliseconds since the Unix epoch; may jump. */
  wall(): number;
  /**
   * Calls `run` once after `ms` milliseconds; the function that is returned cancels it.
   *
   * @param awaited a caller waits for it: the process must not end before. Default: nobody does, and the timer holds up no exit
   */
  schedule(ms: number, run: () => void, awaited?: boolean): () => void;
}

/** The same clock for what callers wait for. */
export function awaitedTimers(clock: Clock): Clock {
  return {
    monotonic: () => clock.monotonic(),
    wall: () => clock.wall(),
    schedule: (ms, run) => clock.schedule(ms, run, true),
  };
}

/** One reading of both clocks, to measure from. */
export interface Instant {
  readonly monotonic: number;
  readonly wall: number;
}

export function instant(clock: Clock): Instant {
  return { monotonic: clock.monotonic(), wall: clock.wall() };
}

/**
 * Milliseconds since `from`: the larger of monotonic and wall time, because a monotonic clock may stand still while the
 * machine is suspended and a wall clock may be set back. Never negative.
 */
export function elapsedSince(from: Instant, clock: Clock): number {
  return Math.max(clock.monotonic() - from.monotonic, clock.wall() - from.wall, 0);
}

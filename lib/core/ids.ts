/** Where randomness and identities come from, so that tests can repeat a run. */
export interface Ids {
  /** Identifies this process (this engine) in the fleet. */
  readonly process: string;
  /** Unique for every attempt, in the whole fleet. */
  token(): string;
  /** 8 bytes as hex. */
  entryId(): string;
  /** From 0 (inclusive) to 1 (exclusive). */
  random(): number;
}

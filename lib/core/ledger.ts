/**
 * Remembers which events the fleet has dealt with. Bounded: it knows at least the last 50,000, and forgets after a day without
 * any.
 */
export interface Ledger {
  /** Whether each of the identities is known. */
  known(identities: readonly string[]): Promise<readonly boolean[]>;
  /** To be called after the action: who dies in between has it done again, which is harmless; the other way round it would be lost. */
  remember(identities: readonly string[]): Promise<void>;
}

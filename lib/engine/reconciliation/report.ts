import type { ReconciliationEvent } from '../../core/events.js';

/** What a comparison of a domain's cached values with their source came to. */
export interface ReconciliationReport {
  /** Entries that could be compared. */
  readonly checked: number;
  /** Those of them that were not what the source has now. */
  readonly drifted: number;
  /** Those of them that were invalidated. */
  readonly repaired: number;
  /** Entries without a version, or of which it is not known by which key they were asked for. */
  readonly unchecked: number;
  /** How long ago the oldest of those that had drifted was loaded, milliseconds; 0 when none had. */
  readonly oldestDriftMs: number;
  /** How long it took, milliseconds. */
  readonly ms: number;
}

/** The last run that ended, in whichever process. */
export interface LastReconciliation extends ReconciliationReport {
  /** `stopped`: given up at a shutdown, or by whoever had asked for it. `failed`: the source or the store did. */
  readonly state: Exclude<ReconciliationEvent['state'], 'running'>;
  readonly endedAt: Date;
}

export interface ReconcileOptions {
  /** Ends the run; what was repaired stays repaired. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each batch. What it throws ends the run. */
  readonly onProgress?: ((soFar: ReconciliationReport) => void) | undefined;
}

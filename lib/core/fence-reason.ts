/** Why a loaded value did not become the cached one. */
export type FenceReason =
  /** The token was voided (invalidation, write) or its lease ran out. */
  | 'token'
  /** A tag or the domain was invalidated while the load ran. */
  | 'generation'
  /** The store is not the process that gave the token. */
  | 'epoch'
  /** The store knows a newer version. */
  | 'version'
  /** A value whose load began later is there already. */
  | 'superseded'
  /** Nobody knows whether the commit was carried out. */
  | 'unknown';

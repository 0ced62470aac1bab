import type { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.js';
import type { CodecSet } from '../core/codec.js';
import type { Ids } from '../core/ids.js';
import type { EntryKey } from '../core/keys.js';
import type { Sealing } from '../core/sealing.js';
import type { Store } from '../core/store.js';
import type { ThrownCodec } from '../core/thrown.js';
import type { Sources } from './sources.js';
import type { CallRecords } from './call-records.js';
import type { GuardedCall } from './call.js';
import type { Deadlines } from './deadlines.js';
import type { EntryMaker } from './entry-maker.js';
import type { EventHub } from './event-hub.js';
import type { KeyMaker } from './key-maker.js';
import type { LeaseKeeper } from './lease-keeper.js';
import type { Lookup } from './lookup.js';
import type { NearCache } from './near-cache.js';
import type { PrincipalShares } from './principal-shares.js';
import type { Sessions } from './session.js';
import type { StoreHealth } from './store-health.js';

/** The order of arrivals, sent commands, loader calls and seals in this process. */
export class Sequence {
  private last = 0;

  next(): number {
    return ++this.last;
  }
}

/** What the rooms of one engine share. */
export interface EngineParts {
  /** Identity of the engine, for loads that nest across applications. */
  readonly owner: object;
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly codecs: CodecSet;
  readonly sealing: Sealing;
  readonly thrown: ThrownCodec;
  readonly hub: EventHub;
  readonly keys: KeyMaker;
  readonly lookup: Lookup;
  readonly near: NearCache;
  readonly health: StoreHealth;
  /** The source says that a value is gone, and the store could not be told: kept for its return. */
  readonly keepRemoval: (call: GuardedCall) => void;
  readonly maker: EntryMaker;
  readonly records: CallRecords;
  readonly keeper: LeaseKeeper;
  readonly sessions: Sessions;
  readonly sources: Sources;
  readonly shares: PrincipalShares;
  readonly deadlines: Deadlines;
  readonly sequence: Sequence;
  /** Keys whose refresh backs off: a bounded memory that spares the store a refused attempt for each stale read. */
  readonly quiet: LRUCache<EntryKey, true>;
}

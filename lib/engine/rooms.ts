import { LRUCache } from 'lru-cache';
import type { MakeBreaker } from '../core/breaker.js';
import { awaitedTimers, type Clock } from '../core/clock.js';
import type { CodecSet } from '../core/codec.js';
import type { Ids } from '../core/ids.js';
import { Sealing, type Sealer } from '../core/sealing.js';
import type { Store } from '../core/store.js';
import { plainThrown, type ThrownCodec } from '../core/thrown.js';
import { Trust } from '../core/trust.js';
import { CallRecords } from './call-records.js';
import { Deadlines } from './deadlines.js';
import type { Domains } from './domains.js';
import { Sequence, type EngineParts } from './engine-parts.js';
import { EntryMaker } from './entry-maker.js';
import { EventHub } from './event-hub.js';
import { SourceHealth } from './events/source-health.js';
import { Flights } from './flights.js';
import { Invalidations } from './invalidations.js';
import { KeyMaker, type KeyMeansGiven } from './key-maker.js';
import { LeaseKeeper } from './lease-keeper.js';
import { LoneLoads } from './lone-loads.js';
import { Lookup } from './lookup.js';
import { NearCache } from './near-cache.js';
import { PendingInvalidations } from './pending.js';
import { PrincipalShares } from './principal-shares.js';
import { Probes } from './probes.js';
import { RecentEvents } from './recent-events.js';
import { signalHandler } from './signals.js';
import { Sources } from './sources.js';
import { Sessions } from './session.js';
import { StoreHealth } from './store-health.js';
import { Writes } from './writes.js';

/** Keys that are remembered as backing off; beyond it the least recent ask the store again. */
const QUIET_KEYS = 10_000;

export interface CacheGuardParts extends KeyMeansGiven {
  readonly domains: Domains;
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly codecs: CodecSet;
  /** Default: name, message and code of an `Error`. */
  readonly thrown?: ThrownCodec;
  /** For the policies that `encrypt`. */
  readonly sealer?: Sealer | undefined;
  /** For the policies that have a `breaker`. Default: none opens. */
  readonly makeBreaker?: MakeBreaker;
}

/** The rooms of one engine. */
export interface Rooms {
  readonly parts: EngineParts;
  readonly flights: Flights;
  readonly probes: Probes;
  readonly recent: RecentEvents;
  readonly alone: LoneLoads;
  readonly invalidations: Invalidations;
  readonly writes: Writes;
  readonly sourceHealth: SourceHealth;
}

/** Furnishes an engine, and lets it hear what its store says. */
export function makeRooms(owner: object, given: CacheGuardParts): Rooms {
  const { store, clock, ids, codecs, thrown = plainThrown, makeBreaker, domains } = given;
  const sealing = new Sealing(given.sealer, (domain) => domains.has(domain) && domains.policy(domain).encrypt);
  domains.haveMeans({ principal: given.principal !== undefined, keySecret: given.keySecret !== undefined });
  const hub = new EventHub(owner);
  const trust = new Trust(clock);
  const near = new NearCache(clock, trust, store);
  const pending = new PendingInvalidations(hub);
  const carryOut = () => pending.carryOut(invalidations.carryOut);
  const settled = () => invalidations.settled();
  const keys = new KeyMaker(domains, hub, given);
  const health = new StoreHealth({ store, clock, ids, hub, trust, pending, settled, carryOut });
  const parts: EngineParts = {
    owner,
    store,
    clock,
    ids,
    codecs,
    sealing,
    thrown,
    hub,
    keys,
    shares: new PrincipalShares({ keys, hub }),
    near,
    health,
    keepRemoval: (call) => invalidations.keepRemoval(call),
    lookup: new Lookup(store, codecs, sealing, hub, clock, near, pending, health),
    maker: new EntryMaker(codecs, sealing, ids, thrown, clock),
    sessions: new Sessions(store, clock, given.domains),
    records: new CallRecords(store, codecs, sealing),
    keeper: new LeaseKeeper(store, clock),
    sources: new Sources(clock, hub, makeBreaker, () => health.live),
    deadlines: new Deadlines(awaitedTimers(clock)),
    sequence: new Sequence(),
    quiet: new LRUCache({ max: QUIET_KEYS, ttlResolution: 0, perf: { now: () => clock.monotonic() } }),
  };
  const flights = new Flights(parts);
  const invalidations = new Invalidations(parts, pending, flights);
  store.onSignal(signalHandler(parts, trust, flights));
  return {
    parts,
    flights,
    invalidations,
    probes: new Probes(parts),
    recent: new RecentEvents(hub, clock),
    alone: new LoneLoads(parts),
    writes: new Writes(parts, invalidations),
    sourceHealth: new SourceHealth(parts, given.domains, settled),
  };
}

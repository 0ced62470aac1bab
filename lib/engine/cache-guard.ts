import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.js';
import type { CodecSet } from '../core/codec.js';
import { decide } from '../core/decide.js';
import { FLAG } from '../core/entry.js';
import { CacheGuardError } from '../core/errors.js';
import type { CacheGuardListener, InvalidationMode } from '../core/events.js';
import type { Ids } from '../core/ids.js';
import { domainGeneration, type KeyPart } from '../core/keys.js';
import type { Policy } from '../core/policy.js';
import type { Store } from '../core/store.js';
import type {
  Explanation,
  InvalidateTagsTarget,
  InvalidateTarget,
  InvalidationResult,
  KeyTarget,
  LoadContext,
  PeekedValue,
  PutResult,
  ReadTarget,
  ServedValue,
} from '../core/targets.js';
import { plainThrown, type ThrownCodec } from '../core/thrown.js';
import { Bulkheads } from './bulkhead.js';
import { CallMaker, tagGenerations, type Loader } from './call-maker.js';
import { Deadlines } from './deadlines.js';
import type { Domains } from './domains.js';
import { Sequence, type EngineParts } from './engine-parts.js';
import { EntryMaker } from './entry-maker.js';
import { EventHub } from './event-hub.js';
import { explainFound } from './explain.js';
import { Flights } from './flights.js';
import { LeaseKeeper } from './lease-keeper.js';
import { collectServed, currentFrame, LoadDirectives, NEVER_ABORTED } from './load-frames.js';
import { LoneLoads } from './lone-loads.js';
import { Lookup } from './lookup.js';
import { Probes } from './probes.js';
import { Reading } from './reading.js';
import { refreshNow } from './refreshing.js';
import { describeServed } from './served.js';
import { modeOf, Writes } from './writes.js';

/** How long `close` lets foreground loads go on before it gives them up. */
const CLOSE_PATIENCE_MS = 2_000;
/** Keys that are remembered as backing off; beyond it the least recent ask the store again. */
const QUIET_KEYS = 10_000;

export interface CacheGuardParts {
  readonly domains: Domains;
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly codecs: CodecSet;
  /** Default: name, message and code of an `Error`. */
  readonly thrown?: ThrownCodec;
}

/** The guard by hand: what the decorators do, for code that has no method to decorate. */
export class CacheGuard {
  private readonly parts: EngineParts;
  private readonly domains: Domains;
  private readonly calls: CallMaker;
  private readonly flights: Flights;
  private readonly probes: Probes;
  private readonly alone: LoneLoads;
  private readonly writes: Writes;
  private closing: Promise<void> | undefined;

  constructor({ domains, store, clock, ids, codecs, thrown = plainThrown }: CacheGuardParts) {
    const hub = new EventHub();
    this.domains = domains;
    this.parts = {
      owner: this,
      store,
      clock,
      ids,
      codecs,
      thrown,
      hub,
      lookup: new Lookup(store, codecs, hub),
      maker: new EntryMaker(codecs, ids, thrown, clock),
      keeper: new LeaseKeeper(store, clock),
      bulkheads: new Bulkheads(),
      deadlines: new Deadlines(clock),
      sequence: new Sequence(),
      quiet: new LRUCache({ max: QUIET_KEYS, ttlResolution: 0, perf: { now: () => clock.monotonic() } }),
    };
    this.calls = new CallMaker(domains, hub);
    this.flights = new Flights(this.parts);
    this.probes = new Probes(this.parts);
    this.alone = new LoneLoads(this.parts);
    this.writes = new Writes(this.parts);
  }

  /**
   * Starts the store, in bounded time: without it the guard serves from the loaders.
   *
   * @throws CacheGuardConfigError (`CG_MISSING_PEER`) when a domain's codec needs a package that is not installed
   */
  async open(): Promise<void> {
    for (const { codec } of this.policies()) this.parts.codecs.forEncoding(codec, 'plain');
    await this.parts.store.open();
  }

  /**
   * Lets loads land that somebody waits for (2 s at most), gives up the others, releases every lease and ends the store's
   * connections. Later calls go straight to their loaders.
   */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    let cancel = () => {};
    const patience = new Promise<void>((resolve) => {
      cancel = this.parts.clock.schedule(CLOSE_PATIENCE_MS, resolve);
    });
    const reason = new CacheGuardError('CG_CLOSED', 'The application is shutting down; this load was given up.');
    await this.flights.drain(patience, reason);
    cancel();
    this.alone.close(reason);
    await this.writes.close();
    this.parts.deadlines.close();
    await this.parts.store.close();
  }

  /**
   * The cached value, or what `load` gives, as the domain's policy says. One load per key runs in the fleet.
   *
   * @throws what `load` threw, unchanged; CacheGuardTimeoutError (`CG_WAIT_TIMEOUT`, `CG_LOAD_TIMEOUT`);
   * CacheGuardOverloadError (`CG_OVERLOADED`); CacheGuardError (`CG_UNKNOWN_DOMAIN`, `CG_UNUSABLE_KEY`)
   */
  async getOrLoad<T>(target: ReadTarget<T>, load: Loader<T>): Promise<T> {
    const call = this.calls.call(target, load);
    if (!call || this.closing) return this.uncached(target, load);
    const frame = currentFrame();
    // A load that reads what it makes would wait for itself.
    if (frame?.makes(this, call.key)) return load(frame.directives as LoadContext<T>);
    return (await new Reading(this.parts, this.flights, this.probes, this.alone, call).answer()) as T;
  }

  /** What is cached and may be served now; never loads. `undefined` also while the store is away. */
  async peek<T>(target: ReadTarget<T>): Promise<PeekedValue<T> | undefined> {
    const call = this.calls.call(target);
    if (!call || call.policy.keep !== 'entry' || this.closing) return undefined;
    try {
      const seen = await this.parts.lookup.look(call);
      const decision = decide(seen.found, call.policy, seen.nowMs);
      if (decision.kind !== 'serve' || typeof seen.found !== 'object' || seen.found.entry.flags & FLAG.thrown)
        return undefined;
      const state = decision.stale ? 'stale' : 'fresh';
      const described = describeServed({
        call,
        entry: seen.found.entry,
        state,
        nowMs: seen.nowMs,
        staleMs: decision.staleMs,
      });
      return { ...described, value: (await seen.unpack(call.values)).take() as T };
    } catch (error) {
      this.parts.hub.emit({ type: 'store-error', domain: call.policy.domain, operation: 'read', error });
      return undefined;
    }
  }

  /**
   * Makes `value` the cached value (write-through). Voids every load of the key that is under way; refuses an older version.
   *
   * @throws CacheGuardStoreError when the store is away
   */
  async put<T>(
    target: ReadTarget<T>,
    value: T,
    options: { readonly version?: bigint | string } = {},
  ): Promise<PutResult> {
    const call = this.calls.callOrRefuse(target);
    const directives = new LoadDirectives(NEVER_ABORTED, undefined);
    if (options.version !== undefined) directives.setVersion(options.version);
    return this.writes.put(call, await this.writes.begin(call), value, directives);
  }

  /**
   * Loads now and replaces what is cached; never joins a load that began earlier. Under a stale policy readers go on with the old value.
   *
   * @throws as `getOrLoad`
   */
  async refresh<T>(target: ReadTarget<T>, load: Loader<T>): Promise<T> {
    const call = this.calls.call(target, load);
    if (!call || this.closing) return this.uncached(target, load);
    return (await refreshNow(this.parts, this.flights, this.alone, call)) as T;
  }

  /**
   * Runs `write` and makes its result the cached value. A fencing token is taken before: if an invalidation or another write
   * overlaps, the result is not stored and the key is invalidated instead. Without the store, the write goes on without it.
   *
   * @throws what `write` threw
   */
  async writeThrough<T>(target: ReadTarget<T>, write: () => Promise<T>): Promise<T> {
    const call = this.calls.call(target);
    if (!call || this.closing) return write();
    return (await this.writes.through(call, write)) as T;
  }

  /** @throws CacheGuardStoreError when the store did not confirm; CacheGuardError (`CG_UNKNOWN_DOMAIN`, `CG_UNUSABLE_KEY`) */
  async invalidate(target: InvalidateTarget): Promise<InvalidationResult> {
    const policy = this.domains.policy(target.domain);
    const { domain, name, key, keys = [key as KeyPart] } = target;
    const mode = modeOf(policy, target.mode);
    const asked = target.keys && key !== undefined ? [key, ...keys] : keys;
    await this.writes.invalidate(
      policy,
      asked.map((one) => this.calls.keyOrRefuse(policy, { domain, name, key: one })),
      mode,
    );
    return { outcome: 'applied' };
  }

  /** Everything of the domain that carries one of the tags; O(1) for each tag. Errors as `invalidate`. */
  async invalidateTags({ domain, tags, mode }: InvalidateTagsTarget): Promise<InvalidationResult> {
    const policy = this.domains.policy(domain);
    const generations = tagGenerations(domain, tags);
    await this.writes.advance(policy, 'tag', generations, modeOf(policy, mode));
    return { outcome: 'applied' };
  }

  /** Everything of the domain, in O(1). Errors as `invalidate`. */
  async invalidateDomain(
    domain: string,
    { mode }: { readonly mode?: InvalidationMode } = {},
  ): Promise<InvalidationResult> {
    const policy = this.domains.policy(domain);
    await this.writes.advance(policy, 'domain', [domainGeneration(domain)], modeOf(policy, mode));
    return { outcome: 'applied' };
  }

  /** Why a key is answered as it is. @throws CacheGuardStoreError when the store is away */
  async explain(target: KeyTarget): Promise<Explanation> {
    const call = this.calls.callOrRefuse(target);
    return explainFound(call, await this.parts.lookup.look(call));
  }

  /** Runs `run` and tells what the guard served meanwhile, and how old it was; for banners and debugging. */
  trace<T>(run: () => Promise<T>): Promise<{ value: T; served: ServedValue[] }> {
    return collectServed(run);
  }

  /** @returns a function that ends the subscription */
  on(listener: CacheGuardListener): () => void {
    return this.parts.hub.on(listener);
  }

  /** Every registered policy, defaults applied. */
  policies(): readonly Policy[] {
    return this.domains.list();
  }

  private uncached<T>({ domain }: ReadTarget<T>, load: Loader<T>): Promise<T> {
    // Whatever is made from a value of nobody knows whose must not be kept either.
    const unknown = { domain, softMs: 0, hardMs: 0, whileRevalidateMs: 0, ifErrorMs: 0, stamps: [] };
    currentFrame()?.inherit(this, { ...unknown, uncacheable: 'inner-private' });
    return load(new LoadDirectives(NEVER_ABORTED, undefined) as LoadContext<T>);
  }
}

import { CacheGuardError } from '../core/errors.js';
import type { CacheGuardListener, InvalidationMode } from '../core/events.js';
import { domainGeneration, type KeyPart } from '../core/keys.js';
import type { Policy } from '../core/policy.js';
import type {
  ExplainOptions,
  Explanation,
  InvalidateTagsTarget,
  InvalidateTarget,
  InvalidationResult,
  KeyTarget,
  LoadContext,
  PeekedValue,
  ProjectedTarget,
  PutResult,
  ReadTarget,
  ServedValue,
} from '../core/targets.js';
import type { WarmingOptions } from '../core/warming.js';
import type { GuardedCall } from './call.js';
import { CallMaker } from './call-maker.js';
import type { Domains } from './domains.js';
import { type EngineParts } from './engine-parts.js';
import { DomainEvents } from './events/domain-events.js';
import { explain } from './explain.js';
import { handOut } from './hand-out.js';
import { modeOf } from './invalidations.js';
import { collectServed, currentFrame, LoadDirectives, NEVER_ABORTED } from './load-frames.js';
import { peekAt } from './peeking.js';
import { loaderOf, type Loader } from './projecting.js';
import { Reading } from './reading.js';
import { Reconciliations } from './reconciliation/reconciliations.js';
import type { LastReconciliation, ReconcileOptions, ReconciliationReport } from './reconciliation/report.js';
import { loadAlone, refreshNow } from './refreshing.js';
import { makeRooms, type CacheGuardParts, type Rooms } from './rooms.js';
import { noteAsked } from './served.js';
import type { Warming } from './warming/warming.js';
import { Warmings } from './warming/warmings.js';

/** How long `close` lets foreground loads go on before it gives them up. */
const CLOSE_PATIENCE_MS = 2_000;

/** The guard by hand: what the decorators do, for code that has no method to decorate. */
export class CacheGuard {
  private readonly parts: EngineParts;
  private readonly domains: Domains;
  private readonly calls: CallMaker;
  private readonly rooms: Rooms;
  /** Domain events of this process, and the sources of others. */
  readonly events: DomainEvents;
  private readonly reconciliations: Reconciliations;
  private readonly warmings: Warmings;
  private closing: Promise<void> | undefined;

  constructor(given: CacheGuardParts) {
    this.domains = given.domains;
    this.rooms = makeRooms(this, given);
    this.parts = this.rooms.parts;
    this.calls = new CallMaker(given.domains, this.parts.keys, this.rooms.sourceHealth, this.parts.sessions);
    this.warmings = new Warmings(this.parts, given.domains, (target, load) => this.getOrLoad(target, load));
    this.events = new DomainEvents(this.rooms, given.domains, this.calls);
    const refresh: DomainEvents['refresh'] = (jobs) => this.events.refresh(jobs);
    this.reconciliations = new Reconciliations({ ...this.rooms, refresh }, given.domains);
  }

  /**
   * Starts the store, in bounded time: without it the guard serves from the loaders.
   *
   * @param options `scheduled`: whether this process takes its share of what is due in the fleet from time to time. Default: it does
   * @throws CacheGuardConfigError (`CG_MISSING_PEER`) when a domain's codec needs a package that is not installed
   */
  async open({ scheduled = true }: { readonly scheduled?: boolean } = {}): Promise<void> {
    for (const policy of this.policies()) {
      this.parts.codecs.forEncoding(policy.codec, 'plain');
      this.parts.sealing.check(policy);
    }
    await this.parts.store.open();
    await this.parts.health.start();
    this.rooms.sourceHealth.start();
    if (scheduled) this.reconciliations.start();
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
      cancel = this.parts.clock.schedule(CLOSE_PATIENCE_MS, resolve, true);
    });
    const warmed = this.warmings.close();
    await Promise.all([this.events.close(), this.reconciliations.close()]);
    const reason = new CacheGuardError('CG_CLOSED', 'The application is shutting down; this load was given up.');
    await Promise.all([this.rooms.flights.drain(patience, reason), this.rooms.alone.drain(patience)]);
    await warmed;
    cancel();
    this.rooms.alone.close(reason);
    await this.rooms.writes.close();
    await this.rooms.invalidations.close();
    this.parts.health.close();
    this.rooms.sourceHealth.close();
    this.parts.near.clear();
    this.parts.deadlines.close();
    await this.parts.store.close();
  }

  /**
   * The cached value, or what `load` gives, as the domain's policy says. One load per key runs in the fleet.
   *
   * @throws what `load` threw, unchanged; CacheGuardTimeoutError (`CG_WAIT_TIMEOUT`, `CG_LOAD_TIMEOUT`);
   * CacheGuardOverloadError (`CG_OVERLOADED`); CacheGuardError (`CG_UNKNOWN_DOMAIN`, `CG_UNUSABLE_KEY`)
   */
  async getOrLoad<Loaded, T>(target: ProjectedTarget<Loaded, T>, load: Loader<Loaded, T>): Promise<T>;
  async getOrLoad<T>(target: ReadTarget<T>, load: Loader<T>): Promise<T>;
  async getOrLoad<T>(target: ReadTarget<T>, load: Loader<T>): Promise<T> {
    const call = this.asked(target, load);
    if (!call || this.closing) return this.uncached(target, load);
    const frame = currentFrame();
    // A load that reads what it makes would wait for itself.
    if (frame?.makes(this, call.key)) return call.load(frame.directives) as Promise<T>;
    call.signal?.throwIfAborted();
    const near = this.near(call);
    const answer = near instanceof Promise ? await near : near;
    if (answer) return answer.value as T;
    return (await new Reading(this.rooms, call).answer()) as T;
  }

  /** The answer of this process's memory. */
  private near(call: GuardedCall) {
    const kept = this.parts.near.fresh(call);
    if (!kept) return undefined;
    const age = { state: 'fresh', nowMs: kept.nowMs, staleMs: 0 } as const;
    return handOut(this.parts, call, kept.seen, age, () => {
      this.parts.near.drop(call.key);
    });
  }

  /** What is cached and may be served now; never loads. `undefined` also while the store is away. */
  async peek<T>(target: ReadTarget<T>): Promise<PeekedValue<T> | undefined> {
    const call = this.asked(target);
    if (!call || call.policy.keep !== 'entry' || this.closing) return undefined;
    return peekAt<T>(this.parts, call);
  }

  /**
   * Makes `value` the cached value (write-through). Voids every load of the key that is under way; refuses an older version. While the
   * store is away, an invalidation of the key is kept instead.
   */
  async put<T>(
    target: ReadTarget<T> | ProjectedTarget<T, unknown>,
    value: T,
    options: { readonly version?: bigint | string } = {},
  ): Promise<PutResult> {
    const call = this.calls.callOrRefuse(target);
    const directives = new LoadDirectives(NEVER_ABORTED, undefined);
    if (options.version !== undefined) directives.setVersion(options.version);
    return this.rooms.writes.put(call, value, directives, { inheritance: currentFrame()?.heir(this, call) });
  }

  /**
   * Loads now and replaces what is cached; never joins a load that began earlier. Under a stale policy readers go on with the old value.
   *
   * @throws as `getOrLoad`
   */
  async refresh<Loaded, T>(target: ProjectedTarget<Loaded, T>, load: Loader<Loaded, T>): Promise<T>;
  async refresh<T>(target: ReadTarget<T>, load: Loader<T>): Promise<T>;
  async refresh<T>(target: ReadTarget<T>, load: Loader<T>): Promise<T> {
    const call = this.asked(target, load);
    if (!call || this.closing) return this.uncached(target, load);
    return (await refreshNow(this.rooms, call)) as T;
  }

  /**
   * Runs `write` and makes its result the cached value. A fencing token is taken before: if an invalidation or another write
   * overlaps, the result is not stored and the key is invalidated instead. Without the store, the write goes on without it.
   *
   * @throws what `write` threw
   */
  async writeThrough<T>(target: ReadTarget<T> | ProjectedTarget<T, unknown>, write: () => Promise<T>): Promise<T> {
    const call = this.asked(target);
    if (!call || this.closing) return write();
    return (await this.rooms.writes.through(call, write)) as T;
  }

  /**
   * Never fails over a store that is away: what it did not confirm is `pending`, kept and carried out first on its return.
   *
   * @throws CacheGuardError (`CG_UNKNOWN_DOMAIN`, `CG_UNUSABLE_KEY`); CacheGuardStoreError once the guard is closed
   */
  async invalidate(target: InvalidateTarget): Promise<InvalidationResult> {
    const policy = this.domains.policy(target.domain);
    const { domain, name, scope, principal, key, keys = [key as KeyPart] } = target;
    const mode = modeOf(policy, target.mode);
    const asked = target.keys && key !== undefined ? [key, ...keys] : keys;
    const wanted = asked.map((one) => this.calls.keyOrRefuse(policy, { domain, name, scope, principal, key: one }));
    return { outcome: await this.rooms.invalidations.keys(policy, wanted, mode) };
  }

  /** Everything of the domain that carries one of the tags; O(1) for each tag. Errors as `invalidate`. */
  async invalidateTags({ domain, tags, mode }: InvalidateTagsTarget): Promise<InvalidationResult> {
    const policy = this.domains.policy(domain);
    const generations = this.parts.keys.tags(domain, tags);
    return { outcome: await this.rooms.invalidations.generations(policy, 'tag', generations, modeOf(policy, mode)) };
  }

  /** Everything of the domain, in O(1). Errors as `invalidate`. */
  async invalidateDomain(
    domain: string,
    { mode }: { readonly mode?: InvalidationMode } = {},
  ): Promise<InvalidationResult> {
    const policy = this.domains.policy(domain);
    const generations = [domainGeneration(domain)];
    return { outcome: await this.rooms.invalidations.generations(policy, 'domain', generations, modeOf(policy, mode)) };
  }

  /**
   * Compares what is cached of a domain with what its source has now, and invalidates what is old; one run at a time in the fleet.
   *
   * @throws CacheGuardError (`CG_UNKNOWN_DOMAIN`; `CG_NOT_RECONCILABLE` without `reconcile` in the policy; `CG_RECONCILIATION_RUNNING`;
   * `CG_RECONCILIATION_FAILED` when the source does not answer as it should; `CG_INVALID_OPTIONS`; `CG_CLOSED`); CacheGuardStoreError; the
   * signal's reason
   */
  reconcile(domain: string, options?: ReconcileOptions): Promise<ReconciliationReport> {
    return this.reconciliations.reconcile(domain, options);
  }

  /** How the domain's last run ended, in whichever process; `undefined` when none has. @throws CacheGuardError (`CG_UNKNOWN_DOMAIN`) */
  lastReconciliation(domain: string): Promise<LastReconciliation | undefined> {
    return this.reconciliations.last(domain);
  }

  /** Why a key is answered as it is; also while the store is away. @throws CacheGuardError (`CG_UNKNOWN_DOMAIN`, `CG_UNUSABLE_KEY`) */
  async explain(target: KeyTarget, { value = false }: ExplainOptions = {}): Promise<Explanation> {
    const call = value ? this.calls.callOrRefuse(target) : this.calls.lookOrRefuse(target);
    if (value) noteAsked(this, target.domain, call);
    return explain(this.rooms, call, value);
  }

  /**
   * Loads ahead what is not fresh, behind waiting people, in one process of the fleet.
   *
   * @throws CacheGuardError (`CG_INVALID_OPTIONS`, `CG_UNKNOWN_DOMAIN`, `CG_UNUSABLE_KEY`); what happens later is in the report
   */
  warm(options: WarmingOptions): Warming {
    return this.warmings.start(options);
  }

  /**
   * Runs `run` as a session: what it writes, its own later reads are not shown by a stale policy; other readers may be. A session that
   * is open already goes on.
   *
   * @param options `token`: from `sessionToken()` of an earlier part of the session, also of another process; whatever is none is ignored
   * @throws what `run` throws; CacheGuardConfigError (`CG_INVALID_OPTIONS`)
   */
  session<T>(run: () => T, options: { readonly token?: unknown } = {}): T {
    return this.parts.sessions.run(options, run);
  }

  /** What a later part of the session needs to know, as a short text; `undefined` while it has written nothing. Not a secret. */
  sessionToken(): string | undefined {
    return this.parts.sessions.token();
  }

  /**
   * Runs `run` and tells what the guard served meanwhile, and how old it was; for banners and debugging. Rejects as `run` does, and for what is
   * no function with a CacheGuardConfigError (`CG_INVALID_OPTIONS`).
   */
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

  /** The call of what a caller asks to be told. */
  private asked<T>(target: ReadTarget<T>, load?: Loader<T>): GuardedCall | undefined {
    const call = this.calls.call(target, load);
    noteAsked(this, target.domain, call);
    return call;
  }

  private uncached<T>(target: ReadTarget<T>, load: Loader<T>): Promise<T> {
    if (!this.closing) return loadAlone(this.rooms, this.calls.unkeyed(target, load)) as Promise<T>;
    noteAsked(this, target.domain, undefined);
    return loaderOf(target, load)(new LoadDirectives(NEVER_ABORTED, undefined) as LoadContext<T>);
  }
}

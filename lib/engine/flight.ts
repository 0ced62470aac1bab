import { instant } from '../core/clock.js';
import { isCacheGuardError } from '../core/errors.js';
import type { KeySignal } from '../core/store.js';
import { answered } from './answered.js';
import { loadTimeoutError, type GuardedCall } from './call.js';
import type { Free, Place } from './bulkhead.js';
import type { EngineParts } from './engine-parts.js';
import type { Attempt } from './entry-maker.js';
import { acquireRequest, type FlightPlan } from './flight-plan.js';
import { HolderWait } from './holder-wait.js';
import { Landing } from './landing.js';
import { currentFrame, LoadDirectives, LoadFrame, runInFrame } from './load-frames.js';
import { runLoad } from './loader.js';
import type { Snapshot } from './snapshot.js';
import type { Source } from './sources.js';
import type { Interruption, Outcome, Waiter } from './waiter.js';
import { currentWarmth } from './warming/warmth.js';

type Phase = 'claiming' | 'waiting' | 'loading' | 'sealed' | 'done';

/**
 * One way of one process to a key's value: claim the lease or wait for who holds it, load, seal, commit. Waiters may join until it
 * is sealed. Who is given what follows one rule: a waiter may be given a value if its load began after he came, or if its commit
 * held and he came before the seal.
 */
export class Flight {
  private readonly waiters = new Set<Waiter>();
  private starter: Waiter | undefined;
  /** Some load waits for this one: it must not queue for a slot that the other may hold. */
  private nested = false;
  /** Flights that loads inside this one wait for. */
  readonly blockedOn = new Set<Flight>();
  private phase: Phase = 'claiming';
  private insist: boolean;
  private readonly abort = new AbortController();
  private place: Place | undefined;
  private attempt: Attempt | undefined;
  private readonly holder: HolderWait;
  private readonly source: Source;
  /** Somebody wants the result though he does not wait for it. */
  private wantedAnyway: boolean;
  /** Position of the loader's call in the order of this process. */
  calledAt = Infinity;

  constructor(
    readonly plan: FlightPlan,
    private readonly parts: EngineParts,
    /** Takes the flight out of the registry: nobody joins any more. */
    private readonly close: (flight: Flight) => void,
  ) {
    this.insist = plan.insist;
    this.source = parts.sources.of(plan.call.policy);
    this.holder = new HolderWait(parts.clock, parts.ids);
    this.wantedAnyway = plan.background;
  }

  /** Whether a reader learns nothing from the store that he would not learn here. */
  tellsAll(call: GuardedCall): boolean {
    // While the store is away, each looks for himself what may stand in for a load.
    if (this.plan.via === 'direct') return !call.policy.staleAllowed;
    // While it queues for a slot it holds no lease: another process may be done before.
    if (this.place) return false;
    const nothing = this.plan.seen === undefined || typeof this.plan.seen.found !== 'object';
    return nothing || (!this.plan.background && !call.policy.staleAllowed);
  }

  join(waiter: Waiter): Promise<Outcome> {
    const urgent = this.urgent();
    this.waiters.add(waiter);
    if (!this.plan.background) this.starter ??= waiter;
    if (waiter.insist && !this.insist) {
      this.insist = true;
      this.holder.end('insist');
    }
    if (currentFrame()?.holdsSlot) {
      this.nested = true;
      this.place?.skip();
    } else if (!urgent && this.urgent()) {
      this.place?.raise('foreground');
    }
    return waiter.wait((why) => this.leave(waiter, why));
  }

  /** Never rejects. */
  async run(): Promise<void> {
    try {
      await (this.plan.via === 'direct' ? this.loadDirectly() : this.claim());
    } catch (error) {
      this.landAll(() => ({ kind: 'failed', error }));
    } finally {
      this.phase = 'done';
      this.close(this);
      this.landAll(() => ({ kind: 'again', insist: false }));
    }
  }

  /** Something was invalidated that this flight's attempt, or the one that it waits for, may have begun before. */
  onSignal(signal: KeySignal): void {
    if (signal.kind === 'replaced') return;
    const atMs = signal.kind === 'advanced' ? signal.value / 1000 : signal.atMs;
    if (this.phase === 'claiming' || this.phase === 'waiting') {
      this.holder.hear(signal, atMs);
    } else if (signal.kind !== 'released' && this.attempt && atMs > this.attempt.grantedMs) {
      this.doom();
    }
  }

  recheck(): void {
    this.holder.end('timer');
  }

  /** Gives everybody up, at shutdown. */
  cancel(reason: unknown): void {
    this.landAll(() => ({ kind: 'failed', error: reason }));
    this.abandon(reason);
  }

  private async claim(): Promise<void> {
    const { call } = this.plan;
    const { store, hub, sequence, ids } = this.parts;
    for (;;) {
      // A slot first: whoever queues for one must not hold a lease that others wait for.
      const free = await this.enterBulkhead();
      if (!free) return;
      const asked = sequence.next();
      const token = ids.token();
      const request = acquireRequest(this.plan, token, this.insist);
      const reply = await answered(this.parts, this.plan.call, 'acquire', () => store.acquire(request));
      if (reply === undefined) return this.load(free);
      // It was no load, and costs the fleet no turn.
      if (reply.kind !== 'granted') free(true);
      if (reply.kind !== 'granted' && this.abort.signal.aborted) return;
      switch (reply.kind) {
        case 'granted':
          hub.emit({ type: 'lease', domain: call.policy.domain, key: call.key, outcome: 'won' });
          this.attempt = {
            token,
            epoch: reply.epoch,
            grantedMs: reply.nowMs,
            receivedAt: instant(this.parts.clock),
            generations: reply.generations,
          };
          return this.loadUnderLease(free, this.attempt);
        case 'changed':
          return this.land(
            asked,
            await answered(this.parts, this.plan.call, 'read', () => this.parts.lookup.inspect(call, reply.reply)),
            false,
          );
        case 'backing-off':
          hub.emit({ type: 'lease', domain: call.policy.domain, key: call.key, outcome: 'backing-off' });
          this.parts.quiet.set(call.key, true, { ttl: Math.max(1, Math.ceil(reply.remainingMs)) });
          return this.landAll(() => ({ kind: 'backing-off' }));
        case 'held': {
          hub.emit({ type: 'lease', domain: call.policy.domain, key: call.key, outcome: 'refused' });
          this.phase = 'waiting';
          const why = await this.holder.until(reply);
          this.phase = 'claiming';
          if (why === 'message') return this.lookAgain();
          if (why === 'abandoned' || (this.waiters.size === 0 && why === 'timer')) return;
        }
      }
    }
  }

  private async lookAgain(): Promise<void> {
    if (this.waiters.size === 0) return;
    const asked = this.parts.sequence.next();
    const snapshot = await answered(this.parts, this.plan.call, 'read', () => this.parts.lookup.look(this.plan.call));
    return this.land(asked, snapshot, this.holder.loadWasAwaited);
  }

  private async loadUnderLease(free: Free, attempt: Attempt): Promise<void> {
    const { keeper, hub } = this.parts;
    const { key, policy } = this.plan.call;
    keeper.keep({
      key,
      token: attempt.token,
      leaseMs: policy.leaseMs,
      lost: () => {
        hub.emit({ type: 'lease', domain: policy.domain, key, outcome: 'lost' });
        this.doom();
      },
      unanswered: (error) => hub.emit({ type: 'store-error', domain: policy.domain, operation: 'renew', error }),
    });
    await this.load(free, attempt).finally(() => keeper.forget(attempt.token));
  }

  /** Without the store there is no lease and nothing to commit. */
  private async loadDirectly(): Promise<void> {
    const free = await this.enterBulkhead();
    if (free) await this.load(free);
  }

  private async load(free: Free, attempt?: Attempt): Promise<void> {
    const landing = new Landing(this.parts, this.plan, attempt);
    const previous = await landing.previous(this.plan.seen);
    if (!this.wanted()) {
      free(true);
      return landing.giveUp();
    }
    const { call } = this.plan;
    this.phase = 'loading';
    this.calledAt = this.parts.sequence.next();
    landing.called();
    if (this.plan.forced) this.close(this);
    const directives = new LoadDirectives(this.abort.signal, previous);
    directives.spread = currentWarmth()?.spread ?? 0;
    directives.behind = this.plan.background;
    const outer = this.plan.background ? undefined : currentFrame();
    const frame = new LoadFrame(this.parts.owner, call, directives, this, outer);
    const running = runLoad(
      () => runInFrame(frame, () => this.source.load(() => call.load(directives), this.abort.signal)),
      this.abort,
      call.policy.loadTimeoutMs,
      () => loadTimeoutError(call),
      this.parts.clock,
    );
    // A loader that does not listen to its signal still works at the source: its slot stays taken.
    void Promise.all([running.result, running.settled]).then(([result]) =>
      free(result.kind === 'threw' && this.source.refused(result.error)),
    );
    const seal = () => {
      this.phase = 'sealed';
      this.close(this);
    };
    const verdict = await landing.conclude(await running.result, directives, frame.inheritance, seal);
    this.landAll((waiter) => verdict(waiter, waiter.arrived < this.calledAt, waiter === this.starter));
  }

  /** `undefined`: there is no room, or nobody wants the load any more. */
  private async enterBulkhead(): Promise<Free | undefined> {
    const { call, background } = this.plan;
    // Whoever loads inside a load holds a slot already; waiting for a second one could be waiting for himself.
    this.nested ||= !background && (currentFrame()?.holdsSlot ?? false);
    try {
      if (this.nested) return await this.source.turn(this.abort.signal);
      this.place = this.source.enter(this.urgent() ? 'foreground' : 'background');
      return await this.place.slot;
    } catch (error) {
      if (isCacheGuardError(error, 'CG_OVERLOADED')) {
        this.parts.hub.emit({ type: 'overload', domain: call.policy.domain, key: call.key, bound: 'bulkhead' });
      }
      this.close(this);
      this.landAll(() => ({ kind: 'failed', error }));
      return undefined;
    } finally {
      this.place = undefined;
    }
  }

  /** The attempt is void: whoever came after the loader was called starts anew, the others are still served by it. */
  private doom(): void {
    this.close(this);
    for (const waiter of this.waiters) {
      if (waiter.arrived > this.calledAt) {
        this.waiters.delete(waiter);
        waiter.land({ kind: 'again', insist: true });
      }
    }
  }

  private leave(waiter: Waiter, why: Interruption): void {
    this.waiters.delete(waiter);
    if (why.kind === 'soft-timeout') this.wantedAnyway = true;
    if (!this.wanted()) this.abandon(waiter.call.signal?.reason ?? new Error('nobody waits for this load any more'));
  }

  /** Somebody waits for it who does not just warm. */
  private urgent(): boolean {
    return [...this.waiters].some(({ warms }) => !warms);
  }

  private wanted(): boolean {
    return this.wantedAnyway || this.waiters.size > 0;
  }

  private abandon(reason: unknown): void {
    this.wantedAnyway = false;
    this.close(this);
    this.holder.end('abandoned');
    this.place?.leave(reason);
    this.abort.abort(reason);
  }

  private async land(asked: number, snapshot: Snapshot | undefined, insist: boolean): Promise<void> {
    if (!snapshot) return this.loadDirectly();
    this.close(this);
    this.landAll((waiter) =>
      waiter.arrived < asked ? { kind: 'snapshot', snapshot, insist } : { kind: 'again', insist: false },
    );
  }

  private landAll(outcome: (waiter: Waiter) => Outcome): void {
    for (const waiter of this.waiters) {
      this.waiters.delete(waiter);
      waiter.land(outcome(waiter));
    }
  }
}

import { elapsedSince, instant, type Clock, type Instant } from '../core/clock.js';
import type { StoreStateEvent } from '../core/events.js';
import type { Ids } from '../core/ids.js';
import { LIVE_MS, type BeatReply, type Store } from '../core/store.js';
import { TRUST_MS, type Trust } from '../core/trust.js';
import type { EventHub } from './event-hub.js';

/** From the end of one beat to the next; one small command of each process. */
export const BEAT_MS = 250;

/** The same until an outage is over. */
const HASTE_MS = 100;

/** Who has had no answer for longer cannot say that there was no outage. */
const UNSURE_MS = 1_000;

export interface StoreHealthParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Pick<Ids, 'random'>;
  readonly hub: EventHub;
  readonly trust: Trust;
  readonly pending: {
    readonly size: number;
  };
  /** Whether no invalidation is pending or about to be. Default: none is pending. */
  readonly settled?: () => boolean;
  /** Carries out what is pending; whether nothing is left. */
  readonly carryOut: () => Promise<boolean>;
}

/**
 * Asks the store in regular intervals whether it is there. After an outage this process first carries out the invalidations that it
 * kept; what was cached before is not taken for fresh until every process that was alive has done so too.
 */
export class StoreHealth {
  /** Processes that share what is allowed to the fleet; as last known while the store is away. */
  live = 1;
  private state: StoreStateEvent['state'] = 'up';
  private beats = 0;
  private lostAt: Instant | undefined;
  /** The last answer before it was lost: an outage begins before it is noticed. */
  private sureAt: Instant | undefined;
  private backAt: Instant | undefined;
  private trusted = false;
  private cancelTimer: (() => void) | undefined;
  private beating = false;
  private losses = 0;
  private answeredAt: Instant | undefined;
  /** Has known, outside of an outage, how many processes there are. */
  private knowsFleet = false;
  private closed = false;

  constructor(private readonly parts: StoreHealthParts) {}

  get away(): boolean {
    return this.state === 'away';
  }

  /** Resolves when the store has answered once, or is known to be away. */
  async start(): Promise<void> {
    if (this.parts.store.remote) await this.beat();
    else this.turn('up');
  }

  /** Something is pending. */
  nudge(): void {
    if (!this.beating && !this.cancelTimer) this.schedule();
  }

  /** Finds out for the last time whether the store is back. */
  async lastBeat(): Promise<void> {
    if (this.parts.store.remote) await this.ask();
  }

  /**
   * The store was away, if only for a moment: invalidations may be pending anywhere in the fleet.
   *
   * @param over the beat that is under way has been answered since
   */
  lost(over = false): void {
    if (!over) this.losses++;
    // What others could not tell the store meanwhile was never signalled: memory does not know of it.
    this.parts.trust.lost();
    this.lostAt ??= instant(this.parts.clock);
    this.sureAt ??= this.answeredAt ?? this.lostAt;
    this.backAt = undefined;
    this.turn('away');
  }

  /** Whether an entry whose load began at `beganMs` is from before the return of the store, and invalidations of it may be on their way. */
  doubts(beganMs: number, nowMs: number): boolean {
    if (this.state === 'up') return false;
    return this.backAt === undefined || beganMs < nowMs - elapsedSince(this.backAt, this.parts.clock);
  }

  close(): void {
    this.closed = true;
    this.cancelTimer?.();
    this.cancelTimer = undefined;
  }

  private schedule(): void {
    if (this.closed) return;
    // Not in step with the rest of the fleet.
    const ms = (this.state === 'up' ? BEAT_MS : HASTE_MS) * (0.9 + 0.2 * this.parts.ids.random());
    this.cancelTimer = this.parts.clock.schedule(ms, () => {
      this.cancelTimer = undefined;
      void this.beat();
    });
  }

  private async beat(): Promise<void> {
    const { store, pending, carryOut } = this.parts;
    this.beating = true;
    const { losses } = this;
    // Trust ends on its own, while nothing comes back.
    const cancel = store.remote ? this.parts.clock.schedule(TRUST_MS, () => this.tellTrust()) : () => {};
    const reply = store.remote ? await this.ask() : undefined;
    cancel();
    if ((reply || !store.remote) && pending.size > 0) await carryOut();
    // A beat from before the loss does not tell of the return.
    if (reply && losses === this.losses) this.answered(reply);
    this.tellTrust();
    this.beating = false;
    if (store.remote || pending.size > 0) this.schedule();
  }

  private async ask(): Promise<BeatReply | undefined> {
    const { store, trust, pending, clock, settled = () => pending.size === 0 } = this.parts;
    const beat = ++this.beats;
    const outage = this.backAt && {
      lostForMs: elapsedSince(this.sureAt ?? this.backAt, clock),
      backForMs: elapsedSince(this.backAt, clock),
    };
    trust.send(beat);
    try {
      return await store.beat({ beat, settled: settled(), outage });
    } catch {
      trust.unsent(beat);
      if (!this.closed) this.lost();
      return undefined;
    }
  }

  private answered({ live, unsettled }: BeatReply): void {
    // Who is silent because the store was away, or because all stood still with this process, is alive all the same.
    const silentMs = this.answeredAt ? elapsedSince(this.answeredAt, this.parts.clock) : 0;
    const late = silentMs > LIVE_MS;
    // Of an outage meanwhile this process, which stood still, would know nothing.
    if (silentMs > UNSURE_MS && this.state !== 'away') this.lost(true);
    this.answeredAt = instant(this.parts.clock);
    this.live = Math.max(1, this.state === 'up' && !late ? live : Math.max(live, this.live));
    if (this.state === 'away') {
      this.backAt = instant(this.parts.clock);
      this.turn('settling');
    } else if (this.backAt && ((this.knowsFleet && unsettled === 0) || this.settledLongEnough())) {
      this.turn('up');
      this.lostAt = this.sureAt = this.backAt = undefined;
    }
    this.knowsFleet ||= this.state === 'up';
  }

  /** Who has not been heard by now has died, or knows of no outage. */
  private settledLongEnough(): boolean {
    return elapsedSince(this.backAt!, this.parts.clock) >= LIVE_MS;
  }

  private turn(state: StoreStateEvent['state']): void {
    if (state === this.state) return;
    this.state = state;
    const awayMs = this.lostAt ? elapsedSince(this.lostAt, this.parts.clock) : 0;
    this.parts.hub.emit({ type: 'store-state', state, awayMs });
  }

  private tellTrust(): void {
    const { trust, hub } = this.parts;
    if (trust.alive === this.trusted) return;
    this.trusted = trust.alive;
    hub.emit({ type: 'l1-trust', trusted: this.trusted });
  }
}

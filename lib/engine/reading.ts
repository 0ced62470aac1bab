import { decide, type Decision, type MissCause } from '../core/decide.js';
import { errorText } from '../core/errors.js';
import type { HitEvent } from '../core/events.js';
import { answered } from './answered.js';
import { waitTimeoutError, type GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';
import type { Flight } from './flight.js';
import type { Flights } from './flights.js';
import { currentFrame, type LoadFrame } from './load-frames.js';
import { entryOf, handOut, type Answer } from './hand-out.js';
import { refreshBehind } from './refreshing.js';
import type { Rooms } from './rooms.js';
import { noteInner, noteServed } from './served.js';
import type { Snapshot } from './snapshot.js';
import { isInterruption, Waiter, type Interruption, type Outcome } from './waiter.js';

type Serve = Decision & { kind: 'serve' | 'validate' };

type MaybeAnswer = Answer | undefined;

/** One read from arrival to answer: executes what `decide` returns, and joins flights until one of them answers. */
export class Reading {
  private readonly me: Waiter;
  /** What may stand in for a load, and how long after the arrival it was read. */
  private fallback: { readonly snapshot: Snapshot; readonly atMs: number } | undefined;
  private missCause: MissCause | undefined;
  private joinedAnother = false;
  private ignoreBackoff = false;

  private readonly parts: EngineParts;
  private readonly flights: Flights;

  constructor(
    private readonly rooms: Rooms,
    private readonly call: GuardedCall,
  ) {
    this.parts = rooms.parts;
    this.flights = rooms.flights;
    this.me = new Waiter(call, this.parts);
  }

  async answer(): Promise<unknown> {
    let given: Snapshot | undefined;
    for (;;) {
      const open = this.flights.get(this.call.key);
      let seen: Snapshot | undefined;
      let storeAway = false;
      if (this.call.policy.keep !== 'nothing' && (given || !open?.tellsAll(this.call))) {
        const standsIn = this.parts.near.has(this.call);
        const looked = given ?? (await this.me.within(this.look(), standsIn));
        const ended = looked && isInterruption(looked) && looked.kind !== 'soft-timeout' ? looked : undefined;
        if (ended?.kind === 'aborted') return this.interrupted(ended);
        storeAway = looked === undefined;
        seen = looked && !isInterruption(looked) ? looked : this.parts.near.doubted(this.call);
        if (seen) {
          const acted = this.act(seen, storeAway);
          const answer = acted instanceof Promise ? await acted : acted;
          if (answer) return answer.value;
        }
        if (ended) return this.interrupted(ended);
      }
      if (storeAway) this.miss('store-unavailable');
      else if (!seen) this.miss(this.call.policy.keep === 'nothing' ? 'no-store' : 'absent');
      given = undefined;
      const outcome = await this.fly(seen, storeAway);
      const answer = await this.take(outcome);
      if (answer) return answer.value;
      if (outcome.kind === 'snapshot') given = outcome.snapshot;
    }
  }

  private async interrupted(why: Interruption): Promise<unknown> {
    return (await this.take(why))?.value;
  }

  private async loadAlone(): Promise<Answer> {
    const given = await this.rooms.alone.loadFor(this.me);
    return 'value' in given ? given : { value: await this.interrupted(given) };
  }

  private look(): Promise<Snapshot | undefined> {
    return answered(this.parts, this.call, 'read', () => this.parts.lookup.look(this.call));
  }

  /** Executes the decision about what was read, at once if it can; without an answer, the way is a flight. */
  private act(seen: Snapshot, storeAway: boolean): MaybeAnswer | Promise<MaybeAnswer> {
    const decision = decide(seen.found, this.call.policy, seen.nowMs, this.call.mark);
    switch (decision.kind) {
      case 'serve':
        if (decision.stale && decision.refresh && this.me.warms) return undefined;
        return this.serve(seen, decision, storeAway);
      case 'validate':
        return this.validate(seen, decision);
      case 'pass':
        return this.loadAlone();
      case 'load':
        this.miss(decision.cause);
        this.me.fallbackUntilMs = decision.fallbackUntilMs;
        this.fallback =
          decision.fallbackUntilMs === undefined ? undefined : { snapshot: seen, atMs: this.me.elapsedMs() };
        return undefined;
    }
  }

  private async validate(seen: Snapshot, decision: Serve): Promise<Answer | undefined> {
    const confirmed = await this.me.within(
      this.rooms.probes.confirms(this.call, entryOf(seen)).then((current) => ({ current })),
    );
    if (!('current' in confirmed)) return { value: await this.interrupted(confirmed) };
    if (confirmed.current) return this.serve(seen, decision, false);
    this.miss('expired');
    return undefined;
  }

  private serve(seen: Snapshot, decision: Serve, storeAway: boolean): MaybeAnswer | Promise<MaybeAnswer> {
    const stale = decision.kind === 'serve' && decision.stale;
    if (stale && decision.refresh) refreshBehind(this.parts, this.flights, this.call, seen, storeAway);
    return this.handOut(seen, stale ? 'stale' : 'fresh', seen.nowMs, stale ? decision.staleMs : 0);
  }

  /** Without an answer, the bytes are no value after all. */
  private handOut(seen: Snapshot, state: HitEvent['state'], nowMs: number, staleMs: number) {
    return handOut(this.parts, this.call, seen, { state, nowMs, staleMs }, (error) => this.corrupt(error));
  }

  private corrupt(error: unknown): undefined {
    const { call, parts } = this;
    const detail = errorText(error, call.policy.encrypt);
    parts.hub.emit({ type: 'corrupt', domain: call.policy.domain, key: call.key, detail });
    this.miss('corrupt');
    this.dropFallback();
  }

  private async fly(seen: Snapshot | undefined, storeAway: boolean): Promise<Outcome> {
    const { call, me, flights } = this;
    const frame = currentFrame();
    const open = flights.get(call.key);
    this.joinedAnother = open !== undefined;
    if (open) {
      if (frame && flights.wouldWaitForItself(open, frame)) return { kind: 'alone' };
      return this.blocking(frame, open, open.join(me));
    }
    // The store would say so.
    if (storeAway && this.fallback && !this.ignoreBackoff && this.parts.quiet.has(call.key))
      return { kind: 'backing-off' };
    const plan = {
      call,
      seen,
      via: storeAway || call.policy.keep === 'nothing' ? 'direct' : 'guarded',
      background: false,
      insist: me.insist,
      honourBackoff: this.fallback !== undefined && !this.ignoreBackoff,
      forced: false,
    } as const;
    try {
      return await flights.start(plan, (flight) => this.blocking(frame, flight, flight.join(me)));
    } catch (error) {
      return { kind: 'failed', error };
    }
  }

  /** While a load waits for a flight, the load's own flight cannot land. */
  private async blocking(frame: LoadFrame | undefined, flight: Flight, outcome: Promise<Outcome>): Promise<Outcome> {
    const own = frame?.flights()[0] as Flight | undefined;
    own?.blockedOn.add(flight);
    try {
      const given = await outcome;
      // The place that it takes of its caller's is free before he asks for another one.
      if (given.kind === 'alone') await this.flights.landed(flight);
      return given;
    } finally {
      own?.blockedOn.delete(flight);
    }
  }

  private async take(outcome: Outcome): Promise<Answer | undefined> {
    const { call, me } = this;
    const { domain } = call.policy;
    switch (outcome.kind) {
      case 'value':
        if (this.joinedAnother) this.parts.hub.emit({ type: 'coalesced', domain, key: call.key });
        return this.takeLoaded(outcome);
      case 'snapshot':
      case 'again':
        me.insist ||= outcome.insist;
        return undefined;
      case 'alone':
        return this.loadAlone();
      case 'backing-off':
        this.ignoreBackoff = true;
        return this.standIn();
      case 'soft-timeout':
        return this.standIn();
      case 'failed': {
        const answer = await this.standIn();
        if (answer) return answer;
        throw outcome.error;
      }
      case 'threw':
        if (this.joinedAnother) this.parts.hub.emit({ type: 'coalesced', domain, key: call.key });
        if (outcome.entry) noteInner(this.parts.owner, call, outcome.entry);
        throw outcome.error;
      case 'budget': {
        this.parts.hub.emit({ type: 'wait-timeout', domain, key: call.key });
        const answer = await this.standIn();
        if (answer) return answer;
        throw waitTimeoutError(call);
      }
      case 'aborted':
        throw outcome.reason;
    }
  }

  private async takeLoaded({ handout, entry, stored }: Outcome & { kind: 'value' }): Promise<Answer> {
    const { call } = this;
    const state = entry ? 'loaded' : 'uncached';
    noteServed(this.parts.owner, {
      call,
      entry,
      state,
      nowMs: (entry?.beganMs ?? 0) + (entry?.loadMs ?? 0),
      staleMs: 0,
      cause: this.missCause,
      collapsed: this.joinedAnother,
      stored,
    });
    return { value: await handout(call.values) };
  }

  /** The old value in place of a load that failed, is slow, or must not be tried yet. */
  private async standIn(): Promise<Answer | undefined> {
    const { fallback, me } = this;
    if (!fallback) return undefined;
    const { snapshot } = fallback;
    const nowMs = snapshot.nowMs + (me.elapsedMs() - fallback.atMs);
    if (nowMs >= me.fallbackUntilMs!) {
      this.dropFallback();
      return undefined;
    }
    const { softMs } = entryOf(snapshot);
    const staleMs = Math.max(1, nowMs - Math.min(softMs, nowMs));
    return this.handOut(snapshot, 'stale-on-error', nowMs, staleMs);
  }

  private dropFallback(): void {
    this.fallback = undefined;
    this.me.fallbackUntilMs = undefined;
  }

  private miss(cause: MissCause): void {
    if (this.missCause) return;
    this.missCause = cause;
    this.parts.hub.emit({ type: 'miss', domain: this.call.policy.domain, key: this.call.key, cause });
  }
}

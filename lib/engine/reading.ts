import { decide, type Decision, type MissCause } from '../core/decide.js';
import { FLAG, type Entry } from '../core/entry.js';
import type { ServedValue } from '../core/targets.js';
import { waitTimeoutError, type GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';
import type { Flight } from './flight.js';
import type { Flights } from './flights.js';
import { currentFrame, runInFrame, type LoadFrame } from './load-frames.js';
import type { Snapshot } from './lookup.js';
import type { LoneLoads } from './lone-loads.js';
import type { Probes } from './probes.js';
import { noteServed } from './served.js';
import { Waiter, type Outcome } from './waiter.js';

type Serve = Decision & { kind: 'serve' | 'validate' };

/** Marks that a reader has been answered; `value` may well be `undefined`. */
interface Answer {
  readonly value: unknown;
}

/** One read from arrival to answer: executes what `decide` returns, and joins flights until one of them answers. */
export class Reading {
  private readonly me: Waiter;
  /** What may stand in for a load, and how long after the arrival it was read. */
  private fallback: { readonly snapshot: Snapshot; readonly atMs: number } | undefined;
  private missed = false;
  private joinedAnother = false;
  private ignoreBackoff = false;

  constructor(
    private readonly parts: EngineParts,
    private readonly flights: Flights,
    private readonly probes: Probes,
    private readonly alone: LoneLoads,
    private readonly call: GuardedCall,
  ) {
    this.me = new Waiter(call, parts.sequence.next(), parts.clock);
  }

  async answer(): Promise<unknown> {
    this.call.signal?.throwIfAborted();
    let given: Snapshot | undefined;
    for (;;) {
      const open = this.flights.get(this.call.key);
      let seen: Snapshot | undefined;
      let storeAway = false;
      if (this.call.policy.keep !== 'nothing' && (given || !open?.tellsAll(this.call))) {
        seen = given ?? (await this.look());
        storeAway = seen === undefined;
        if (seen) {
          const answer = await this.act(seen);
          if (answer) return answer.value;
        }
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

  private async look(): Promise<Snapshot | undefined> {
    try {
      return await this.parts.lookup.look(this.call);
    } catch (error) {
      this.parts.hub.emit({ type: 'store-error', domain: this.call.policy.domain, operation: 'read', error });
      return undefined;
    }
  }

  /** Executes the decision about what was read; without an answer, the way is a flight. */
  private async act(seen: Snapshot): Promise<Answer | undefined> {
    const decision = decide(seen.found, this.call.policy, seen.nowMs);
    switch (decision.kind) {
      case 'serve':
        return this.serve(seen, decision);
      case 'validate':
        if (await this.probes.confirms(this.call, entryOf(seen))) return this.serve(seen, decision);
        this.miss('expired');
        return undefined;
      case 'pass':
        return { value: await this.alone.load(this.call) };
      case 'load':
        this.miss(decision.cause);
        this.me.fallbackUntilMs = decision.fallbackUntilMs;
        this.fallback =
          decision.fallbackUntilMs === undefined ? undefined : { snapshot: seen, atMs: this.me.elapsedMs() };
        return undefined;
    }
  }

  private async serve(seen: Snapshot, decision: Serve): Promise<Answer | undefined> {
    const { policy, key } = this.call;
    const entry = entryOf(seen);
    const stale = decision.kind === 'serve' && decision.stale;
    if (stale) this.refreshBehind(seen);
    const staleMs = decision.kind === 'serve' ? decision.staleMs : 0;
    return this.handOut(seen, stale ? 'stale' : 'fresh', seen.nowMs, staleMs, () =>
      this.parts.hub.emit({
        type: 'hit',
        domain: policy.domain,
        key,
        state: stale ? 'stale' : 'fresh',
        negative: (entry.flags & FLAG.negative) !== 0,
        ageMs: decision.ageMs,
        staleMs,
      }),
    );
  }

  private async handOut(
    seen: Snapshot,
    state: ServedValue['state'],
    nowMs: number,
    staleMs: number,
    emit: () => void,
  ): Promise<Answer | undefined> {
    const entry = entryOf(seen);
    let value: unknown;
    try {
      const opened = seen.unpack(entry.flags & FLAG.thrown ? {} : this.call.values);
      value = (opened instanceof Promise ? await opened : opened).take();
    } catch (error) {
      const { domain } = this.call.policy;
      this.parts.hub.emit({
        type: 'corrupt',
        domain,
        key: this.call.key,
        detail: error instanceof Error ? error.message : 'payload',
      });
      this.miss('corrupt');
      this.dropFallback();
      return undefined;
    }
    emit();
    noteServed(this.parts.owner, { call: this.call, entry, state, nowMs, staleMs });
    if (entry.flags & FLAG.thrown) throw this.parts.thrown.hydrate(value);
    return { value };
  }

  private refreshBehind(seen: Snapshot): void {
    const { call, flights, parts } = this;
    if (flights.get(call.key) || parts.quiet.has(call.key)) return;
    const plan = {
      call: { ...call, signal: undefined },
      seen,
      via: 'guarded',
      background: true,
      insist: false,
      honourBackoff: true,
      forced: false,
    } as const;
    try {
      // Outside the reader's own load: it does not wait for the refresh, so it neither holds its slot nor inherits from it.
      runInFrame(undefined, () => flights.start(plan, () => {}));
    } catch {
      // Too many keys in flight, reported by an event: the old value is what there is.
    }
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
      return await outcome;
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
        return { value: await this.alone.load(call) };
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

  private async takeLoaded({ handout, entry }: Outcome & { kind: 'value' }): Promise<Answer> {
    const { call } = this;
    const state = entry ? 'loaded' : 'uncached';
    noteServed(this.parts.owner, {
      call,
      entry,
      state,
      nowMs: (entry?.beganMs ?? 0) + (entry?.loadMs ?? 0),
      staleMs: 0,
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
    const entry = entryOf(snapshot);
    const { policy, key } = this.call;
    const ageMs = nowMs - entry.beganMs;
    const staleMs = Math.max(1, nowMs - Math.min(entry.softMs, nowMs));
    return this.handOut(snapshot, 'stale', nowMs, staleMs, () =>
      this.parts.hub.emit({
        type: 'hit',
        domain: policy.domain,
        key,
        state: 'stale-on-error',
        negative: (entry.flags & FLAG.negative) !== 0,
        ageMs,
        staleMs,
      }),
    );
  }

  private dropFallback(): void {
    this.fallback = undefined;
    this.me.fallbackUntilMs = undefined;
  }

  private miss(cause: MissCause): void {
    if (this.missed) return;
    this.missed = true;
    this.parts.hub.emit({ type: 'miss', domain: this.call.policy.domain, key: this.call.key, cause });
  }
}

function entryOf(seen: Snapshot): Entry {
  if (typeof seen.found !== 'object') throw new TypeError('there is no entry');
  return seen.found.entry;
}

import { decide } from '../core/decide.js';
import { FLAG, type Entry } from '../core/entry.js';
import { errorText } from '../core/errors.js';
import type { LoadEvent } from '../core/events.js';
import { instant } from '../core/clock.js';
import { Inheritance } from '../core/composition.js';
import { loadTimeoutError } from './call.js';
import { Committer, tellUncacheable } from './committer.js';
import type { EngineParts } from './engine-parts.js';
import type { Attempt } from './entry-maker.js';
import type { FlightPlan } from './flight-plan.js';
import { LoadDirectives, NEVER_ABORTED } from './load-frames.js';
import type { LoadResult } from './loader.js';
import { handout } from './lookup.js';
import type { Snapshot } from './snapshot.js';
import type { Ticket } from './near-cache.js';
import { failed } from './sources.js';
import { AGAIN, AGAIN_INSISTING, failure, startersOwn, type Verdict } from './verdicts.js';
import type { Outcome, Waiter } from './waiter.js';

const NO_BACKOFF = { baseMs: 0, maxMs: 0 };
const UNDIRECTED = new LoadDirectives(NEVER_ABORTED, undefined);

/** From the end of a load to what everybody gets: makes the entry, commits it, and says who may have it. */
export class Landing {
  private beganMs = 0;
  /** Stands in for an attempt where there is none. */
  private unleased: Attempt | undefined;
  private ticket: Ticket | undefined;
  private readonly committer: Committer | undefined;

  constructor(
    private readonly parts: EngineParts,
    private readonly plan: FlightPlan,
    /** Without one nothing can be committed. */
    private readonly attempt: Attempt | undefined,
  ) {
    this.committer = attempt && new Committer(parts, plan.call, attempt);
  }

  /** To be told at the moment of the loader's call. */
  called(): void {
    const { maker, near } = this.parts;
    if (!this.attempt) {
      this.unleased = maker.unleased(this.plan.call);
      this.ticket = near.ticket(this.plan.call);
    }
    this.committer?.called();
    this.beganMs = maker.beganMs(this.attempt ?? this.unleased!);
  }

  /** What the load may ask the source about. */
  async previous(seen: Snapshot | undefined): Promise<LoadDirectives['previous']> {
    const entry = previousEntry(seen);
    if (!entry || !this.attempt) return undefined;
    try {
      const unpacked = await seen!.unpack(this.plan.call.values);
      return { value: unpacked.take(), version: entry.version, etag: entry.etag };
    } catch {
      return undefined;
    }
  }

  /** Leaves the key to others. */
  async giveUp(): Promise<void> {
    await this.committer?.release(undefined);
  }

  /** Never rejects: whatever a function of the policy throws here must not leave the lease behind. */
  async conclude(
    result: LoadResult,
    directives: LoadDirectives,
    inheritance: Inheritance,
    seal: () => void,
  ): Promise<Verdict> {
    try {
      return await this.verdict(result, directives, inheritance, seal);
    } catch (error) {
      return await this.upset(result, error, inheritance, seal);
    } finally {
      this.parts.near.fill(this.ticket, this.plan.call, undefined);
    }
  }

  /** A function of the policy threw: what the source said still reaches who asked, and nothing is kept. */
  private async upset(
    result: LoadResult,
    error: unknown,
    inheritance: Inheritance,
    seal: () => void,
  ): Promise<Verdict> {
    const { hub } = this.parts;
    const { policy, key, origin } = this.plan.call;
    const detail = errorText(error, policy.encrypt);
    hub.emit({ type: 'uncacheable', domain: policy.domain, key, origin, reason: 'policy-threw', detail });
    seal();
    await this.committer?.release(NO_BACKOFF);
    if (result.kind === 'threw') return failure(result.error, inheritance);
    const value = result.kind === 'value' ? result.value : undefined;
    return startersOwn({ kind: 'value', handout: () => value, entry: undefined });
  }

  /** What the load gave is of another key: it is its caller's alone, and says nothing about this key. */
  private async strayed(result: LoadResult & { kind: 'value' | 'threw' }, seal: () => void): Promise<Verdict> {
    const detail = 'an object that the key is made from was changed before the load ran';
    tellUncacheable(this.parts.hub, this.plan.call, { kind: 'uncacheable', reason: 'key-changed', detail });
    this.emitLoad(result.kind === 'value' ? 'value' : 'answer', result.ms);
    seal();
    await this.committer?.release(NO_BACKOFF);
    const own: Outcome =
      result.kind === 'value' ? { kind: 'value', handout: () => result.value, entry: undefined } : result;
    return (_waiter, _before, starter) => (starter ? own : AGAIN);
  }

  private async verdict(
    result: LoadResult,
    directives: LoadDirectives,
    inheritance: Inheritance,
    seal: () => void,
  ): Promise<Verdict> {
    if (directives.strayed && (result.kind === 'value' || result.kind === 'threw')) return this.strayed(result, seal);
    switch (result.kind) {
      case 'value':
        return this.value(result.value, result.ms, directives, inheritance, seal);
      case 'threw':
        return failed(this.plan.call.policy, result.error)
          ? this.failed(result.error, 'failed', result.ms, inheritance, seal)
          : this.answered(result.error, result.ms, inheritance, seal);
      case 'timeout':
        return this.failed(loadTimeoutError(this.plan.call), 'timeout', result.ms, inheritance, seal);
      case 'aborted':
        this.emitLoad('aborted', result.ms);
        seal();
        await this.committer?.release(undefined);
        return () => AGAIN;
    }
  }

  private async value(
    value: unknown,
    loadMs: number,
    directives: LoadDirectives,
    inheritance: Inheritance,
    seal: () => void,
  ): Promise<Verdict> {
    const { call } = this.plan;
    const { attempt } = this;
    if (!attempt) {
      this.emitLoad('value', loadMs);
      return this.uncommitted(value, loadMs, directives, inheritance, seal);
    }
    const times = { beganMs: this.beganMs, loadMs };
    const { maker } = this.parts;
    const kept = directives.unmodified ? previousEntry(this.plan.seen) : undefined;
    const made = await (kept
      ? maker.fromPrevious(call, attempt, kept, directives, inheritance, times)
      : maker.fromValue(call, attempt, value, directives, inheritance, times));
    this.emitLoad(made.kind === 'entry' && made.entry.flags & FLAG.negative ? 'absent' : 'value', loadMs);
    if (made.kind === 'uncacheable') {
      seal();
      this.committer!.mark(made, this.beganMs, this.now());
      return startersOwn({ kind: 'value', handout: () => value, entry: undefined });
    }
    const given: Outcome = {
      kind: 'value',
      handout: handout(made.entry, call, made.unpacked, this.parts.codecs),
      entry: made.entry,
    };
    if (this.tooOld(made.entry)) {
      seal();
      const detail = `the load took ${Math.round(loadMs)} ms`;
      this.committer!.mark({ kind: 'uncacheable', reason: 'too-old', detail }, this.beganMs, this.now());
      return (_waiter, before) => (before ? given : AGAIN);
    }
    seal();
    const held = (await this.committer!.commit(kept ? 'extend' : 'fill', made, kept?.id)) === 'held';
    const told = { ...given, stored: held };
    return (waiter, before) => {
      if (before) return told;
      if (!held) return AGAIN_INSISTING;
      return this.servable(made.entry, waiter) ? told : AGAIN;
    };
  }

  /** Nothing can be committed: only who came before the loader's call is served. While the store is away, memory keeps it as stale. */
  private async uncommitted(
    value: unknown,
    loadMs: number,
    directives: LoadDirectives,
    inheritance: Inheritance,
    seal: () => void,
  ): Promise<Verdict> {
    const { call } = this.plan;
    const { maker, near, lookup, hub, codecs, clock } = this.parts;
    const kept = call.policy.keep !== 'nothing';
    const times = { beganMs: this.beganMs, loadMs };
    const made = await (kept || inheritance.personal
      ? maker.fromValue(call, this.unleased!, value, directives, inheritance, times)
      : maker.fromValue(call, this.unleased!, value, UNDIRECTED, new Inheritance(), times));
    seal();
    if (made.kind === 'uncacheable') {
      tellUncacheable(hub, call, made);
      return (_waiter, before, starter) => {
        if (starter) return { kind: 'value', handout: () => value, entry: undefined };
        return before ? { kind: 'alone' } : AGAIN;
      };
    }
    if (kept) {
      const nowMs = maker.beganMs(this.unleased!);
      near.fill(this.ticket, call, lookup.local(call, made.entry, nowMs, instant(clock)), true);
      this.ticket = undefined;
    }
    const own = handout(made.entry, call, made.unpacked, codecs);
    return (_waiter, before) => (before ? { kind: 'value', handout: own, entry: undefined } : AGAIN);
  }

  private async answered(error: unknown, loadMs: number, inheritance: Inheritance, seal: () => void): Promise<Verdict> {
    const { attempt, committer, beganMs } = this;
    const { call } = this.plan;
    const { maker } = this.parts;
    const made = attempt && (await maker.fromAbsence(call, attempt, error, inheritance, { beganMs, loadMs }));
    const absence = made?.kind === 'entry' ? made : undefined;
    this.emitLoad(absence ? 'absent' : 'answer', loadMs);
    seal();
    this.parts.near.drop(call.key);
    if (made?.kind === 'uncacheable' && inheritance.uncacheable) {
      committer!.mark(made, beganMs, this.now());
      return startersOwn({ kind: 'threw', error });
    }
    const end = (await committer?.commit(absence ? 'fill' : 'clear', absence, undefined)) ?? 'unknown';
    if (end === 'unknown') this.parts.keepRemoval(call);
    const told: Outcome = { kind: 'threw', error, entry: absence?.entry };
    if (call.policy.keep === 'nothing' ? inheritance.personal : inheritance.uncacheable) return startersOwn(told);
    return (waiter, before) => {
      if (before) return told;
      if (end !== 'held') return AGAIN_INSISTING;
      return beganMs < (waiter.call.mark?.pendingMs ?? -Infinity) ? AGAIN : told;
    };
  }

  private failed(
    error: unknown,
    outcome: 'failed' | 'timeout',
    loadMs: number,
    inheritance: Inheritance,
    seal: () => void,
  ): Verdict {
    const { key, policy } = this.plan.call;
    const refused = this.parts.sources.of(policy).refused(error);
    if (!refused) this.emitLoad(outcome, loadMs);
    seal();
    const { staleAllowed, backoffBaseMs, backoffMaxMs } = policy;
    // The store tells everybody to stay away for a while; without it, this process tells itself.
    if (!this.attempt && staleAllowed) this.parts.quiet.set(key, true, { ttl: backoffBaseMs });
    // Without a permitted old value every reader needs an answer now: nobody is kept away from the source.
    // Neither is anybody by a load that was none: the breaker sees to it when the next one may be.
    void this.committer?.release(
      staleAllowed && !refused ? { baseMs: backoffBaseMs, maxMs: backoffMaxMs } : NO_BACKOFF,
    );
    return failure(error, inheritance);
  }

  private tooOld(entry: Entry): boolean {
    const nowMs = this.now();
    return (
      nowMs !== undefined && (nowMs >= entry.hardMs || (!this.plan.call.policy.staleAllowed && nowMs >= entry.softMs))
    );
  }

  private servable(entry: Entry, waiter: Waiter): boolean {
    const nowMs = this.now();
    if (nowMs === undefined) return false;
    const { policy, mark } = waiter.call;
    return decide({ entry, drift: { kind: 'none' }, doubt: undefined }, policy, nowMs, mark).kind === 'serve';
  }

  /** Store time; `undefined` while the store is away and nobody knows it. */
  private now(): number | undefined {
    try {
      return this.parts.store.now(this.plan.call.key);
    } catch {
      return undefined;
    }
  }

  private emitLoad(outcome: LoadEvent['outcome'], ms: number): void {
    const { call, background } = this.plan;
    this.parts.hub.emit({ type: 'load', domain: call.policy.domain, key: call.key, outcome, background, ms });
  }
}

function previousEntry(seen: Snapshot | undefined): Entry | undefined {
  if (typeof seen?.found !== 'object') return undefined;
  const { entry } = seen.found;
  return entry.flags & (FLAG.removed | FLAG.hitForMiss | FLAG.thrown) ? undefined : entry;
}

import { instant } from '../core/clock.js';
import { Inheritance } from '../core/composition.js';
import { decodeEntry } from '../core/entry.js';
import { CacheGuardError, CacheGuardStoreError, describeValue } from '../core/errors.js';
import type { InvalidationMode, InvalidationScope, StoreErrorEvent } from '../core/events.js';
import type { GenerationName } from '../core/generations.js';
import type { EntryKey } from '../core/keys.js';
import type { Policy } from '../core/policy.js';
import type { PutResult } from '../core/targets.js';
import { generationTtl, type GuardedCall } from './call.js';
import { tellUncacheable } from './committer.js';
import type { EngineParts } from './engine-parts.js';
import type { Attempt } from './entry-maker.js';
import { currentFrame, LoadDirectives, LoadFrame, NEVER_ABORTED, runInFrame } from './load-frames.js';

const MODES: readonly InvalidationMode[] = ['expire', 'remove', 'purge'];

/** The right to write one key, taken before the write itself begins. */
export interface WriteToken {
  readonly attempt: Attempt;
  /** Ends it without a value. */
  drop(): Promise<void>;
}

/** Write-through and invalidation. Every write is fenced against the loads and writes that it overlaps. */
export class Writes {
  constructor(private readonly parts: EngineParts) {}

  /** Gives back the tokens of writes that go on, at shutdown: what they write is not cached. */
  async close(): Promise<void> {
    const { keeper, store } = this.parts;
    const released = keeper.forgetAll().map(({ key, token }) => store.release({ key, token, backoff: undefined }));
    await Promise.allSettled(released);
  }

  /** @throws CacheGuardStoreError when the store is away */
  async begin(call: GuardedCall): Promise<WriteToken> {
    const { store, ids, clock, keeper, hub } = this.parts;
    const { policy, key } = call;
    const token = ids.token();
    const reply = await store.acquire({
      key,
      token,
      generations: call.generations,
      generationTtlMs: generationTtl(policy),
      seenId: undefined,
      leaseMs: policy.leaseMs,
      mode: 'shared',
      honourBackoff: false,
    });
    if (reply.kind !== 'granted')
      throw new CacheGuardStoreError('CG_STORE_UNAVAILABLE', `The store refused a write token: ${reply.kind}.`);
    const unanswered = (error: unknown) =>
      hub.emit({ type: 'store-error', domain: policy.domain, operation: 'renew', error });
    keeper.keep({ key, token, leaseMs: policy.leaseMs, lost: () => {}, unanswered });
    return {
      attempt: {
        token,
        epoch: reply.epoch,
        grantedMs: reply.nowMs,
        receivedAt: instant(clock),
        generations: reply.generations,
      },
      drop: async () => {
        keeper.forget(token);
        await store.release({ key, token, backoff: undefined });
      },
    };
  }

  /** Runs `write` and makes its result the cached value. Rejects with what `write` threw; the cache's own trouble is an event. */
  async through(call: GuardedCall, write: () => Promise<unknown>): Promise<unknown> {
    const token = await this.begin(call).catch((error: unknown) => this.trouble(call, 'acquire', error));
    const directives = new LoadDirectives(NEVER_ABORTED, undefined);
    const frame = new LoadFrame(this.parts.owner, call, directives, undefined, currentFrame(), false);
    let value: unknown;
    try {
      value = await runInFrame(frame, write);
    } catch (error) {
      await token?.drop().catch((cause: unknown) => this.trouble(call, 'release', cause));
      throw error;
    }
    const invalidate = () => this.invalidate(call.policy, [call.key], defaultMode(call.policy));
    const kept = token
      ? this.put(call, token, value, directives, frame.inheritance).catch(() => invalidate())
      : invalidate();
    await kept.catch((error: unknown) => this.trouble(call, 'commit', error));
    return value;
  }

  /** Makes `value` the cached one; if anything overlapped since `begin`, the write becomes an invalidation instead. */
  async put(
    call: GuardedCall,
    { attempt }: WriteToken,
    value: unknown,
    directives: LoadDirectives,
    inheritance = new Inheritance(),
  ): Promise<PutResult> {
    const { store, maker, keeper, hub } = this.parts;
    const { policy, key } = call;
    try {
      const times = { beganMs: maker.beganMs(attempt), loadMs: 0 };
      const made = await maker.fromValue(call, attempt, value, directives, inheritance, times);
      if (made.kind === 'uncacheable' || policy.keep === 'nothing') {
        if (made.kind === 'uncacheable') tellUncacheable(hub, call, made);
        await this.invalidate(policy, [key], defaultMode(policy));
        return { outcome: 'applied', stored: false, reason: 'uncacheable' };
      }
      const reply = await store.commit({
        key,
        token: attempt.token,
        epoch: attempt.epoch,
        kind: 'put',
        seenId: undefined,
        bytes: made.bytes,
        hardMs: made.entry.hardMs,
        versionWindowMs: policy.versionWindowMs,
        generations: [],
      });
      if (reply.outcome === 'committed') {
        hub.emit({ type: 'accepted', domain: policy.domain, key, via: 'put', loadMs: 0 });
        return { outcome: 'applied', stored: true };
      }
      if (reply.outcome === 'fenced-version') {
        hub.emit({ type: 'fenced', domain: policy.domain, key, reason: 'version' });
        return { outcome: 'applied', stored: false, reason: 'older-version' };
      }
      hub.emit({
        type: 'fenced',
        domain: policy.domain,
        key,
        reason: reply.outcome === 'fenced-epoch' ? 'epoch' : 'token',
      });
      await this.invalidate(policy, [key], defaultMode(policy));
      return { outcome: 'applied', stored: false, reason: 'overlapped' };
    } finally {
      keeper.forget(attempt.token);
    }
  }

  /** @throws CacheGuardStoreError when the store did not confirm every key */
  async invalidate(policy: Policy, keys: readonly EntryKey[], mode: InvalidationMode): Promise<void> {
    await this.told(policy, 'key', mode, keys.length, () =>
      Promise.all(keys.map((key) => this.parts.store.invalidate(key, mode))),
    );
  }

  /** O(1) for any number of entries; `purge` also walks the domain's entries and erases the bytes of those concerned. */
  async advance(
    policy: Policy,
    scope: InvalidationScope,
    generations: readonly GenerationName[],
    mode: InvalidationMode,
  ): Promise<void> {
    const { store } = this.parts;
    const concerned = new Set(generations);
    const carriesOne = (bytes: Buffer) => decodeEntry(bytes)?.stamps.some(({ name }) => concerned.has(name)) ?? true;
    await this.told(policy, scope, mode, generations.length, async () => {
      await Promise.all(generations.map((generation) => store.advance(generation, mode, generationTtl(policy))));
      if (mode === 'purge') await store.sweep(policy.domain, carriesOne);
    });
  }

  private trouble(call: GuardedCall, operation: StoreErrorEvent['operation'], error: unknown): undefined {
    this.parts.hub.emit({ type: 'store-error', domain: call.policy.domain, operation, error });
  }

  private async told(
    policy: Policy,
    scope: InvalidationScope,
    mode: InvalidationMode,
    count: number,
    run: () => Promise<unknown>,
  ): Promise<void> {
    const { domain } = policy;
    const { hub } = this.parts;
    try {
      await run();
      hub.emit({ type: 'invalidation', domain, scope, mode, count, outcome: 'applied' });
    } catch (error) {
      hub.emit({ type: 'store-error', domain, operation: 'invalidate', error });
      hub.emit({ type: 'invalidation', domain, scope, mode, count, outcome: 'failed' });
      throw error;
    }
  }
}

/** @throws CacheGuardError (`CG_INVALID_OPTIONS`) for a mode that does not exist */
export function modeOf(policy: Policy, mode: InvalidationMode | undefined): InvalidationMode {
  if (mode === undefined) return defaultMode(policy);
  if (MODES.includes(mode)) return mode;
  throw new CacheGuardError(
    'CG_INVALID_OPTIONS',
    `Domain '${policy.domain}': mode = ${describeValue(mode)} is refused; use one of ${MODES.join(', ')}.`,
    { domain: policy.domain, field: 'mode' },
  );
}

/** Where stale serving is allowed, an invalidation leaves no miss window; where it is not, it takes the value away. */
export function defaultMode(policy: Policy): InvalidationMode {
  return policy.staleAllowed ? 'expire' : 'remove';
}

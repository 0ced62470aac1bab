import { instant } from '../core/clock.js';
import { Inheritance } from '../core/composition.js';
import { CacheGuardStoreError, errorText, isCacheGuardError } from '../core/errors.js';
import type { StoreErrorEvent } from '../core/events.js';
import type { PutResult } from '../core/targets.js';
import { generationTtl, type GuardedCall } from './call.js';
import { tellUncacheable } from './committer.js';
import type { EngineParts } from './engine-parts.js';
import type { Attempt, Made } from './entry-maker.js';
import { defaultMode, type Invalidations } from './invalidations.js';
import { currentFrame, LoadDirectives, LoadFrame, NEVER_ABORTED, runInFrame } from './load-frames.js';

/** The right to write one key, taken before the write itself begins. */
export interface WriteToken {
  readonly attempt: Attempt;
  /** Ends it without a value. */
  drop(): Promise<void>;
}

interface PutOptions {
  readonly again?: boolean;
  readonly inheritance?: Inheritance | undefined;
}

/** Write-through. Every write is fenced against the loads and writes that it overlaps. */
export class Writes {
  constructor(
    private readonly parts: EngineParts,
    private readonly invalidations: Invalidations,
  ) {}

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
    const kept = token ? this.commit(call, token, value, directives, frame.inheritance) : this.invalidate(call);
    await kept.catch((error: unknown) => this.trouble(call, 'commit', error));
    return value;
  }

  /**
   * Takes a token and makes `value` the cached one; while the store is away, an invalidation of the key is kept instead.
   *
   * @param options `inheritance`: what it was made from, as far as that is known; `again`: whoever is overtaken will try again at once: to invalidate meanwhile would only void the attempts of those who overtook
   */
  async put(
    call: GuardedCall,
    value: unknown,
    directives: LoadDirectives,
    options: PutOptions = {},
  ): Promise<PutResult> {
    const { again = false, inheritance = new Inheritance() } = options;
    const reached = { version: directives.version, again };
    const token = await this.begin(call).catch((error: unknown) => this.trouble(call, 'acquire', error));
    if (token) return this.commit(call, token, value, directives, inheritance, reached);
    return { outcome: await this.invalidate(call, reached.version), stored: false, reason: 'store-away' };
  }

  /**
   * Makes `value` the cached one; if anything overlapped since `begin`, the write becomes an invalidation instead.
   *
   * @param version the source had it before `begin`: what is cached and as new may stay
   * @param again nothing is invalidated when something overlapped
   */
  private async commit(
    call: GuardedCall,
    { attempt }: WriteToken,
    value: unknown,
    directives: LoadDirectives,
    inheritance: Inheritance,
    { version, again }: { readonly version?: bigint | undefined; readonly again?: boolean } = {},
  ): Promise<PutResult> {
    const { store, maker, keeper, hub, near, records, sessions } = this.parts;
    const { policy, key } = call;
    try {
      const times = { beganMs: maker.beganMs(attempt), loadMs: 0 };
      const kept = projected(call, value);
      const made =
        'value' in kept ? await maker.fromValue(call, attempt, kept.value, directives, inheritance, times) : kept;
      if (made.kind === 'uncacheable' || policy.keep === 'nothing') {
        if (made.kind === 'uncacheable') tellUncacheable(hub, call, made);
        return { outcome: await this.invalidate(call, version), stored: false, reason: 'uncacheable' };
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
        near.drop(key);
        sessions.wrote(policy.domain, 'applied', [key]);
        hub.emit({ type: 'accepted', domain: policy.domain, key, via: 'put', loadMs: 0 });
        records.note(call);
        return { outcome: 'applied', stored: true };
      }
      if (reply.outcome === 'fenced-version') {
        hub.emit({ type: 'fenced', domain: policy.domain, key, reason: 'version' });
        sessions.wrote(policy.domain, 'applied', [key]);
        return { outcome: 'applied', stored: false, reason: 'older-version' };
      }
      hub.emit({
        type: 'fenced',
        domain: policy.domain,
        key,
        reason: reply.outcome === 'fenced-epoch' ? 'epoch' : 'token',
      });
      const outcome = again ? 'applied' : await this.invalidate(call, version);
      return { outcome, stored: false, reason: 'overlapped' };
    } catch (error) {
      // Whether it was written, nobody knows.
      this.trouble(call, 'commit', error);
      const outcome = await this.invalidate(call);
      if (!isCacheGuardError(error, 'CG_STORE_UNAVAILABLE')) throw error;
      return { outcome, stored: false, reason: 'store-away' };
    } finally {
      keeper.forget(attempt.token);
    }
  }

  private invalidate({ policy, key }: GuardedCall, version?: bigint): Promise<PutResult['outcome']> {
    return this.invalidations.keys(policy, [key], defaultMode(policy), version);
  }

  private trouble(call: GuardedCall, operation: StoreErrorEvent['operation'], error: unknown): undefined {
    this.parts.hub.emit({ type: 'store-error', domain: call.policy.domain, operation, error });
  }
}

/** Without it nothing is kept: a write that has happened does not fail over it. */
function projected(
  { project, policy }: GuardedCall,
  value: unknown,
): { value: unknown } | (Made & { kind: 'uncacheable' }) {
  try {
    return { value: project ? project(value) : value };
  } catch (error) {
    return { kind: 'uncacheable', reason: 'policy-threw', detail: errorText(error, policy.encrypt) };
  }
}

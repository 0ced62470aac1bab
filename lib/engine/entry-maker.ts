import { elapsedSince, instant, type Clock, type Instant } from '../core/clock.js';
import type { CodecSet } from '../core/codec.js';
import type { Inheritance, UncacheableReason } from '../core/composition.js';
import { FLAG, MAX_STAMPS, type Entry } from '../core/entry.js';
import { errorText } from '../core/errors.js';
import { stampsOf, type Generations, type GenerationStamp } from '../core/generations.js';
import type { Ids } from '../core/ids.js';
import { jittered } from '../core/jitter.js';
import type { Sealing } from '../core/sealing.js';
import type { ThrownCodec } from '../core/thrown.js';
import { schemaOf, type GuardedCall } from './call.js';
import type { LoadDirectives } from './load-frames.js';
import { pack, unpack, type Unpacked } from './packing.js';

/** The right to make one key's value, as the store granted it. */
export interface Attempt {
  readonly token: string;
  readonly epoch: number;
  /** Store time of the grant. */
  readonly grantedMs: number;
  readonly receivedAt: Instant;
  readonly generations: Generations;
}

/** What a load made of itself. */
export type Made =
  | { readonly kind: 'entry'; readonly entry: Entry; readonly bytes: Buffer; readonly unpacked: Unpacked<unknown> }
  | { readonly kind: 'uncacheable'; readonly reason: UncacheableReason; readonly detail: string };

interface Times {
  readonly beganMs: number;
  readonly loadMs: number;
}

/** Turns what a load gave into the entry that the policy, the load and what it was made from allow. */
export class EntryMaker {
  constructor(
    private readonly codecs: CodecSet,
    private readonly sealing: Sealing,
    private readonly ids: Ids,
    private readonly thrown: ThrownCodec,
    private readonly clock: Clock,
  ) {}

  /** Store time of a loader's call, not later than it really was: age counts from here. */
  beganMs(attempt: Attempt): number {
    return Math.floor(attempt.grantedMs + elapsedSince(attempt.receivedAt, this.clock));
  }

  /** For a load that has no lease, because the store is away: its entry stays in this process, on this machine's time. */
  unleased(call: GuardedCall): Attempt {
    return {
      token: '',
      epoch: 0,
      grantedMs: this.clock.wall(),
      receivedAt: instant(this.clock),
      generations: new Map(call.generations.map((name) => [name, undefined])),
    };
  }

  async fromValue(
    call: GuardedCall,
    attempt: Attempt,
    value: unknown,
    directives: LoadDirectives,
    inheritance: Inheritance,
    times: Times,
  ): Promise<Made> {
    const { policy } = call;
    if (directives.refused) return uncacheable('asked', 'the load called doNotCache()');
    if (inheritance.uncacheable) return inherited(inheritance.uncacheable);
    const negative = policy.negativeTtlMs !== undefined && policy.isAbsent({ value });
    const packed = await pack(value, policy, call.values, this.codecs);
    if (!packed.ok) return uncacheable('unencodable', `${packed.path}: ${packed.detail}`);
    const made = this.entry(call, attempt, times, {
      payload: packed.payload,
      codec: packed.codec,
      flags: packed.flags | (negative ? FLAG.negative : 0),
      inheritance,
      directives,
    });
    return this.encoded(call, made);
  }

  /** The kept value again, with times that start anew; `undefined` when the load saw none. */
  async fromPrevious(
    call: GuardedCall,
    attempt: Attempt,
    previous: Entry,
    directives: LoadDirectives,
    inheritance: Inheritance,
    times: Times,
  ): Promise<Made> {
    if (inheritance.uncacheable) return inherited(inheritance.uncacheable);
    const { payload, codec, version, etag } = previous;
    const flags = previous.flags & (FLAG.plain | FLAG.compressed | FLAG.negative);
    const made = this.entry(call, attempt, times, { payload, codec, flags, inheritance, directives });
    return this.encoded(call, { ...made, version: made.version ?? version, etag: made.etag ?? etag });
  }

  /** A thrown absence; `undefined` when the policy keeps none, or this throw cannot be kept. */
  async fromAbsence(
    call: GuardedCall,
    attempt: Attempt,
    error: unknown,
    inheritance: Inheritance,
    times: Times,
  ): Promise<Made | undefined> {
    const { policy } = call;
    if (policy.negativeTtlMs === undefined || !policy.isAbsent({ error })) return undefined;
    if (inheritance.uncacheable) return inherited(inheritance.uncacheable);
    const plain = this.thrown.dehydrate(error);
    if (plain === undefined) return undefined;
    const packed = await pack(plain, policy, {}, this.codecs);
    if (!packed.ok) return undefined;
    const flags = packed.flags | FLAG.negative | FLAG.thrown;
    return this.encoded(
      call,
      this.entry(call, attempt, times, { payload: packed.payload, codec: packed.codec, flags, inheritance }),
    );
  }

  /** Says to later readers that results are uncacheable (Varnish's hit-for-miss). */
  hitForMiss(call: GuardedCall, attempt: Attempt, times: Times, nowMs: number): { entry: Entry; bytes: Buffer } {
    const untilMs = Math.floor(nowMs) + call.policy.hitForMissMs;
    const mark = this.entry(call, attempt, times, { payload: Buffer.alloc(0), codec: 0, flags: FLAG.hitForMiss });
    const entry = { ...mark, softMs: untilMs, hardMs: untilMs };
    return { entry, bytes: this.sealing.encode(call.policy, call.key, entry) };
  }

  private entry(
    call: GuardedCall,
    attempt: Attempt,
    { beganMs, loadMs }: Times,
    from: {
      payload: Buffer;
      codec: number;
      flags: number;
      inheritance?: Inheritance;
      directives?: LoadDirectives;
    },
  ): Entry {
    const { policy } = call;
    const { inheritance, directives } = from;
    const random = this.ids.random();
    const share = Math.max(policy.jitter, directives?.spread ?? 0);
    const spread = (ttlMs: number) => jittered(ttlMs, share, random);
    const negative = (from.flags & FLAG.negative) !== 0;
    const hardTtl = negative ? policy.negativeTtlMs! : Math.min(directives?.hardTtlMs ?? Infinity, policy.hardTtlMs);
    const softTtl = negative ? hardTtl : Math.min(directives?.softTtlMs ?? Infinity, policy.softTtlMs, hardTtl);
    const hardMs = Math.min(beganMs + spread(hardTtl), inheritance?.hardMs ?? Infinity);
    const stamps: readonly GenerationStamp[] = stampsOf(attempt.generations);
    return {
      id: this.ids.entryId(),
      flags: from.flags,
      codec: from.codec,
      beganMs,
      softMs: Math.min(beganMs + spread(softTtl), inheritance?.softMs ?? Infinity, hardMs),
      hardMs,
      loadMs,
      version: directives?.version,
      etag: directives?.etag,
      epoch: attempt.epoch,
      schema: schemaOf(policy),
      whileRevalidateMs: Math.min(policy.whileRevalidateMs, inheritance?.whileRevalidateMs ?? Infinity),
      ifErrorMs: Math.min(policy.ifErrorMs, inheritance?.ifErrorMs ?? Infinity),
      stamps: inheritance?.stamps(stamps) ?? stamps,
      provenance: `${call.origin}@${this.ids.process}`.slice(0, 120),
      payload: from.payload,
    };
  }

  private async encoded(call: GuardedCall, entry: Entry): Promise<Made> {
    if (entry.stamps.length > MAX_STAMPS) return uncacheable('too-large', `${entry.stamps.length} tags`);
    try {
      const values = entry.flags & FLAG.thrown ? {} : call.values;
      return {
        kind: 'entry',
        entry,
        bytes: this.sealing.encode(call.policy, call.key, entry),
        unpacked: await unpack(entry, values, call.policy, this.codecs),
      };
    } catch (error) {
      return uncacheable('unencodable', errorText(error, call.policy.encrypt));
    }
  }
}

function inherited({ reason, domain }: NonNullable<Inheritance['uncacheable']>): Made {
  return uncacheable(reason, `reads domain '${domain}'`);
}

function uncacheable(reason: UncacheableReason, detail: string): Made {
  return { kind: 'uncacheable', reason, detail };
}

import { instant, type Clock, type Instant } from '../core/clock.js';
import type { Found } from '../core/decide.js';
import { entryIdOf, FLAG, type Entry } from '../core/entry.js';
import { CacheGuardStoreError } from '../core/errors.js';
import { driftOf, type GenerationName } from '../core/generations.js';
import type { CodecSet } from '../core/codec.js';
import type { Sealing } from '../core/sealing.js';
import type { Policy } from '../core/policy.js';
import type { ReadReply, Store } from '../core/store.js';
import type { ValueOptions } from '../core/values.js';
import { schemaOf, type GuardedCall } from './call.js';
import type { EventHub } from './event-hub.js';
import type { NearCache } from './near-cache.js';
import type { PendingInvalidations } from './pending.js';
import type { Snapshot } from './snapshot.js';
import type { StoreHealth } from './store-health.js';
import { unpack, type Unpacked } from './packing.js';

interface Parsed {
  readonly entry: Entry | undefined;
  values?: ValueOptions;
  unpacked?: Promise<Unpacked<unknown>> | Unpacked<unknown>;
}

/** How often a read is repeated because its entry named generations that were not asked for. */
const MOST_ROUNDS = 3;

/** Reads entries and says what they are to a call. */
export class Lookup {
  /** Readers of one tick are given the same reply: what it holds is parsed and decoded once. */
  private readonly parsed = new WeakMap<ReadReply, Parsed>();

  constructor(
    private readonly store: Pick<Store, 'read'>,
    private readonly codecs: CodecSet,
    private readonly sealing: Pick<Sealing, 'decode'>,
    private readonly hub: EventHub,
    private readonly clock: Clock,
    private readonly near: NearCache,
    private readonly pending: Pick<PendingInvalidations, 'covers'>,
    private readonly health: Pick<StoreHealth, 'doubts'>,
  ) {}

  /** Rejects also while the store has not been told of an invalidation that concerns the key: what it says is known to be old. */
  async look(call: GuardedCall): Promise<Snapshot> {
    this.refuseIfPending(call, call.generations);
    const ticket = this.near.ticket(call);
    let seen: Snapshot | undefined;
    try {
      const reply = await this.store.read(call.key, call.generations);
      const found = this.lacks(call, reply) ? await this.inspect(call, reply) : this.snapshot(call, reply);
      // Asked for meanwhile, or of a tag that only the entry names.
      this.refuseIfPending(call, this.parse(call, reply).entry?.stamps.map(({ name }) => name) ?? []);
      seen = found;
      return seen.found === undefined ? (this.survivor(call, reply) ?? seen) : seen;
    } finally {
      this.near.fill(ticket, call, seen);
    }
  }

  /** Of what was never in the store. */
  local(call: GuardedCall, entry: Entry, nowMs: number, readAt: Instant): Snapshot {
    const found = { entry, drift: { kind: 'none' }, doubt: undefined } as const;
    const parsed: Parsed = { entry };
    return {
      found,
      nowMs,
      readAt,
      tier: 'l2',
      id: entry.id,
      bytes: entry.payload.length,
      unpack: this.opener(parsed, call.policy),
    };
  }

  async inspect(call: GuardedCall, reply: ReadReply): Promise<Snapshot> {
    let current = reply;
    for (let round = 1; round < MOST_ROUNDS && this.lacks(call, current); round++) {
      const carried = this.parse(call, current).entry!.stamps.map(({ name }) => name);
      current = await this.store.read(call.key, [...new Set([...current.generations.keys(), ...carried])]);
    }
    return this.snapshot(call, current);
  }

  /** A composed value carries generations of what it was made from; nobody knows them before the entry was read. */
  private lacks(call: GuardedCall, reply: ReadReply): boolean {
    return this.parse(call, reply).entry?.stamps.some(({ name }) => !reply.generations.has(name)) ?? false;
  }

  private snapshot(call: GuardedCall, reply: ReadReply): Snapshot {
    const parsed = this.parse(call, reply);
    return {
      found: this.found(call, parsed.entry, reply),
      nowMs: reply.nowMs,
      readAt: instant(this.clock),
      tier: 'l2',
      id: reply.bytes ? entryIdOf(reply.bytes) : '',
      bytes: reply.bytes?.length ?? 0,
      unpack: this.opener(parsed, call.policy),
    };
  }

  private parse(call: GuardedCall, reply: ReadReply): Parsed {
    let parsed = this.parsed.get(reply);
    if (!parsed) {
      // A slice would keep alive all that came with it through the socket.
      const bytes = reply.bytes && call.policy.l1 ? copyOf(reply.bytes) : reply.bytes;
      const { policy, key } = call;
      const decoded = bytes && this.sealing.decode(policy, key, bytes);
      parsed = { entry: typeof decoded === 'string' ? undefined : decoded };
      this.parsed.set(reply, parsed);
      if (typeof decoded === 'string') this.hub.emit({ type: 'corrupt', domain: policy.domain, key, detail: decoded });
    }
    return parsed;
  }

  private found(call: GuardedCall, entry: Entry | undefined, reply: ReadReply): Found {
    if (!entry) return reply.bytes ? 'corrupt' : undefined;
    if (entry.schema !== schemaOf(call.policy) && !(entry.flags & FLAG.removed)) return 'schema';
    const settling = this.health.doubts(entry.beganMs, reply.nowMs) ? 'settling' : undefined;
    const doubt = entry.epoch === reply.epoch ? settling : 'epoch';
    return { entry, drift: driftOf(entry.stamps, reply.generations), doubt };
  }

  /**
   * What a server has lost that came back without its data may still be in this process's memory. Once the fleet has settled, a removal that
   * memory has not heard of is possible, and the store, which has nothing, could not tell.
   */
  private survivor(call: GuardedCall, { epoch, nowMs, generations }: ReadReply): Snapshot | undefined {
    const kept = this.near.doubted(call, 'epoch');
    const entry = kept?.found.entry;
    if (!entry || entry.epoch === epoch || !this.health.doubts(entry.beganMs, nowMs)) return undefined;
    return { ...kept, found: { ...kept.found, drift: driftOf(entry.stamps, generations) } };
  }

  private refuseIfPending({ key, policy }: GuardedCall, generations: readonly GenerationName[]): void {
    if (!this.pending.covers(key, generations)) return;
    throw new CacheGuardStoreError(
      'CG_STORE_UNAVAILABLE',
      `Domain '${policy.domain}': an invalidation of this key is still to be carried out, the store was away.`,
      { domain: policy.domain },
    );
  }

  /** A closure that holds nothing of the call but its policy: it may be kept for long. */
  private opener(parsed: Parsed, policy: Policy): Snapshot['unpack'] {
    return (values) => this.unpack(parsed, values, policy);
  }

  private unpack(parsed: Parsed, values: ValueOptions, policy: Policy) {
    if (!parsed.unpacked || !sameValues(parsed.values, values)) {
      parsed.values = values;
      parsed.unpacked = unpack(parsed.entry!, values, policy, this.codecs);
    }
    return parsed.unpacked;
  }
}

/** Gives one reader the value in the form that he asked for. */
export type Handout = (values: ValueOptions) => unknown;

/** For a packed value that was unpacked for `call`; a reader with other value options unpacks it anew. */
export function handout(
  packed: Pick<Entry, 'flags' | 'codec' | 'payload'>,
  call: GuardedCall,
  unpacked: Unpacked<unknown>,
  codecs: CodecSet,
): Handout {
  return async (values) =>
    (sameValues(call.values, values) ? unpacked : await unpack(packed, values, call.policy, codecs)).take();
}

function sameValues(a: ValueOptions | undefined, b: ValueOptions): boolean {
  return a === b || (a?.revive === b.revive && a?.plain === b.plain && a?.aliasing === b.aliasing);
}

/** In memory of its own: a pool would be kept alive as well. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

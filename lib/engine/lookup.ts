import { type Found } from '../core/decide.js';
import { decodeEntry, entryIdOf, FLAG, type Entry } from '../core/entry.js';
import { driftOf } from '../core/generations.js';
import type { Codec, CodecSet } from '../core/codec.js';
import type { ReadReply, Store } from '../core/store.js';
import type { ValueOptions } from '../core/values.js';
import { schemaOf, type GuardedCall } from './call.js';
import type { EventHub } from './event-hub.js';
import { unpack, type Unpacked } from './packing.js';

/** What one read of the store gives a call: input of `decide`, and the way to the value. */
export interface Snapshot {
  readonly found: Found;
  readonly nowMs: number;
  /** The id of what lies there, `''` for nothing and for what has none. */
  readonly id: string;
  readonly bytes: number;
  /** Rejects for a payload that cannot be decoded. */
  unpack(values: ValueOptions): Promise<Unpacked<unknown>> | Unpacked<unknown>;
}

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
    private readonly hub: EventHub,
  ) {}

  async look(call: GuardedCall): Promise<Snapshot> {
    const reply = await this.store.read(call.key, call.generations);
    return this.lacks(call, reply) ? this.inspect(call, reply) : this.snapshot(call, reply);
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
      found: found(call, parsed.entry, reply),
      nowMs: reply.nowMs,
      id: reply.bytes ? entryIdOf(reply.bytes) : '',
      bytes: reply.bytes?.length ?? 0,
      unpack: (values) => this.unpack(parsed, values, ownCodec(call)),
    };
  }

  private parse(call: GuardedCall, reply: ReadReply): Parsed {
    let parsed = this.parsed.get(reply);
    if (!parsed) {
      parsed = { entry: reply.bytes && decodeEntry(reply.bytes) };
      this.parsed.set(reply, parsed);
      if (reply.bytes && !parsed.entry) {
        this.hub.emit({
          type: 'corrupt',
          domain: call.policy.domain,
          key: call.key,
          detail: 'no entry of this library',
        });
      }
    }
    return parsed;
  }

  private unpack(parsed: Parsed, values: ValueOptions, own: Codec | undefined) {
    if (!parsed.unpacked || !sameValues(parsed.values, values)) {
      parsed.values = values;
      parsed.unpacked = unpack(parsed.entry!, values, own, this.codecs);
    }
    return parsed.unpacked;
  }
}

function found(call: GuardedCall, entry: Entry | undefined, reply: ReadReply): Found {
  if (!entry) return reply.bytes ? 'corrupt' : undefined;
  if (entry.schema !== schemaOf(call.policy) && !(entry.flags & FLAG.removed)) return 'schema';
  return { entry, drift: driftOf(entry.stamps, reply.generations), sameEpoch: entry.epoch === reply.epoch };
}

export function ownCodec(call: GuardedCall): Codec | undefined {
  return typeof call.policy.codec === 'object' ? call.policy.codec : undefined;
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
    (sameValues(call.values, values) ? unpacked : await unpack(packed, values, ownCodec(call), codecs)).take();
}

function sameValues(a: ValueOptions | undefined, b: ValueOptions): boolean {
  return a === b || (a?.revive === b.revive && a?.plain === b.plain && a?.aliasing === b.aliasing);
}

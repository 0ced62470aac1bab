import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { decodeEntry, encodeEntry, type Entry } from '../../core/entry.js';
import type { Generation, GenerationName } from '../../core/generations.js';
import { entryKey, keySegment, type EntryKey } from '../../core/keys.js';
import type { AcquireReply, AcquireRequest, CommitReply, CommitRequest, Signal, Store } from '../../core/store.js';

/** What the suite needs of an adapter's test. */
export interface StoreHarness {
  /** One opened store without any data. Every case calls this once. */
  create(): Promise<Store>;
  /** A further opened store on the data of the last `create`, as another process has it; the same store if there is but one. */
  another(): Promise<Store>;
  /** Lets store time pass. */
  advance(ms: number): Promise<void>;
  /** How long the suite's short leases live: long against a command, short against the patience of whoever runs it. */
  readonly unitMs: number;
}

export interface ContractCase {
  readonly name: string;
  readonly run: (harness: StoreHarness) => Promise<void>;
}

export type Granted = Extract<AcquireReply, { kind: 'granted' }> & { readonly token: string; readonly key: EntryKey };
export type Outcome = CommitReply['outcome'];

/** One store under test, and short ways to say what a case does with it. */
export class Scenario {
  readonly unit: number;
  /** What a case is about, unless it says otherwise. */
  key = keyOf('gold');
  private serial = 0;

  private constructor(
    readonly store: Store,
    private readonly harness: StoreHarness,
  ) {
    this.unit = harness.unitMs;
  }

  static async on(harness: StoreHarness): Promise<Scenario> {
    return new Scenario(await harness.create(), harness);
  }

  another(): Promise<Store> {
    return this.harness.another();
  }

  pass(units: number): Promise<void> {
    return this.harness.advance(units * this.unit);
  }

  /** Exclusive, long enough for any case, unless said otherwise. */
  acquire(over: Partial<AcquireRequest> = {}, store = this.store): Promise<AcquireReply> {
    return store.acquire(this.request(over));
  }

  request(over: Partial<AcquireRequest> = {}): AcquireRequest {
    return {
      key: this.key,
      token: this.token(),
      generations: [],
      generationTtlMs: 1000 * this.unit,
      seenId: undefined,
      leaseMs: 1000 * this.unit,
      mode: 'exclusive',
      honourBackoff: false,
      ...over,
    };
  }

  async granted(over: Partial<AcquireRequest> = {}, store = this.store): Promise<Granted> {
    const request = this.request(over);
    const reply = await store.acquire(request);
    assert.ok(reply.kind === 'granted', `granted, not ${reply.kind}`);
    return { ...reply, token: request.token, key: request.key };
  }

  shared(over: Partial<AcquireRequest> = {}): Promise<Granted> {
    return this.granted({ mode: 'shared', ...over });
  }

  async refused(
    kind: Exclude<AcquireReply['kind'], 'granted'>,
    over: Partial<AcquireRequest> = {},
  ): Promise<AcquireReply> {
    const reply = await this.acquire(over);
    assert.equal(reply.kind, kind);
    return reply;
  }

  /** Fresh for 100 units, kept for 1000, begun at the grant, unless said otherwise. */
  entry(grant: Granted, over: Partial<Entry> = {}): Buffer {
    const beganMs = over.beganMs ?? Math.floor(grant.nowMs);
    return encodeEntry({
      id: this.id(),
      flags: 0,
      codec: 1,
      beganMs,
      softMs: beganMs + 100 * this.unit,
      hardMs: beganMs + 1000 * this.unit,
      loadMs: 1,
      version: undefined,
      etag: undefined,
      epoch: grant.epoch,
      schema: 1,
      whileRevalidateMs: 0,
      ifErrorMs: 0,
      stamps: [],
      provenance: 'contract',
      payload: Buffer.from('value'),
      ...over,
    });
  }

  commit(grant: Granted, bytes: Buffer, over: Partial<CommitRequest> = {}, store = this.store): Promise<CommitReply> {
    return store.commit({
      key: grant.key,
      token: grant.token,
      epoch: grant.epoch,
      kind: 'fill',
      seenId: undefined,
      bytes,
      hardMs: bytes.length === 0 ? Math.ceil(grant.nowMs) : hardOf(bytes),
      versionWindowMs: 1000 * this.unit,
      generations: [],
      ...over,
    });
  }

  async outcome(grant: Granted, bytes: Buffer, over: Partial<CommitRequest> = {}): Promise<Outcome> {
    return (await this.commit(grant, bytes, over)).outcome;
  }

  /** Acquires (beside whoever holds) and fills; resolves to the bytes. */
  async filled(over: Partial<Entry> = {}, key = this.key): Promise<Buffer> {
    const grant = await this.shared({ key });
    const bytes = this.entry(grant, over);
    assert.equal(await this.outcome(grant, bytes), 'committed');
    return bytes;
  }

  async bytes(key = this.key, store = this.store): Promise<Buffer | undefined> {
    return (await store.read(key, [])).bytes;
  }

  /** What is kept under the key, which must be there. */
  async kept(key = this.key): Promise<Buffer> {
    const bytes = await this.bytes(key);
    assert.ok(bytes, 'an entry is kept');
    return bytes;
  }

  async generation(name: GenerationName, store = this.store): Promise<Generation | undefined> {
    return (await store.read(this.key, [name])).generations.get(name);
  }

  listen(store: Store): Ear {
    return new Ear(store, this);
  }

  token(): string {
    return `contract.${++this.serial}`;
  }

  private id(): string {
    return (++this.serial).toString(16).padStart(16, '0');
  }
}

/** Hears what a store signals. */
export class Ear {
  private readonly heard: Signal[] = [];

  constructor(
    store: Store,
    private readonly scenario: Scenario,
  ) {
    store.onSignal((signal) => this.heard.push(signal));
  }

  async hears<K extends Signal['kind']>(kind: K, of: string, sinceMs = 0): Promise<Extract<Signal, { kind: K }>> {
    const deadline = performance.now() + 5_000;
    for (;;) {
      const found = this.all(of).find((signal) => signal.kind === kind && !isBefore(signal, sinceMs));
      if (found) return found as Extract<Signal, { kind: K }>;
      assert.ok(performance.now() < deadline, `a signal '${kind}' of ${of} arrives`);
      await setTimeout(2);
    }
  }

  /** The kinds that were signalled of a key, in order. Erases the key: its signal is the last that must have arrived. */
  async kinds(key: EntryKey): Promise<Signal['kind'][]> {
    const { nowMs } = await this.scenario.shared({ key });
    await this.scenario.store.invalidate(key, 'purge');
    const last = await this.hears('invalidated', key, nowMs);
    return this.all(key)
      .filter((signal) => signal !== last)
      .map(({ kind }) => kind);
  }

  private all(of: string): Signal[] {
    return this.heard.filter(
      (signal) => ('generation' in signal ? signal.generation : 'key' in signal && signal.key) === of,
    );
  }
}

function isBefore(signal: Signal, atMs: number): boolean {
  return 'atMs' in signal && signal.atMs < atMs;
}

export function keyOf(name: string, domain = 'offers'): EntryKey {
  return entryKey({ domain, segment: keySegment(name) });
}

export function idOf(bytes: Buffer): string {
  return decode(bytes).id;
}

export function hardOf(bytes: Buffer): number {
  return decode(bytes).hardMs;
}

export function decode(bytes: Buffer): Entry {
  const entry = decodeEntry(bytes);
  assert.ok(entry, 'the bytes are an entry');
  return entry;
}

export const NOTHING = Buffer.alloc(0);

import type { CodecSet } from '../core/codec.js';
import { DerivedKey, domainOf, type EntryKey } from '../core/keys.js';
import { isConfidential } from '../core/policy.js';
import type { Sealing } from '../core/sealing.js';
import { shapeOf } from '../core/shape.js';
import type { Store } from '../core/store.js';
import type { GuardedCall } from './call.js';

/** What made a value: enough to name its key to the source, and to call its method again. */
export interface CallRecord {
  /** The space of keys within the domain; `undefined`: the domain's own. */
  readonly name?: string | undefined;
  /** As the user gave it; a `DerivedKey` where it was made from all arguments. */
  readonly key: unknown;
  /** Of the guarded method; `undefined` where the value was put or loaded by hand, or they cannot be recorded. */
  readonly args?: readonly unknown[] | undefined;
}

/** What is written; `args: null` says that there were some. */
interface Written {
  readonly name: string | undefined;
  readonly key: { readonly given: unknown } | { readonly derived: readonly unknown[] } | undefined;
  readonly args: readonly unknown[] | null | undefined;
}

const MAX_BYTES = 4_096;
/** Longer than a load takes to be committed. */
const SPARE_MS = 60_000;

/**
 * Remembers by which calls the values came about that are cached, in the domains that need it: those whose values are compared with
 * the source, and those that are loaded again after an event that does not say with which arguments.
 */
export class CallRecords {
  private wanted: ReadonlySet<string> = new Set();

  constructor(
    private readonly store: Pick<Store, 'records'>,
    private readonly codecs: CodecSet,
    private readonly sealing: Pick<Sealing, 'encrypts' | 'sealNote' | 'openNote'>,
  ) {}

  /** Records also what is loaded in these domains from now on. */
  recordIn(domains: Iterable<string>): void {
    this.wanted = new Set(domains);
  }

  /** The record of a call that is about to be made: the method may change its arguments. `undefined`: none is needed. */
  take(call: GuardedCall): Buffer | undefined {
    const { policy } = call;
    if (!policy.reconcile && !this.wanted.has(policy.domain)) return undefined;
    // What is private is never loaded again in the background: nothing would be gained.
    if (policy.scope === 'private' || isConfidential(policy)) return undefined;
    const { name, keyInput, args } = call;
    // A route's key is made from a request, which cannot be made again.
    if (DerivedKey.is(keyInput) && keyInput.kind === 'route')
      return this.encode(call.key, { name, key: undefined, args: null });
    const key = DerivedKey.is(keyInput) ? { derived: keyInput.args } : { given: keyInput };
    return (
      this.encode(call.key, { name, key, args }) ??
      this.encode(call.key, { name, key, args: args && null }) ??
      this.encode(call.key, { name, key: undefined, args: args && null })
    );
  }

  /** To be called when a value was cached. Never throws, and nobody waits for it. */
  note(call: GuardedCall, record = this.take(call)): void {
    if (record) this.keep(call, record).catch(() => {});
  }

  /** In the order of the keys; `undefined` where nothing was recorded, or the key cannot be. @throws CacheGuardStoreError */
  async read(keys: readonly EntryKey[]): Promise<(CallRecord | undefined)[]> {
    const found = await this.written(keys);
    return found.map((one) => {
      if (!one?.key) return undefined;
      const key = 'derived' in one.key ? new DerivedKey(one.key.derived) : one.key.given;
      return { name: one.name, key, args: one.args ?? undefined };
    });
  }

  /**
   * The arguments of the call that made the value of a key; `undefined` where no call is known.
   *
   * @throws CacheGuardStoreError
   */
  async argumentsOf(key: EntryKey): Promise<readonly unknown[] | 'not-recordable' | undefined> {
    const [found] = await this.written([key]);
    return found?.args === null ? 'not-recordable' : found?.args;
  }

  private async keep({ key, policy, args }: GuardedCall, record: Buffer): Promise<void> {
    const { records } = this.store;
    // Whoever puts a value does not know by which call it is read: what is known of that stays known.
    const known = args ? undefined : (await records.get([key]))[0];
    const readable = known && this.open(key, known);
    await records.put(key, readable ? known : record, policy.hardTtlMs + policy.loadTimeoutMs + SPARE_MS);
  }

  /** `undefined`: something in it would not come back as it is, or it is too long. */
  private encode(key: EntryKey, written: Written): Buffer | undefined {
    try {
      if (shapeOf(written).kind === 'refused') return undefined;
      const bytes = this.codecs.forEncoding('json', 'rich').encode(written);
      if (bytes.length > MAX_BYTES) return undefined;
      const domain = domainOf(key);
      return this.sealing.encrypts(domain) ? this.sealing.sealNote(domain, placeOf(key), bytes) : bytes;
    } catch {
      // An argument may throw when it is looked at.
      return undefined;
    }
  }

  private async written(keys: readonly EntryKey[]): Promise<(Written | undefined)[]> {
    const records = await this.store.records.get(keys);
    return records.map((bytes, i) => bytes && this.decode(this.open(keys[i]!, bytes)));
  }

  private open(key: EntryKey, bytes: Buffer): Buffer | undefined {
    return this.sealing.encrypts(domainOf(key)) ? this.sealing.openNote(placeOf(key), bytes) : bytes;
  }

  private decode(bytes: Buffer | undefined): Written | undefined {
    if (!bytes) return undefined;
    try {
      const written = this.codecs.forEncoding('json', 'rich').decode(bytes) as Partial<Written>;
      const { name, key, args } = written;
      return { name, key, args: Array.isArray(args) || args === null ? (args as Written['args']) : undefined };
    } catch {
      return undefined;
    }
  }
}

function placeOf(key: EntryKey): string {
  return `record:${key}`;
}

import { decodeEntry, encodeEntry, FLAG, HEADER_BYTES, MAX_TEXT_BYTES, type Entry } from './entry.js';
import { CacheGuardConfigError } from './errors.js';
import type { EntryKey } from './keys.js';
import type { Policy } from './policy.js';

/** Authenticated encryption. What it throws shows nothing of what it was given. */
export interface Sealer {
  /** @param bound stays readable beside it, and cannot be exchanged */
  seal(plain: Buffer, bound: Buffer): Buffer;
  /** @throws Error that says why not */
  open(sealed: Buffer, bound: Buffer): Buffer;
}

type EncryptingPolicy = Pick<Policy, 'domain' | 'encrypt'>;

const NO_BYTES = Buffer.alloc(0);
const NO_ETAG = 0xffff;
const SOFT_AT = 18;
const TIME_BYTES = 6;
/** What invalidations change in the header of an entry that lies in the store: flags, soft expiry. The checksum follows the payload. */
const FLAGS_AT = 2;
const CHANGING_FLAGS = FLAG.marked | FLAG.removed;
const CRC_AT = 58;
const CRC_BYTES = 4;

/** What goes to the store, as the domain's policy says: readable, or encrypted and bound to its key. */
export class Sealing {
  constructor(
    private readonly sealer: Sealer | undefined,
    /** Whether the policy of a domain says so; `false` for one that is not known here. */
    readonly encrypts: (domain: string) => boolean,
  ) {}

  /** @throws CacheGuardConfigError (`CG_INVALID_POLICY`) for a policy that encrypts where there are no keys */
  check({ domain, encrypt }: EncryptingPolicy): void {
    if (!encrypt || this.sealer) return;
    throw new CacheGuardConfigError(
      'CG_INVALID_POLICY',
      `Cache domain '${domain}': encrypt = true is refused; give CacheGuardModule.forRoot({ encryption: { current, keys } }), or leave it out.`,
      { domain, field: 'encrypt' },
    );
  }

  /** @throws CacheGuardConfigError as `check`; RangeError for metadata that is too large */
  encode({ domain, encrypt }: EncryptingPolicy, key: EntryKey, entry: Entry): Buffer {
    if (!encrypt) return encodeEntry(entry);
    const open: Entry = { ...entry, sealed: true, etag: undefined, payload: NO_BYTES };
    const payload = this.need(domain).seal(inside(entry), boundTo(key, encodeEntry(open)));
    return encodeEntry({ ...open, payload });
  }

  /** The entry, or why there is none. Never throws, whatever the bytes. */
  decode({ encrypt }: EncryptingPolicy, key: EntryKey, bytes: Buffer): Entry | string {
    const entry = decodeEntry(bytes);
    // The checksum leaves the header out. Whatever is thrown to readers is an absence.
    if (!entry || (entry.flags & (FLAG.thrown | FLAG.negative)) === FLAG.thrown) return 'no entry of this library';
    // It says only that there is nothing; the store's scripts, which have no keys, write it.
    if (entry.flags & FLAG.removed) return entry;
    if (!encrypt) return entry.sealed ? 'encrypted, though its domain is not' : entry;
    if (!entry.sealed) return 'not encrypted, though its domain is';
    if (!this.sealer) return 'encrypted, and there are no keys';
    try {
      return { ...entry, sealed: undefined, ...insideOf(this.sealer.open(entry.payload, boundTo(key, bytes)), entry) };
    } catch (error) {
      return (error as Error).message;
    }
  }

  /**
   * For what is kept or handed over beside entries.
   *
   * @param place that it cannot be moved from
   * @throws CacheGuardConfigError as `check`
   */
  sealNote(domain: string, place: string, bytes: Buffer): Buffer {
    return this.need(domain).seal(bytes, boundNote(place));
  }

  /** `undefined` for what cannot be opened here, or is not from that place. Never throws. */
  openNote(place: string, bytes: Buffer): Buffer | undefined {
    try {
      return this.sealer?.open(bytes, boundNote(place));
    } catch {
      return undefined;
    }
  }

  private need(domain: string): Sealer {
    this.check({ domain, encrypt: true });
    return this.sealer!;
  }
}

/** What an encrypted entry does not show: its etag, which may be made from the value, and the payload. */
function inside({ etag, softMs, payload }: Entry): Buffer {
  const text = Buffer.from(etag ?? '', 'utf8');
  if (text.length > MAX_TEXT_BYTES) throw new RangeError('a text in entry metadata is too long');
  const head = Buffer.allocUnsafe(TIME_BYTES + 2);
  head.writeUIntBE(softMs, 0, TIME_BYTES);
  head.writeUInt16BE(etag === undefined ? NO_ETAG : text.length, TIME_BYTES);
  return Buffer.concat([head, text, payload]);
}

function insideOf(bytes: Buffer, { softMs }: Entry): Pick<Entry, 'softMs' | 'etag' | 'payload'> {
  const length = bytes.readUInt16BE(TIME_BYTES);
  const from = TIME_BYTES + 2;
  const to = from + (length === NO_ETAG ? 0 : length);
  return {
    // The header's may only have moved back, by an invalidation.
    softMs: Math.min(softMs, bytes.readUIntBE(0, TIME_BYTES)),
    etag: length === NO_ETAG ? undefined : bytes.toString('utf8', from, to),
    payload: bytes.subarray(to),
  };
}

/** All that the entry says about its payload, and where it lies. */
function boundTo(key: EntryKey, bytes: Buffer): Buffer {
  const head = Buffer.from(bytes.subarray(0, HEADER_BYTES + bytes.readUInt16BE(62)));
  head[FLAGS_AT]! &= ~CHANGING_FLAGS;
  head.fill(0, SOFT_AT, SOFT_AT + TIME_BYTES);
  head.fill(0, CRC_AT, CRC_AT + CRC_BYTES);
  return Buffer.concat([head, Buffer.from(key, 'utf8')]);
}

/** Entries begin with their magic byte, so that none passes for a note. */
function boundNote(place: string): Buffer {
  return Buffer.from(`note:${place}`, 'utf8');
}

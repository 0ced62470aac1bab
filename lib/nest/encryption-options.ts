import { AesSealer, KEY_BYTES } from '../adapters/encryption.js';
import { isRecord, type OptionsChecker } from '../core/field-checker.js';
import type { Sealer } from '../core/sealing.js';

/** The keys of domains with `encrypt: true`. */
export interface EncryptionOptions {
  /** The id of the key with which is written. */
  readonly current: string;
  /**
   * By their ids, 1 to 32 letters, digits, `_`, `.` and `-`, which are readable in the store: 32 random bytes each, as such or as base64.
   * What was written with any of them can be read.
   */
  readonly keys: Readonly<Record<string, string | Uint8Array>>;
}

const KEY_ID = /^[A-Za-z0-9_.-]{1,32}$/;
const BASE64 = /^[A-Za-z0-9+/]{43}=$/;
const MEND = '32 random bytes, as a Buffer or as base64 (openssl rand -base64 32)';

/** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`), which shows nothing of any key */
export function readEncryption(check: OptionsChecker, given: unknown, namespace: string): Sealer | undefined {
  if (given === undefined) return undefined;
  if (!isRecord(given)) check.failSecret('encryption', given, 'give an object with current and keys');
  for (const [field, value] of Object.entries(given as object)) {
    if (field !== 'current' && field !== 'keys')
      check.failSecret(`encryption.${field}`, value, 'the fields are current, keys');
  }
  const { current, keys } = given as Readonly<Record<string, unknown>>;
  if (!isRecord(keys)) check.failSecret('encryption.keys', keys, `give an object from ids to keys: ${MEND}`);
  const known = new Map<string, Uint8Array>();
  for (const [id, key] of Object.entries(keys as object)) {
    // Somebody may have taken id for key.
    if (!KEY_ID.test(id)) check.failAs('encryption.keys', '(an id)', 'give ids of 1 to 32 letters, digits, _, . and -');
    known.set(id, keyOf(key) ?? check.failSecret(`encryption.keys.${id}`, key, `give ${MEND}`));
  }
  if (typeof current !== 'string' || !known.has(current)) {
    check.failSecret('encryption.current', current, `name one of ${[...known.keys()].join(', ') || 'the keys'}`);
  }
  return new AesSealer(current, known, namespace);
}

function keyOf(given: unknown): Uint8Array | undefined {
  const bytes = typeof given === 'string' && BASE64.test(given) ? Buffer.from(given, 'base64') : given;
  return bytes instanceof Uint8Array && bytes.length === KEY_BYTES ? bytes : undefined;
}

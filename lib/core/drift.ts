import { decodeEntry, FLAG, type Entry } from './entry.js';
import { describeValue } from './errors.js';
import { MAX_VERSION } from './version.js';

/** What the source says of a key: its version (an order), its etag (equality only), or that it does not exist. */
export type SourceVersion = bigint | string | undefined;

/** What a comparison with the source needs of an entry. Without its payload: many are held at a time. */
export interface KeptVersion extends Pick<Entry, 'id' | 'beganMs' | 'version' | 'etag' | 'stamps'> {
  readonly negative: boolean;
}

/** `undefined`: no entry, or one that readers do not take for current anyway. */
export function keptVersionOf(
  bytes: Buffer | undefined,
  decode: (bytes: Buffer) => Entry | string | undefined = decodeEntry,
): KeptVersion | undefined {
  const entry = bytes && decode(bytes);
  if (typeof entry !== 'object' || entry.flags & (FLAG.hitForMiss | FLAG.removed | FLAG.marked)) return undefined;
  const { id, beganMs, version, etag, stamps, flags } = entry;
  return { id, beganMs, version, etag, stamps, negative: (flags & FLAG.negative) !== 0 };
}

/** `unknown`: nothing in the two can be compared. */
export type Comparison = 'current' | 'drifted' | 'unknown';

/**
 * What is cached beside what the source says. A newer version than the source's is current: the answer may be that of a replica which
 * lags. A version decides before existence does, since a policy may take for absent what the source has.
 */
export function compareWithSource(
  { version, etag, negative }: Pick<KeptVersion, 'version' | 'etag' | 'negative'>,
  says: SourceVersion,
): Comparison {
  if (says === undefined) return negative ? 'current' : 'drifted';
  if (typeof says === 'bigint' && version !== undefined) return version < says ? 'drifted' : 'current';
  if (typeof says === 'string' && etag !== undefined) return etag === says ? 'current' : 'drifted';
  return negative ? 'drifted' : 'unknown';
}

/**
 * Whether what is cached by now is still old, when what was `compared` had drifted. Of two that have no order the later one counts: what
 * was loaded after the source was asked may know more than its answer.
 *
 * @param askedMs store time
 */
export function isStillOld(now: KeptVersion, compared: KeptVersion, says: SourceVersion, askedMs: number): boolean {
  if (now.id === compared.id) return true;
  const ordered = typeof says === 'bigint' && now.version !== undefined;
  return compareWithSource(now, says) === 'drifted' && (ordered || now.beganMs < askedMs);
}

/** What is wrong with an answer of `versions`, for an error; it names no key and no version. */
export interface WrongAnswer {
  readonly wrong: string;
}

/** The answer to a question for so many keys, if it is one. Never throws, whatever was answered. */
export function readVersions(given: unknown, count: number): readonly SourceVersion[] | WrongAnswer {
  if (!Array.isArray(given)) return { wrong: `gave ${describeValue(given)}; give a list` };
  // A copy: what the user's code still holds may change.
  const list: readonly unknown[] = Array.from(given);
  if (list.length !== count) {
    return { wrong: `gave ${list.length} versions for ${count} keys; give one for each key, in their order` };
  }
  const at = list.findIndex((one) => !isSourceVersion(one));
  if (at < 0) return list as readonly SourceVersion[];
  return {
    wrong: `gave ${describeValue(list[at])} at place ${at}; give a bigint from 0 to 2^64 - 1, a text, or undefined`,
  };
}

function isSourceVersion(given: unknown): given is SourceVersion {
  if (typeof given === 'bigint') return given >= 0n && given <= MAX_VERSION;
  return given === undefined || typeof given === 'string';
}

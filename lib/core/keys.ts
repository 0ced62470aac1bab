import { types } from 'node:util';
import { digest } from './canonical.js';
import { CacheGuardError, describeValue } from './errors.js';
import type { GenerationName } from './generations.js';

/** What a user's `key` may give. Scalars stay readable in the store where they are short and harmless, all else is hashed. */
export type KeyPart = string | number | bigint | boolean | Date | readonly unknown[] | object;

/** A key as the store knows it: `<domain>:<name>:<partition>:<key>`, at most about 250 characters of a safe alphabet. */
export type EntryKey = string;

/** Longer texts may be tokens, and eight digits a card, an account or a telephone: those are hashed. */
const READABLE = /^(?!(?:\D*\d){8})[A-Za-z0-9_.-]{1,24}$/;
/** Names come from the code and hold no secrets. */
const READABLE_NAME = /^[A-Za-z0-9_.-]{1,64}$/;

function segment(value: unknown, readable = READABLE): string {
  if (typeof value === 'string' && readable.test(value)) return `s.${value}`;
  if (typeof value === 'number' && Number.isSafeInteger(value) && readable.test(String(value))) return `n.${value}`;
  if (typeof value === 'bigint' && readable.test(String(value))) return `i.${value}`;
  if (typeof value === 'boolean') return `b.${value}`;
  return `h.${digest(value, 'key')}`;
}

/** A key made from a call's arguments, in the form of a key that was given; `argsKey(a, b)` names what a guarded `method(a, b)` cached. */
export class DerivedKey {
  readonly #args: readonly unknown[];

  constructor(args: readonly unknown[]) {
    this.#args = args;
  }

  get args(): readonly unknown[] {
    return this.#args;
  }

  /** Unlike `instanceof`, runs no trap of a proxy. */
  static is(value: unknown): value is DerivedKey {
    return typeof value === 'object' && value !== null && #args in value;
  }
}

/** The derived key of a guarded method without a `key` of its own, to invalidate or refresh it by its `name`. */
export function argsKey(...args: readonly unknown[]): DerivedKey {
  return new DerivedKey(args);
}

/**
 * The segment for a key that the user gave.
 *
 * @throws CacheGuardError (`CG_UNUSABLE_KEY`) for `undefined`, `null`, `''`, `NaN`, an invalid date and whatever has no stable content
 */
export function keySegment(value: unknown): string {
  if (DerivedKey.is(value)) return derivedKey(value.args);
  const time = types.isDate(value) ? Date.prototype.getTime.call(value) : value;
  if (time === undefined || time === null || time === '' || Number.isNaN(time)) {
    throw new CacheGuardError(
      'CG_UNUSABLE_KEY',
      `The cache key is ${describeValue(value)}; a key must name what is cached.`,
    );
  }
  return segment(value);
}

/** Trailing `undefined` arguments do not count: `f(a)` and `f(a, undefined)` are one call. */
function derivedKey(args: readonly unknown[]): string {
  let length = args.length;
  while (length > 0 && args[length - 1] === undefined) length--;
  if (length === 0) return 'none';
  return length === 1 ? segment(args[0]) : `h.${digest(args.slice(0, length), 'arguments')}`;
}

export interface EntryKeyParts {
  readonly domain: string;
  /** The method's name, or empty for the domain's own space. */
  readonly name?: string | undefined;
  readonly partition?: string | undefined;
  /** From `keySegment`. */
  readonly segment: string;
}

export function entryKey({ domain, name, partition, segment: last }: EntryKeyParts): EntryKey {
  return `${domain}:${name ? segment(name, READABLE_NAME) : ''}:${partition === undefined ? '' : segment(partition)}:${last}`;
}

/** The domain of a key: its first part, which has no colon. */
export function domainOf(key: EntryKey): string {
  return key.slice(0, key.indexOf(':'));
}

export function domainGeneration(domain: string): GenerationName {
  return `d:${domain}`;
}

/** @throws CacheGuardError (`CG_UNUSABLE_KEY`) for a tag that is no text or number, or empty or `NaN` */
export function tagGeneration(domain: string, tag: unknown): GenerationName {
  if ((typeof tag !== 'string' && typeof tag !== 'number') || tag === '' || Number.isNaN(tag)) {
    throw new CacheGuardError(
      'CG_UNUSABLE_KEY',
      `A tag of domain '${domain}' is ${describeValue(tag)}; tags are texts or numbers.`,
      {
        domain,
      },
    );
  }
  return `t:${domain}:${segment(String(tag))}`;
}

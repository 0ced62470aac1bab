import { types } from 'node:util';
import { digest } from './canonical.js';
import { CacheGuardError, describeValue, kindOf } from './errors.js';
import type { GenerationName } from './generations.js';
import type { HideSegment } from './key-hiding.js';

/** What a user's `key` may give. Scalars stay readable in the store where they are short and harmless, all else is hashed. */
export type KeyPart = string | number | bigint | boolean | Date | readonly unknown[] | object;

/**
 * A key as the store knows it: `<domain>:<name>:<partition>:<key>`, and `<domain>:<name>:<partition>:<principal>:<key>` where it is
 * private; at most about 300 characters of a safe alphabet. No part has a colon, so that no key of one form is one of the other.
 */
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

  /** @param kind what the arguments are, so that equal ones of another kind give another key */
  constructor(
    args: readonly unknown[],
    readonly kind: 'arguments' | 'route' = 'arguments',
  ) {
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
  if (DerivedKey.is(value)) return value.kind === 'route' ? `h.${digest(value.args, 'route')}` : derivedKey(value.args);
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
  /** Whose it is, where it is private. */
  readonly principal?: string | undefined;
  /** From `keySegment`. */
  readonly segment: string;
}

/** @param hide where key names may show nothing of what they are made from; names come from the code and stay as they are */
export function entryKey(
  { domain, name, partition, principal, segment: last }: EntryKeyParts,
  hide: HideSegment = asItIs,
): EntryKey {
  const space = name ? segment(name, READABLE_NAME) : '';
  const shared = `${domain}:${space}:${partition === undefined ? '' : hide(segment(partition), 'partition')}`;
  return principal === undefined
    ? `${shared}:${hide(last, 'key')}`
    : `${shared}:${hide(segment(principal), 'principal')}:${hide(last, 'key')}`;
}

/** Whether a key ends in this segment. @param hide as for `entryKey` */
export function endsIn(key: EntryKey, last: string, hide: HideSegment = asItIs): boolean {
  return key.slice(key.lastIndexOf(':') + 1) === hide(last, 'key');
}

function asItIs(given: string): string {
  return given;
}

/** The domain of a key: its first part, which has no colon. */
export function domainOf(key: EntryKey): string {
  return key.slice(0, key.indexOf(':'));
}

export function domainGeneration(domain: string): GenerationName {
  return `d:${domain}`;
}

/** @throws CacheGuardError (`CG_UNUSABLE_KEY`) for a tag that is no text or number, or empty or `NaN` */
export function tagGeneration(domain: string, tag: unknown, hide: HideSegment = asItIs): GenerationName {
  if ((typeof tag !== 'string' && typeof tag !== 'number') || tag === '' || Number.isNaN(tag)) {
    throw new CacheGuardError(
      'CG_UNUSABLE_KEY',
      `A tag of domain '${domain}' is ${kindOf(tag)}; tags are texts or numbers.`,
      {
        domain,
      },
    );
  }
  return `t:${domain}:${hide(segment(String(tag)), 'tag')}`;
}

import type { KeyObject } from 'node:crypto';
import { CacheGuardError, errorKind, kindOf, isCacheGuardError } from '../core/errors.js';
import type { GenerationName } from '../core/generations.js';
import { keyedHiding, type HideSegment } from '../core/key-hiding.js';
import { endsIn, entryKey, keySegment, tagGeneration, type EntryKey } from '../core/keys.js';
import { askPartition } from '../core/partition.js';
import type { Policy } from '../core/policy.js';
import { describePrincipal, isPrincipal } from '../core/principals.js';
import type { KeyTarget, OwnerTarget } from '../core/targets.js';
import type { Domains } from './domains.js';
import type { EventHub } from './event-hub.js';

/** Who a call is made for, as the application says. May throw, and may give anything. */
export type AskPrincipal = () => unknown;

export interface KeyMeansGiven {
  readonly principal?: AskPrincipal | undefined;
  readonly keySecret?: KeyObject | undefined;
}

/** Turns what users name into the names of the store: whose it is, and hidden where the policy says so. */
export class KeyMaker {
  private readonly hiding = new Map<string, HideSegment>();

  constructor(
    private readonly domains: Pick<Domains, 'policy'>,
    private readonly hub: EventHub,
    private readonly given: KeyMeansGiven,
  ) {}

  /**
   * Whose the key is. `undefined`: nobody can tell, so nothing may be shared.
   *
   * @throws CacheGuardError (`CG_UNUSABLE_KEY`)
   */
  owner({ domain }: Policy, target: OwnerTarget): string | undefined {
    if (target.principal !== undefined) return checkedPrincipal(domain, target.principal);
    let asked: unknown;
    let error: string | undefined;
    try {
      if (!Object.hasOwn(target, 'principal')) asked = this.given.principal?.();
    } catch (thrown) {
      // Nobody is logged in, and the function reads the name of his.
      error = errorKind(thrown);
    }
    if (asked !== undefined) return checkedPrincipal(domain, asked);
    this.hub.emit({ type: 'no-principal', domain, error });
    return undefined;
  }

  /** Who has called, if somebody has and that can be told. Never throws. */
  caller(): string | undefined {
    try {
      const asked = this.given.principal?.();
      return isPrincipal(asked) ? asked : undefined;
    } catch {
      return undefined;
    }
  }

  /** Whether values of `principal` may be read and written here: by himself, and by who is nobody, but not where that cannot be told. */
  mayBe(principal: string): boolean {
    try {
      const asked = this.given.principal?.();
      return asked === undefined || asked === principal;
    } catch {
      return false;
    }
  }

  /**
   * @param principal of a private key
   * @returns `undefined`: nobody says which partition this is
   * @throws CacheGuardError (`CG_UNUSABLE_KEY`)
   */
  key(policy: Policy, { domain, name, key }: KeyTarget, principal: string | undefined): EntryKey | undefined {
    const segment = segmentOf(domain, key);
    const hide = policy.hashKeys ? this.hide(domain) : undefined;
    if (!policy.partition) return entryKey({ domain, name, principal, segment }, hide);
    const { given: partition, error } = askPartition(policy.partition);
    if (partition === undefined) {
      this.hub.emit({ type: 'unpartitioned', domain, error });
      return undefined;
    }
    if (typeof partition === 'string' && partition !== '')
      return entryKey({ domain, name, partition, principal, segment }, hide);
    throw new CacheGuardError(
      'CG_UNUSABLE_KEY',
      `Domain '${domain}': partition() gave ${kindOf(partition)}; give a text that is not empty.`,
      { domain, field: 'partition' },
    );
  }

  /** Whether `part` makes this key of the policy's domain still. Never throws. */
  isStill({ domain, hashKeys }: Policy, key: EntryKey, part: () => unknown): boolean {
    try {
      return endsIn(key, keySegment(part()), hashKeys ? this.hide(domain) : undefined);
    } catch {
      return false;
    }
  }

  /** @throws CacheGuardError (`CG_UNUSABLE_KEY`) */
  tag(domain: string, tag: unknown): GenerationName {
    return tagGeneration(domain, tag, this.domains.policy(domain).hashKeys ? this.hide(domain) : undefined);
  }

  /** @throws CacheGuardError (`CG_UNUSABLE_KEY`) */
  tags(domain: string, tags: readonly string[]): GenerationName[] {
    return [...new Set(listed(domain, 'tags', tags).map((tag) => this.tag(domain, tag)))];
  }

  private hide(domain: string): HideSegment {
    let hide = this.hiding.get(domain);
    // Without a secret the application was not started.
    if (!hide) this.hiding.set(domain, (hide = keyedHiding(this.given.keySecret!, domain)));
    return hide;
  }
}

/** @throws CacheGuardError (`CG_UNUSABLE_KEY`) for what is no list */
export function listed<T>(domain: string, field: 'keys' | 'tags', given: readonly T[]): readonly T[] {
  if (Array.isArray(given)) return given;
  const message = `Domain '${domain}': ${field} = ${kindOf(given)} is refused; give a list of ${field}.`;
  throw new CacheGuardError('CG_UNUSABLE_KEY', message, { domain, field });
}

function checkedPrincipal(domain: string, principal: unknown): string {
  if (isPrincipal(principal)) return principal;
  throw new CacheGuardError(
    'CG_UNUSABLE_KEY',
    `Domain '${domain}': the principal is ${describePrincipal(principal)}; give a text that names him, at once and not as a promise, or undefined.`,
    { domain, field: 'principal' },
  );
}

function segmentOf(domain: string, key: unknown): string {
  try {
    return keySegment(key);
  } catch (error) {
    if (!isCacheGuardError(error)) throw error;
    throw new CacheGuardError(error.code, `Domain '${domain}': ${error.message}`, {
      domain,
      field: 'key',
      cause: error.cause,
    });
  }
}

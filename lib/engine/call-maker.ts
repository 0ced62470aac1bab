import { CacheGuardError, describeValue, isCacheGuardError } from '../core/errors.js';
import type { GenerationName } from '../core/generations.js';
import { domainGeneration, entryKey, keySegment, tagGeneration, type EntryKey } from '../core/keys.js';
import type { Policy } from '../core/policy.js';
import type { KeyTarget, LoadContext, ReadTarget } from '../core/targets.js';
import type { ValueOptions } from '../core/values.js';
import { METHOD_ARGS, type GuardedCall, type MethodTarget } from './call.js';
import type { Domains } from './domains.js';
import type { EventHub } from './event-hub.js';
import type { SourceHealth } from './events/source-health.js';
import type { Sessions } from './session.js';

const NO_OPTIONS: ValueOptions = {};

export type Loader<T> = (context: LoadContext<T>) => Promise<T>;

/** Works out what a target means: the policy in force, the key, the generations. */
export class CallMaker {
  private readonly ofDomain = new Map<string, readonly GenerationName[]>();

  constructor(
    private readonly domains: Domains,
    private readonly hub: EventHub,
    private readonly sourceHealth: Pick<SourceHealth, 'inForce'>,
    private readonly sessions: Pick<Sessions, 'markOf'>,
  ) {}

  /**
   * `undefined`: the domain is partitioned and nobody says which partition this is, so nothing may be shared.
   *
   * @throws CacheGuardError (`CG_UNKNOWN_DOMAIN`, `CG_INVALID_POLICY`, `CG_UNUSABLE_KEY`)
   */
  call<T>(target: ReadTarget<T>, load: Loader<T> = nothingToLoad): GuardedCall | undefined {
    const policy = this.sourceHealth.inForce(this.domains.policy(target.domain, target, target.origin));
    const key = this.key(policy, target);
    if (key === undefined) return undefined;
    const { domain, tags, revive, plain, aliasing } = target;
    const plainly = revive === undefined && plain === undefined && aliasing === undefined;
    return {
      policy,
      key,
      keyInput: target.key,
      name: target.name,
      args: (target as MethodTarget<T>)[METHOD_ARGS],
      generations:
        tags === undefined ? this.untagged(domain) : [domainGeneration(domain), ...tagGenerations(domain, tags)],
      values: plainly ? NO_OPTIONS : { revive, plain, aliasing },
      origin: target.origin ?? target.name ?? 'getOrLoad',
      signal: target.signal,
      mark: this.sessions.markOf(domain),
      load,
    };
  }

  /** One list for all calls without tags: a hit pays for none of its own. */
  private untagged(domain: string): readonly GenerationName[] {
    let generations = this.ofDomain.get(domain);
    if (!generations) this.ofDomain.set(domain, (generations = [domainGeneration(domain)]));
    return generations;
  }

  /** As `call`, where going on without a partition would do something else than what was asked for. */
  callOrRefuse<T>(target: ReadTarget<T>): GuardedCall {
    return this.call(target) ?? this.refuse(target.domain);
  }

  /** As `callOrRefuse`, for the key alone. */
  keyOrRefuse(policy: Policy, target: KeyTarget): EntryKey {
    return this.key(policy, target) ?? this.refuse(policy.domain);
  }

  private key(policy: Policy, { domain, name, key }: KeyTarget): EntryKey | undefined {
    const segment = segmentOf(domain, key);
    if (!policy.partition) return entryKey({ domain, name, segment });
    const partition = policy.partition();
    if (partition === undefined) {
      this.hub.emit({ type: 'unpartitioned', domain });
      return undefined;
    }
    if (typeof partition === 'string' && partition !== '') return entryKey({ domain, name, partition, segment });
    throw new CacheGuardError(
      'CG_UNUSABLE_KEY',
      `Domain '${domain}': partition() gave ${describeValue(partition)}; give a text that is not empty.`,
      { domain, field: 'partition' },
    );
  }

  private refuse(domain: string): never {
    throw new CacheGuardError(
      'CG_UNUSABLE_KEY',
      `Domain '${domain}' is partitioned, but partition() gave nothing here; call it within its context.`,
      { domain, field: 'partition' },
    );
  }
}

/** @throws CacheGuardError (`CG_UNUSABLE_KEY`) */
export function tagGenerations(domain: string, tags: readonly string[]): GenerationName[] {
  if (Array.isArray(tags)) return [...new Set(tags.map((tag) => tagGeneration(domain, tag)))];
  throw new CacheGuardError(
    'CG_UNUSABLE_KEY',
    `Domain '${domain}': tags = ${describeValue(tags)} is refused; give a list of texts.`,
    {
      domain,
      field: 'tags',
    },
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

function nothingToLoad(): Promise<never> {
  return Promise.reject(new TypeError('this call does not load'));
}

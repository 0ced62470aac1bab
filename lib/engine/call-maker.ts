import { CacheGuardError } from '../core/errors.js';
import type { GenerationName } from '../core/generations.js';
import { DerivedKey, domainGeneration, type EntryKey } from '../core/keys.js';
import { askPartition } from '../core/partition.js';
import type { Policy } from '../core/policy.js';
import type { KeyTarget, ReadTarget } from '../core/targets.js';
import type { ValueOptions } from '../core/values.js';
import { KEY_AGAIN, METHOD_ARGS, ON_SERVED, type GuardedCall, type MethodTarget } from './call.js';
import type { Domains } from './domains.js';
import type { SourceHealth } from './events/source-health.js';
import type { KeyMaker } from './key-maker.js';
import type { LoadDirectives } from './load-frames.js';
import { loaderOf, type Loader } from './projecting.js';
import type { Sessions } from './session.js';

const NO_OPTIONS: ValueOptions = {};

/** Works out what a target means: the policy in force, the key, the generations. */
export class CallMaker {
  private readonly ofDomain = new Map<string, readonly GenerationName[]>();

  constructor(
    private readonly domains: Domains,
    private readonly keys: KeyMaker,
    private readonly sourceHealth: Pick<SourceHealth, 'inForce'>,
    private readonly sessions: Pick<Sessions, 'markOf'>,
  ) {}

  /**
   * `undefined`: the domain is partitioned, or the value private, and nobody says whose this is, so nothing may be shared.
   *
   * @throws CacheGuardError (`CG_UNKNOWN_DOMAIN`, `CG_INVALID_POLICY`, `CG_UNUSABLE_KEY`)
   */
  call<T>(target: ReadTarget<T>, load: Loader<T> = nothingToLoad): GuardedCall | undefined {
    const { principal } = target;
    if (principal !== undefined && !this.keys.mayBe(principal)) refuseOther(target.domain);
    return this.callAbout(target, load);
  }

  /** As `call`, also for another principal than the caller: nothing is read for him or loaded by him. */
  private callAbout<T>(target: ReadTarget<T>, load: Loader<T> = nothingToLoad): GuardedCall | undefined {
    const policy = this.sourceHealth.inForce(this.policy(target));
    const owner = policy.scope === 'private' ? this.keys.owner(policy, target) : undefined;
    if (policy.scope === 'private' && owner === undefined) return undefined;
    const key = this.keys.key(policy, target, owner);
    if (key === undefined) return undefined;
    const { domain, tags, revive, plain, aliasing } = target;
    const plainly = revive === undefined && plain === undefined && aliasing === undefined;
    return {
      policy,
      key,
      principal: owner,
      keyInput: target.key,
      name: target.name,
      args: (target as MethodTarget<T>)[METHOD_ARGS],
      generations:
        tags === undefined ? this.untagged(domain) : [domainGeneration(domain), ...this.keys.tags(domain, tags)],
      values: plainly ? NO_OPTIONS : { revive, plain, aliasing },
      origin: target.origin ?? target.name ?? 'getOrLoad',
      signal: target.signal,
      mark: this.sessions.markOf(domain),
      onServed: (target as MethodTarget<T>)[ON_SERVED],
      project: target.project,
      load: loaderOf(target, this.watching(target, policy, key, load)),
    };
  }

  /** A load may run long after its key was made, and with the same objects. */
  private watching<T>(target: ReadTarget<T>, policy: Policy, key: EntryKey, load: Loader<T>): Loader<T> {
    const again = (target as MethodTarget<T>)[KEY_AGAIN] ?? (isMutable(target.key) ? () => target.key : undefined);
    if (!again) return load;
    return (context) => {
      if (!this.keys.isStill(policy, key, again)) (context as Partial<LoadDirectives>).strayed = true;
      return load(context);
    };
  }

  /** As `call`, where that is `undefined`: for a load that nothing is kept of, and that nobody joins. */
  unkeyed<T>(target: ReadTarget<T>, load: Loader<T>): GuardedCall {
    return {
      policy: this.sourceHealth.inForce(this.policy(target)),
      key: '',
      keyInput: target.key,
      generations: [],
      values: NO_OPTIONS,
      origin: target.origin ?? target.name ?? 'getOrLoad',
      signal: target.signal,
      load: loaderOf(target, load),
    };
  }

  private policy(target: KeyTarget & { readonly origin?: string | undefined }): Policy {
    // Whoever names nobody, because he does not know whose it is, has said all the same that it is somebody's.
    const overrides = Object.hasOwn(target, 'principal') ? { ...target, scope: 'private' as const } : target;
    return this.domains.policy(target.domain, overrides, target.origin);
  }

  /** One list for all calls without tags: a hit pays for none of its own. */
  private untagged(domain: string): readonly GenerationName[] {
    let generations = this.ofDomain.get(domain);
    if (!generations) this.ofDomain.set(domain, (generations = [domainGeneration(domain)]));
    return generations;
  }

  /** As `call`, where going on without knowing whose it is would do something else than what was asked for. */
  callOrRefuse<T>(target: ReadTarget<T>): GuardedCall {
    return this.call(target) ?? refuseUnknown(this.policy(target));
  }

  /** As `callOrRefuse`, to look at what is kept, whosever it is. */
  lookOrRefuse<T>(target: ReadTarget<T>): GuardedCall {
    return this.callAbout(target) ?? refuseUnknown(this.policy(target));
  }

  /** As `callOrRefuse`, for the key alone, whosever it is. @param policy the domain's; the target may narrow its scope */
  keyOrRefuse(policy: Policy, target: KeyTarget): EntryKey {
    const owned = this.policy(target).scope === 'private';
    const owner = owned ? this.keys.owner(policy, target) : undefined;
    const key = owned && owner === undefined ? undefined : this.keys.key(policy, target, owner);
    return key ?? refuseUnknown(policy);
  }
}

function isMutable(key: unknown): boolean {
  return DerivedKey.is(key) ? key.args.some(isObject) : isObject(key);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function refuseUnknown({ domain, partition }: Policy): never {
  if (partition && askPartition(partition).given === undefined) {
    throw new CacheGuardError(
      'CG_UNUSABLE_KEY',
      `Domain '${domain}' is partitioned, but partition() gave nothing here; call it within its context.`,
      { domain, field: 'partition' },
    );
  }
  const mend = 'call it within the context of its principal, or name him in the target';
  const message = `Domain '${domain}': whose key is meant is not known here, and it is private; ${mend}.`;
  throw new CacheGuardError('CG_UNUSABLE_KEY', message, { domain, field: 'principal' });
}

function refuseOther(domain: string): never {
  throw new CacheGuardError(
    'CG_UNUSABLE_KEY',
    `Domain '${domain}': the target names another principal than the caller is, as far as that can be told; a value of his is read and written in his own name only.`,
    { domain, field: 'principal' },
  );
}

function nothingToLoad(): Promise<never> {
  return Promise.reject(new TypeError('this call does not load'));
}

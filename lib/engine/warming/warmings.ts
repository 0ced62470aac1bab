import { digest } from '../../core/canonical.js';
import { CacheGuardConfigError, CacheGuardError } from '../../core/errors.js';
import type { KeyPart } from '../../core/keys.js';
import { askPartition } from '../../core/partition.js';
import type { Policy } from '../../core/policy.js';
import type { LoadContext, ReadTarget } from '../../core/targets.js';
import { readWarming, type WarmingInput, type WarmingOptions, type WarmingPlan } from '../../core/warming.js';
import type { Domains } from '../domains.js';
import { Duties } from '../duty.js';
import type { EngineParts } from '../engine-parts.js';
import { Warming } from './warming.js';

type Read = (target: ReadTarget, load: (context: LoadContext) => Promise<unknown>) => Promise<unknown>;

/** The warmings of one process. */
export class Warmings {
  private readonly underway = new Set<Warming>();
  private readonly duties: Duties;
  private closed = false;

  constructor(
    private readonly parts: EngineParts,
    private readonly domains: Domains,
    private readonly read: Read,
  ) {
    this.duties = new Duties(parts);
  }

  /** @throws CacheGuardError (`CG_INVALID_OPTIONS`, `CG_UNKNOWN_DOMAIN`, `CG_UNUSABLE_KEY`) */
  start(options: WarmingOptions): Warming {
    const plan = readWarming(options);
    const { name, domain } = plan;
    const policy = this.domains.policy(domain, undefined, `warming '${name}'`);
    if (policy.keep === 'nothing') {
      throw new CacheGuardConfigError(
        'CG_INVALID_OPTIONS',
        `Warming '${name}': domain '${domain}' keeps nothing (stalePolicy 'no-store'); there is nothing to warm.`,
        { domain, field: 'warming.domain' },
      );
    }
    if (policy.scope === 'private' && this.parts.keys.caller() === undefined) {
      throw new CacheGuardError(
        'CG_UNUSABLE_KEY',
        `Warming '${name}': domain '${domain}' is private, and whose values are meant is not known here; warm them within their context.`,
        { domain, field: 'principal' },
      );
    }
    if (policy.partition && askPartition(policy.partition).given === undefined) {
      throw new CacheGuardError(
        'CG_UNUSABLE_KEY',
        `Warming '${name}': domain '${domain}' is partitioned, but partition() gave nothing here; warm it within its context.`,
        { domain, field: 'partition' },
      );
    }
    // At most half, so that a person who comes meanwhile finds a place.
    const concurrency = Math.min(plan.concurrency, Math.max(1, Math.floor(policy.concurrency / 2)));
    const { signal = this.closed ? AbortSignal.abort() : undefined, onProgress } = options;
    const { parts, duties } = this;
    const call = (input: WarmingInput, item: unknown) => this.call(name, domain, input, item);
    const rooms = { parts, duties, duty: this.dutyOf(plan, policy), call };
    const warming = new Warming({ ...plan, concurrency }, rooms, { signal, onProgress });
    this.underway.add(warming);
    void warming.done.finally(() => this.underway.delete(warming));
    return warming;
  }

  /** Nothing more is begun from now on; resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.underway].map((warming) => warming.stop()));
  }

  /** What is somebody's, or of one partition, is warmed for each of them. Whose it is stays out of the name: errors show that. */
  private dutyOf({ name, domain, tiers }: WarmingPlan, policy: Policy): string {
    const { keys } = this.parts;
    const mayBeOwn =
      policy.scope === 'private' || (this.domains.isNarrowed(domain) && tiers.some((tier) => 'method' in tier));
    const owner = mayBeOwn ? keys.caller() : undefined;
    if (owner === undefined && !policy.partition) return `warming.${name}`;
    return `warming.${name}.${digest(keys.key(policy, { domain, key: name }, owner), 'warming')}`;
  }

  private async call(name: string, domain: string, input: WarmingInput, item: unknown): Promise<unknown> {
    if ('keys' in input) {
      const key = item as never;
      const target = { domain, key: key as KeyPart, name: input.space, origin: `warming ${name}` };
      return this.read(input.tags ? { ...target, tags: input.tags(key) } : target, (context) =>
        input.load(key, context),
      );
    }
    const { host, method } = input;
    if (Array.isArray(item))
      return (host as Record<string, (...args: unknown[]) => unknown>)[method]!(...(item as unknown[]));
    throw new CacheGuardConfigError(
      'CG_INVALID_OPTIONS',
      `Warming '${name}': an item of args that is no list (${typeof item}) is refused; give lists of arguments, such as ['gold'].`,
      { domain, field: 'warming.args' },
    );
  }
}

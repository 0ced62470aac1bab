import type { Clock } from '../../core/clock.js';
import { CacheGuardStoreError } from '../../core/errors.js';
import { domainGeneration } from '../../core/keys.js';
import type { Domains } from '../domains.js';
import { defaultMode, type Invalidations } from '../invalidations.js';

/** An event that is given up waits no longer than this. */
const LONGEST_MS = 30_000;

/**
 * Invalidates domains as a whole, for events of which nobody knows what they concerned. What many ask of one domain is done once at the
 * end of each span of its fallback TTL, the first at once. The spans are those of the wall clock, so that the processes of a fleet, among
 * whom such events are shared out, do it together: however many events there are, they cost its loads no more than the fallback does.
 */
export class WholeDomains {
  /** By domain: the span in which it was invalidated last. */
  private readonly spans = new Map<string, number>();
  /** By domain: the invalidation that has not begun. */
  private readonly waiting = new Map<string, Promise<void>>();
  private readonly pauses = new Set<() => void>();
  private closed = false;

  constructor(
    private readonly clock: Clock,
    private readonly domains: Pick<Domains, 'policy'>,
    private readonly invalidations: Pick<Invalidations, 'generations'>,
  ) {}

  /** Every one of them, now. What the store does not confirm is kept, and carried out first on its return. */
  async atOnce(domains: Iterable<string>): Promise<void> {
    await Promise.all([...domains].map((domain) => this.invalidate(domain)));
  }

  /** Resolves when what was cached before the call is invalidated. @throws CacheGuardStoreError when the store has not confirmed that */
  async seldom(domains: Iterable<string>): Promise<void> {
    await Promise.all([...domains].map((domain) => this.joined(domain)));
  }

  /** Does at once what waits, and from now on whatever is asked. */
  close(): void {
    this.closed = true;
    for (const end of this.pauses) end();
  }

  private joined(domain: string): Promise<void> {
    const waiting = this.waiting.get(domain);
    if (waiting) return waiting;
    const { freshBy, softTtlMs } = this.domains.policy(domain);
    const spanMs = Math.min(Math.max(freshBy?.fallbackTtlMs ?? softTtlMs, 1), LONGEST_MS);
    const now = this.clock.wall();
    const span = Math.floor(now / spanMs);
    const again = (this.spans.get(domain) ?? -1) >= span;
    const invalidated = this.pause(again ? spanMs - (now % spanMs) : 0).then(async () => {
      // Nothing joins what has begun: it may have been overtaken by what it would miss.
      this.waiting.delete(domain);
      // Not by the clock: a timer may be a little early.
      this.spans.set(domain, again ? span + 1 : span);
      if ((await this.invalidate(domain)) === 'applied') return;
      throw new CacheGuardStoreError(
        'CG_STORE_UNAVAILABLE',
        `The store has not confirmed that '${domain}' is invalid.`,
      );
    });
    this.waiting.set(domain, invalidated);
    return invalidated;
  }

  private invalidate(domain: string): Promise<'applied' | 'pending'> {
    const policy = this.domains.policy(domain);
    return this.invalidations.generations(policy, 'domain', [domainGeneration(domain)], defaultMode(policy));
  }

  private pause(ms: number): Promise<void> {
    if (ms === 0 || this.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.pauses.delete(end);
        resolve();
      };
      const cancel = this.clock.schedule(ms, end);
      this.pauses.add(end);
    });
  }
}

import { readEvent } from '../../core/domain-event.js';
import { fingerprintOf, type Rule } from '../../core/rules.js';
import type { Domains } from '../domains.js';

/** Which domains have something at stake in a source: by rules that follow it, or because they rest on it (`freshBy`). */
export class Stakes {
  constructor(
    private readonly rules: readonly Rule[],
    private readonly domains: Pick<Domains, 'list'>,
  ) {}

  typesOf(source: string): Set<string> {
    return new Set(this.rulesOf(source).flatMap(({ on }) => [...on]));
  }

  /** Those that a type of event concerns. */
  domainsOf(source: string, type: string): Set<string> {
    const rules = this.rulesOf(source).filter(({ on }) => on.has(type));
    return new Set(rules.map(({ domain }) => domain));
  }

  all(source: string): Set<string> {
    return new Set([...this.rulesOf(source).map(({ domain }) => domain), ...this.reliantOn(source)]);
  }

  /** Those that rest on the source, and for which its events are carried out here: only for them does it matter that it is read here. */
  borneOutBy(source: string): string[] {
    const followers = new Set(this.rulesOf(source).map(({ domain }) => domain));
    return this.reliantOn(source).filter((domain) => followers.has(domain));
  }

  /**
   * Those that an event may have concerned of which nothing became. What cannot be attributed concerns nobody but those who rest on the
   * source: whoever sends nonsense reaches no other domain.
   */
  concerned(source: string, given: unknown): Set<string> {
    const event = readEvent(given);
    const followers = 'malformed' in event ? new Set<string>() : this.domainsOf(source, event.type);
    return followers.size > 0 ? followers : new Set(this.reliantOn(source));
  }

  /** The same for processes that do the same with a source's events. That a rule was moved makes it no other one. */
  fingerprint(source: string): string {
    const parts = this.rulesOf(source).map(({ on, domain, name, action, scope, mode }) =>
      JSON.stringify([[...on].toSorted(), domain, name, action, scope, mode]),
    );
    return fingerprintOf([[...new Set(parts)].toSorted(), this.reliantOn(source).toSorted()]);
  }

  private rulesOf(source: string): Rule[] {
    return this.rules.filter(({ from }) => !from || from.has(source));
  }

  private reliantOn(name: string): string[] {
    return this.domains.list().flatMap(({ freshBy, domain }) => (freshBy?.source === name ? [domain] : []));
  }
}

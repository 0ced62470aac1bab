import type { Rule } from '../../core/rules.js';

/** The event rules of one application, wherever they were written. */
export class RuleBook {
  private readonly known: Rule[] = [];
  private readonly handled = new Set<string>();

  add(rules: readonly Rule[]): void {
    this.known.push(...rules);
  }

  /** Handlers of the application deliver events under these names. */
  handle(sources: Iterable<string>): void {
    for (const source of sources) this.handled.add(source);
  }

  handledSources(): ReadonlySet<string> {
    return this.handled;
  }

  list(): readonly Rule[] {
    return this.known;
  }
}

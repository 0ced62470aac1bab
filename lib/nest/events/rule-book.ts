import type { Rule } from '../../core/rules.js';

/** The event rules of one application, wherever they were written. */
export class RuleBook {
  private readonly known: Rule[] = [];

  add(rules: readonly Rule[]): void {
    this.known.push(...rules);
  }

  list(): readonly Rule[] {
    return this.known;
  }
}

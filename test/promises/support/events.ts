import type { DomainEvent, EventRule, Verdict } from 'nestjs-cache-guard';
import { readRule } from '../../../lib/core/rules.js';
import type { Member } from './fleet.js';

export const APPLIED: Verdict = { kind: 'done', outcome: 'applied' };
export const DUPLICATE: Verdict = { kind: 'done', outcome: 'duplicate' };
export const UNMATCHED: Verdict = { kind: 'done', outcome: 'unmatched' };

let last = 0;

/** An event of its own, about `subject`. */
export function event(subject: string, over: Partial<DomainEvent> = {}): DomainEvent {
  return { id: String(++last), source: '/bank/offers', type: 'changed', subject, data: undefined, ...over };
}

/** Lets the member follow rules; what events want of one key within the window becomes one action. */
export function follow({ guard }: Member, rules: readonly EventRule[], mergeWindowMs = 0): void {
  guard.events.configure({ rules: rules.map((rule, i) => readRule(rule, `rules[${i}]`)), mergeWindowMs });
}

import type { Inheritance } from '../core/composition.js';
import type { Outcome, Waiter } from './waiter.js';

/** Says what one waiter gets; `before`: he came before the loader was called; `starter`: the loader was his. */
export type Verdict = (waiter: Waiter, before: boolean, starter: boolean) => Outcome;

export const AGAIN: Outcome = { kind: 'again', insist: false };
export const AGAIN_INSISTING: Outcome = { kind: 'again', insist: true };

/** Whoever else waits loads for himself. */
export function startersOwn(outcome: Outcome): Verdict {
  return (_waiter, _before, starter) => (starter ? outcome : { kind: 'alone' });
}

/** The text of an error may tell what only the starter may know. */
export function failure(error: unknown, { personal }: Inheritance): Verdict {
  return personal ? startersOwn({ kind: 'failed', error }) : () => ({ kind: 'failed', error });
}

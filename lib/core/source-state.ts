import type { Policy } from './policy.js';

/** Whether events of a source arrive in time: a domain that rests on them goes by its fallback unless it is `live`. */
export type SourceState = 'live' | 'lagging' | 'silent';

/** A source that has said nothing for so long may be dead. */
export const SILENT_MS = 3_000;

const NOTE = /^(\d{1,15})@/;

/** What who follows a source tells the fleet. @param by differs from note to note, so that none is taken for a newer one */
export function lagNote(lagMs: number, by: string): string {
  return `${Math.min(Math.ceil(Math.max(0, lagMs)), 1e15 - 1)}@${by}`;
}

/** The lag that a note tells, milliseconds; `undefined` for what is no note. */
export function lagOf(note: string | undefined): number | undefined {
  const digits = note === undefined ? undefined : NOTE.exec(note)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** What is known of a source. */
export interface SourceFacts {
  /** How long ago it was heard last; `undefined`: never. */
  readonly heardMs: number | undefined;
  readonly lagMs: number;
  /** Events were lost, and what followed them is not invalidated yet. */
  readonly gap: boolean;
}

export function sourceState({ heardMs, lagMs, gap }: SourceFacts, withinMs: number): SourceState {
  if (heardMs === undefined || heardMs >= SILENT_MS) return 'silent';
  return gap || lagMs > withinMs ? 'lagging' : 'live';
}

/** The policy of a domain whose source cannot be relied on. What is absent may be created unheard, so absence is bounded as well. */
export function fallbackOf(policy: Policy): Policy {
  const { softTtlMs, negativeTtlMs, freshBy } = policy;
  const atMost = freshBy?.fallbackTtlMs ?? Infinity;
  return Object.freeze({
    ...policy,
    softTtlMs: Math.min(softTtlMs, atMost),
    negativeTtlMs: negativeTtlMs === undefined ? undefined : Math.min(negativeTtlMs, atMost),
  });
}

import { FLAG, type Entry } from '../core/entry.js';
import type { HitEvent } from '../core/events.js';
import type { GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';
import type { Unpacked } from './packing.js';
import { tellHit } from './served.js';
import type { Snapshot } from './snapshot.js';

/** Marks that a reader has been answered; `value` may well be `undefined`. */
export interface Answer {
  readonly value: unknown;
}

/** How old what is handed out is to its reader. */
export interface Age {
  readonly state: HitEvent['state'];
  readonly nowMs: number;
  readonly staleMs: number;
}

/**
 * Gives one reader what was found: at once, unless it has to be inflated. Throws the absence that was kept as a throw.
 *
 * @param corrupt hears that the bytes are no value after all; then there is no answer
 */
export function handOut(
  parts: EngineParts,
  call: GuardedCall,
  seen: Snapshot,
  age: Age,
  corrupt: (error: unknown) => undefined,
): Answer | undefined | Promise<Answer | undefined> {
  const entry = entryOf(seen);
  const thrown = (entry.flags & FLAG.thrown) !== 0;
  const give = (opened: Unpacked<unknown>): Answer | undefined => {
    let value: unknown;
    try {
      value = opened.take();
    } catch (error) {
      return corrupt(error);
    }
    tellHit(parts, call, entry, seen.tier, age);
    if (thrown) throw parts.thrown.hydrate(value);
    return { value };
  };
  let opened: ReturnType<Snapshot['unpack']>;
  try {
    opened = seen.unpack(thrown ? {} : call.values);
  } catch (error) {
    return corrupt(error);
  }
  return opened instanceof Promise ? opened.then(give, corrupt) : give(opened);
}

export function entryOf(seen: Snapshot): Entry {
  if (typeof seen.found !== 'object') throw new TypeError('there is no entry');
  return seen.found.entry;
}

import { OwnContext } from '../own-context.js';

/** Says to reads and loads that they are part of a warming. */
export interface Warmth {
  /** Share by which the TTLs of what is loaded are randomly shortened. */
  readonly spread: number;
  /** What a load has started and left running keeps its context, and is part of the warming no longer. */
  over: boolean;
}

const warmths = new OwnContext<Warmth | undefined>();

/** The warming that this code is part of, if it is part of one. */
export function currentWarmth(): Warmth | undefined {
  const warmth = warmths.current;
  return warmth?.over ? undefined : warmth;
}

/** Runs `run` as part of a warming, until it has settled. */
export async function runWarming<T>(spread: number, run: () => Promise<T>): Promise<T> {
  const warmth = { spread, over: false };
  try {
    return await warmths.run(warmth, run);
  } finally {
    warmth.over = true;
  }
}

import {
  grouped,
  keyOf,
  KNOWN_EVERYWHERE_MS,
  ms,
  type Breach,
  type Facts,
  type Rule,
  type ValueRead,
} from '../facts.js';
import { endOf, type FaultKind, type Invalidation, type Load, type Put } from '../history.js';

/**
 * Promises 2, 3, 9 and 10: what began before an invalidation is not served as fresh to who comes after it took effect, and under
 * `never` not at all. Nothing excuses it, whatever fails.
 */
export const invalidated: Rule = (facts) => {
  const fences = new Fences(facts);
  const breaches: Breach[] = [];
  for (const values of facts.valuesByKey.values()) {
    for (const one of values) {
      const { read, value, maker } = one;
      const fence = fences.find(read.process, maker.operation, maker.beganAt, read.beganAt);
      if (!fence) continue;
      if (value.state !== 'stale' || facts.neverStale(read.domain)) breaches.push(breach(facts, one, fence));
      else if (takenAway(facts, one, fence))
        breaches.push({ ...breach(facts, one, fence), promise: 3, rule: 'taken away' });
    }
  }
  return breaches;
};

/** Under these a process may not have heard of it; it goes on serving what it has, as stale. */
const UNHEARD = [
  'store-away',
  'restart-empty',
  'restart-snapshot',
  'commands-cut',
  'signals-cut',
  'signal-lost',
  'unanswered',
  'process-paused',
] as const satisfies readonly FaultKind[];

/** What is not only marked but taken away is not served as stale either, as long as signals and commands come through. */
function takenAway(facts: Facts, { read }: ValueRead, { mode, outcome, beganAt }: Invalidation): boolean {
  if (mode === 'expire' || outcome !== 'applied') return false;
  return facts.during(UNHEARD, beganAt, endOf(read), [read.process], facts.history.recoveryMs).length === 0;
}

function breach(facts: Facts, { read, value, maker }: ValueRead, fence: Invalidation): Breach {
  const since =
    fence.carriedOutAt !== undefined && fence.process !== read.process ? fence.carriedOutAt : fence.endedAt!;
  const promise = fence.outcome === 'pending' ? 9 : value.tier === 'l1' ? 10 : facts.neverStale(read.domain) ? 3 : 2;
  return {
    promise,
    rule: fence.outcome === 'pending' ? 'pending holds' : value.tier === 'l1' ? 'L1 trust' : 'no stale value',
    what:
      `${read.process} was given ${value.loadId} of ${keyOf(read)} as ${value.state}, ${ms(read.beganAt - since)} after an ` +
      `invalidation by ${fence.process} was ${fence.outcome} that began ${ms(fence.beganAt - maker.beganAt)} after that load`,
    operations: [maker.operation, fence, read],
  };
}

interface Effect {
  readonly at: number;
  /** Of those in effect by then, the one that began last. */
  readonly latest: Invalidation;
}

/** For a moment and a process, the invalidation of a key, a tag or a domain that forbids most. */
class Fences {
  private readonly effects = new Map<string, Effect[]>();

  constructor(facts: Facts) {
    const found = new Map<string, { readonly at: number; readonly invalidation: Invalidation }[]>();
    for (const invalidation of facts.invalidations) {
      const { process, endedAt, outcome, carriedOutAt, domain } = invalidation;
      if (endedAt === undefined || outcome === undefined || outcome === 'failed') continue;
      const grace = facts.neverStale(domain) ? 0 : KNOWN_EVERYWHERE_MS;
      const elsewhere = outcome === 'applied' ? endedAt : (carriedOutAt ?? Infinity);
      grouped(found, nameOf(process, invalidation)).push({ at: endedAt, invalidation });
      grouped(found, nameOf('', invalidation)).push({ at: elsewhere + grace, invalidation });
    }
    for (const [name, list] of found) this.effects.set(name, ordered(list));
  }

  /** One that began after `madeAt` and was in effect before `readAt`. */
  find(process: string, made: Load | Put, madeAt: number, readAt: number): Invalidation | undefined {
    const { domain, key, tags } = made;
    const scopes = [
      { domain, scope: 'key', name: key },
      ...tags.map((name) => ({ domain, scope: 'tag', name })),
      { domain, scope: 'domain' },
    ];
    for (const scope of scopes) {
      for (const where of [process, '']) {
        const latest = before(this.effects.get(nameOf(where, scope)) ?? [], readAt);
        if (latest && latest.beganAt > madeAt) return latest;
      }
    }
    return undefined;
  }
}

function nameOf(
  process: string,
  { domain, scope, name = '' }: { domain: string; scope: string; name?: string },
): string {
  return JSON.stringify([process, domain, scope, name]);
}

function ordered(list: { readonly at: number; readonly invalidation: Invalidation }[]): Effect[] {
  let latest: Invalidation | undefined;
  return list
    .toSorted((a, b) => a.at - b.at)
    .map(({ at, invalidation }) => {
      if (!latest || invalidation.beganAt > latest.beganAt) latest = invalidation;
      return { at, latest };
    });
}

function before(effects: readonly Effect[], readAt: number): Invalidation | undefined {
  let low = 0;
  let high = effects.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (effects[middle]!.at < readAt) low = middle + 1;
    else high = middle;
  }
  return effects[low - 1]?.latest;
}

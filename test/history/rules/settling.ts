import { covers, grouped, keyOf, KNOWN_EVERYWHERE_MS, ms, type Breach, type Facts, type Rule } from '../facts.js';
import { endOf, type Fault, type Invalidation, type Read } from '../history.js';

/** So long after the store's return a process that was alive before is waited for. */
const WAITED_FOR_MS = 2_500;

/** What proves that a process was alive before a fault. */
type Proof = (process: string, before: number) => Read | undefined;

/**
 * Promise 9: after an outage that everybody saw, what was cached before is not taken for fresh anywhere as long as a process that was
 * alive has not carried out the invalidations that it kept.
 */
export const settling: Rule = (facts) => {
  // A shorter one need not have been noticed by everybody.
  const outages = facts.faults.filter(
    (one) => one.what === 'store-away' && endOf(one) - one.beganAt > KNOWN_EVERYWHERE_MS,
  );
  if (outages.length === 0) return [];
  const proof = proofs(facts);
  return outages.flatMap((outage) =>
    facts.invalidations
      .filter((one) => wasKept(one, outage))
      .flatMap((one) => servedMeanwhile(facts, outage, one, proof)),
  );
};

function proofs(facts: Facts): Proof {
  const reads = new Map<string, Read[]>();
  for (const read of facts.reads) grouped(reads, read.process).push(read);
  return (process, before) => reads.get(process)?.find((read) => read.beganAt < before);
}

/** What proves that the server knew of a process: who was cut off since before is not waited for. */
function contact(facts: Facts, process: string, before: number): Read | undefined {
  const restarts = facts.faults.filter(({ what }) => what.startsWith('restart'));
  const since = Math.max(-Infinity, ...restarts.map(endOf).filter((at) => at < before));
  return facts.reads.findLast(
    ({ process: by, beganAt, outcome }) =>
      by === process &&
      beganAt > since &&
      beganAt < before &&
      outcome?.kind === 'value' &&
      outcome.state === 'fresh' &&
      outcome.tier === 'l2',
  );
}

function wasKept({ outcome, beganAt, endedAt = Infinity }: Invalidation, outage: Fault): boolean {
  return outcome === 'pending' && beganAt > outage.beganAt && endedAt < endOf(outage);
}

function servedMeanwhile(facts: Facts, outage: Fault, kept: Invalidation, proof: Proof): Breach[] {
  const aliveBy = outage.beganAt - KNOWN_EVERYWHERE_MS;
  const keeper = contact(facts, kept.process, aliveBy);
  if (!keeper) return [];
  const until = Math.min(kept.carriedOutAt ?? Infinity, endOf(outage) + WAITED_FOR_MS);
  return [...facts.valuesByKey.values()].flat().flatMap(({ read, value, maker }): Breach[] => {
    if (value.state !== 'fresh' || read.process === kept.process || !covers(kept, maker.operation)) return [];
    if (read.beganAt <= endOf(outage) || endOf(read) >= until || maker.beganAt >= kept.beganAt) return [];
    const reader = proof(read.process, aliveBy);
    // Who slept through the outage, or lost sight of the fleet, knows of none.
    const asleep = facts.during(['process-paused'], aliveBy, endOf(read)).length > 0;
    if (!reader || asleep || facts.during(['process-killed'], aliveBy, endOf(read), [kept.process]).length > 0)
      return [];
    const since = ms(read.beganAt - endOf(outage));
    return [
      {
        promise: 9,
        rule: 'settling',
        what: `${read.process} took ${value.loadId} of ${keyOf(read)} for fresh, ${since} after the store's return, while ${kept.process} still kept an invalidation of it`,
        operations: [maker.operation, outage, kept, read, keeper, reader],
      },
    ];
  });
}

import { DATA_LOSS, keyOf, KNOWN_EVERYWHERE_MS, type Breach, type Facts, type Rule, type ValueRead } from '../facts.js';
import { endOf } from '../history.js';

/** Promise 11: with versions, what is served as fresh from the cache never goes back, as long as the store keeps its data. */
export const monotonicVersions: Rule = (facts) => {
  const breaches: Breach[] = [];
  for (const values of facts.valuesByKey.values()) {
    const { domain } = values[0]!.read;
    if (!facts.rules(domain).versioned) continue;
    for (const era of eras(facts, values)) breaches.push(...backwards(facts, era));
  }
  return breaches;
};

/** Reads answered from the cache, kept apart where the store may have lost what it knew between them. */
function eras(facts: Facts, values: readonly ValueRead[]): ValueRead[][] {
  const losses = facts.faults.filter(({ what }) => DATA_LOSS.includes(what)).toSorted((a, b) => a.beganAt - b.beganAt);
  const hits = values.filter(({ value, read }) => value.tier !== undefined && read.endedAt !== undefined);
  return [undefined, ...losses].map((loss, index) =>
    hits.filter(
      ({ read }) =>
        read.beganAt > (loss ? endOf(loss) : -Infinity) && endOf(read) < (losses[index]?.beganAt ?? Infinity),
    ),
  );
}

function backwards(facts: Facts, hits: readonly ValueRead[]): Breach[] {
  const breaches: Breach[] = [];
  const ended = hits.toSorted((a, b) => endOf(a.read) - endOf(b.read));
  const anywhere = new Highest(ended);
  const inProcess = new Map<string, Highest>();
  for (const hit of hits.toSorted((a, b) => a.read.beganAt - b.read.beganAt)) {
    const { read, value } = hit;
    let own = inProcess.get(read.process);
    if (!own) {
      own = new Highest(ended.filter((other) => other.read.process === read.process));
      inProcess.set(read.process, own);
    }
    if (value.state !== 'fresh') continue;
    const grace = facts.neverStale(read.domain) ? 0 : KNOWN_EVERYWHERE_MS;
    const before = [own.before(read.beganAt), anywhere.before(read.beganAt - grace)];
    const newer = before.find((earlier) => earlier && earlier.value.revision > value.revision);
    if (newer) breaches.push(breach(newer, hit));
  }
  return breaches;
}

/** The newest version that was served up to a moment; moments only grow. */
class Highest {
  private next = 0;
  private highest: ValueRead | undefined;
  private readonly ended: readonly ValueRead[];

  constructor(hits: readonly ValueRead[]) {
    // What a process loaded while it was cut off is in its memory only, and never fresh.
    this.ended = hits.filter(({ value }) => value.tier === 'l2' || value.state === 'fresh');
  }

  before(at: number): ValueRead | undefined {
    for (; this.next < this.ended.length && endOf(this.ended[this.next]!.read) < at; this.next++) {
      const one = this.ended[this.next]!;
      if (!this.highest || one.value.revision > this.highest.value.revision) this.highest = one;
    }
    return this.highest;
  }
}

function breach(earlier: ValueRead, later: ValueRead): Breach {
  const { read } = later;
  return {
    promise: 11,
    rule: 'monotonic versions',
    what: `${read.process} was given version ${later.value.revision} of ${keyOf(read)} as fresh, after ${earlier.read.process} had been given ${earlier.value.revision}`,
    operations: [earlier.maker.operation, later.maker.operation, earlier.read, read],
  };
}

import type { Load } from './origin.js';
import type { ReadRecord, WriteRecord } from './protocol.js';

/** Reads that were given less than what a write had made true, invalidation included, before they started. */
export function staleReads(reads: readonly ReadRecord[], writes: readonly WriteRecord[]): object[] {
  const steps = new Map<string, { resolvedMs: number; version: number }[]>();
  for (const { id, version, resolvedMs } of writes.toSorted((a, b) => a.resolvedMs - b.resolvedMs)) {
    const known = steps.get(id) ?? [];
    steps.set(id, [...known, { resolvedMs, version: Math.max(version, known.at(-1)?.version ?? 0) }]);
  }
  return reads.flatMap((read) => {
    const least = steps.get(read.id)?.findLast(({ resolvedMs }) => resolvedMs <= read.startedMs)?.version ?? 0;
    return read.version < least ? [{ ...read, least }] : [];
  });
}

/** Answers from the cache that went back: given an older version than another one that had ended before they started. */
export function backwardHits(reads: readonly ReadRecord[]): object[] {
  const ended = reads.filter(({ state }) => state === 'fresh').toSorted((a, b) => a.endedMs - b.endedMs);
  const started = ended.toSorted((a, b) => a.startedMs - b.startedMs);
  const newest = new Map<string, number>();
  const backward: object[] = [];
  let next = 0;
  for (const read of started) {
    for (; next < ended.length && ended[next]!.endedMs <= read.startedMs; next++) {
      const { id, version } = ended[next]!;
      newest.set(id, Math.max(version, newest.get(id) ?? 0));
    }
    const least = newest.get(read.id) ?? 0;
    if (read.version < least) backward.push({ ...read, least });
  }
  return backward;
}

/** The most loads of these that ran one after the other. */
export function longestChain(loads: readonly Load[]): number {
  let length = 0;
  let end = -Infinity;
  for (const load of loads.toSorted((a, b) => a.endedMs - b.endedMs)) {
    if (load.beganMs < end) continue;
    length++;
    end = load.endedMs;
  }
  return length;
}

/**
 * How many loads of its own process, one after the other, a read sat through: from its start to the end of the load that
 * gave it its value.
 */
export function loadsWaitedFor(read: ReadRecord, loads: readonly Load[]): number {
  const giver = loads.find(({ number }) => number === read.load);
  const untilMs = Math.min(read.endedMs, giver?.endedMs ?? read.endedMs);
  const during = loads.filter(
    (load) =>
      load.id === read.id &&
      (load.process === read.process || load === giver) &&
      load.endedMs > read.startedMs &&
      load.beganMs < untilMs,
  );
  return longestChain(during);
}

/** Values by how many readers got them, for messages that show what happened. */
export function tally(values: readonly (string | number)[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

import type { Generation } from '../../core/generations.js';

/**
 * `<value>,<removed>,<epoch>`. A record that another server process wrote may come from an older snapshot, from before an invalidation: it
 * counts as not known.
 */
export function parseGeneration(record: Buffer | null, epoch: number): Generation | undefined {
  if (!record) return undefined;
  const [value, removed, writtenBy] = record.toString('latin1').split(',').map(Number);
  return writtenBy === epoch && Number.isFinite(value) && Number.isFinite(removed)
    ? { value: value!, removed: removed! }
    : undefined;
}

import { ENTRY_ID_BYTES, FLAG, HEADER_BYTES } from '../../core/entry.js';

/** What the store itself reads and writes in an entry's header; the layout is in core/entry.ts. */
const FLAGS_AT = 2;
const ID_AT = 4;
const BEGAN_AT = 12;
const SOFT_AT = 18;
const HARD_AT = 24;
const TIME_BYTES = 6;
const VERSION_AT = 34;
const VERSION_BYTES = 8;
const CRC_AT = 58;

export const idOf = (bytes: Buffer): string => bytes.toString('hex', ID_AT, ID_AT + ENTRY_ID_BYTES);
export const beganOf = (bytes: Buffer): number => bytes.readUIntBE(BEGAN_AT, TIME_BYTES);
export const hardOf = (bytes: Buffer): number => bytes.readUIntBE(HARD_AT, TIME_BYTES);
export const hasFlag = (bytes: Buffer, flags: number): boolean => (bytes[FLAGS_AT]! & flags) !== 0;

/** In bytes, whose order is that of the numbers; a copy, so that it does not keep a whole entry alive. */
export function versionOf(bytes: Buffer | undefined): Buffer | undefined {
  if (!bytes?.length || !hasFlag(bytes, FLAG.versioned)) return undefined;
  return Buffer.from(bytes.subarray(VERSION_AT, VERSION_AT + VERSION_BYTES));
}

/** Whether it holds a value that is at least as new as `version`. */
export function isAsNew(bytes: Buffer, version: Buffer): boolean {
  if (hasFlag(bytes, FLAG.removed | FLAG.hitForMiss)) return false;
  const own = versionOf(bytes);
  return own !== undefined && own.compare(version) >= 0;
}

export function isFresh(bytes: Buffer, nowMs: number): boolean {
  return nowMs < bytes.readUIntBE(SOFT_AT, TIME_BYTES) && !hasFlag(bytes, FLAG.marked | FLAG.removed | FLAG.hitForMiss);
}

export function markedStale(bytes: Buffer, nowMs: number): Buffer {
  const marked = Buffer.from(bytes);
  marked[FLAGS_AT]! |= FLAG.marked;
  marked.writeUIntBE(Math.min(bytes.readUIntBE(SOFT_AT, TIME_BYTES), nowMs), SOFT_AT, TIME_BYTES);
  return marked;
}

/** The header alone: it still fences by its id and version. */
export function tombstone(bytes: Buffer): Buffer {
  const header = Buffer.from(bytes.subarray(0, HEADER_BYTES));
  header[FLAGS_AT]! |= FLAG.removed;
  return header.fill(0, CRC_AT);
}

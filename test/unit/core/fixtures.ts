import type { Entry } from '../../../lib/core/entry.js';

export const BEGAN = 1_700_000_000_000;

/** An entry whose writer was generous, so that the reader's policy decides. */
export function entryOf(change: Partial<Entry> = {}): Entry {
  return {
    id: '0123456789abcdef',
    flags: 0,
    codec: 1,
    beganMs: BEGAN,
    softMs: BEGAN + 30_000,
    hardMs: BEGAN + 600_000,
    loadMs: 5,
    version: undefined,
    etag: undefined,
    epoch: 1,
    schema: 1,
    whileRevalidateMs: 570_000,
    ifErrorMs: 570_000,
    stamps: [],
    provenance: 'test',
    payload: Buffer.from('1'),
    ...change,
  };
}

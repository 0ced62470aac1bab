import type { Instant } from '../core/clock.js';
import type { Found } from '../core/decide.js';
import type { HitEvent } from '../core/events.js';
import type { ValueOptions } from '../core/values.js';
import type { Unpacked } from './packing.js';

/** What one read of the store gives a call: input of `decide`, and the way to the value. */
export interface Snapshot {
  readonly found: Found;
  readonly nowMs: number;
  /** When `nowMs` was. */
  readonly readAt: Instant;
  readonly tier: HitEvent['tier'];
  /** The id of what lies there, `''` for nothing and for what has none. */
  readonly id: string;
  readonly bytes: number;
  /** Rejects for a payload that cannot be decoded. */
  unpack(values: ValueOptions): Promise<Unpacked<unknown>> | Unpacked<unknown>;
}

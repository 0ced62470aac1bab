import type { DemoOptions } from './options.js';
import type { Domain } from './policies.js';

export type Mode = 'unguarded' | 'guarded';

export const MODES: readonly Mode[] = ['unguarded', 'guarded'];

/** Something that happens at set times while the crowd reads. */
export interface Disturbance {
  readonly kind: 'write' | 'flush';
  /** After the crowd was released. */
  readonly atMs: readonly number[];
}

export interface Scenario {
  readonly name: string;
  readonly domain: Domain;
  /** How many keys the crowd reads. */
  readonly keys: number;
  /** Loaded by one process just before the crowd is released. */
  readonly warm: boolean;
  /** How long the readers go on; 0: each reads once. */
  readonly windowMs: number;
  readonly disturbance: Disturbance | undefined;
}

/** Not in the table: opens the connections and lets the compiler warm up, so that the first scenario is not slower for it. */
export function warmUp({ windowMs }: DemoOptions): Scenario {
  return { name: 'warm-up', domain: 'branches', keys: 20, warm: false, windowMs: windowMs / 2, disturbance: undefined };
}

export function scenarios({ originMs, windowMs }: DemoOptions): readonly Scenario[] {
  const under = { warm: true, windowMs };
  const twice = [0.25, 0.6].map((share) => share * windowMs);
  /** Faster than loads: three of them fall into each load. */
  const burst = Array.from({ length: 15 }, (_, i) => 0.2 * windowMs + (i * originMs) / 3);
  return [
    { name: 'cold key', domain: 'offers', keys: 1, warm: false, windowMs: 0, disturbance: undefined },
    { name: 'expiring hot key', ...under, domain: 'offers', keys: 1, disturbance: undefined },
    { name: 'cohort of 100 keys', ...under, domain: 'catalog', keys: 100, disturbance: undefined },
    { name: 'invalidated key', ...under, domain: 'profiles', keys: 1, disturbance: { kind: 'write', atMs: twice } },
    { name: 'burst of writes', ...under, domain: 'balances', keys: 1, disturbance: { kind: 'write', atMs: burst } },
    { name: 'FLUSHALL, 20 keys', ...under, domain: 'branches', keys: 20, disturbance: { kind: 'flush', atMs: twice } },
  ];
}

import { expect, test } from 'vitest';
import { Fleet, type Member, type StoreKind } from './fleet.js';

export const BOTH: readonly StoreKind[] = ['memory', 'redis'];
export const ALL: readonly StoreKind[] = ['memory', 'redis', 'cluster'];
export const MEMORY: readonly StoreKind[] = ['memory'];
export const REDIS: readonly StoreKind[] = ['redis'];
export const CLUSTER: readonly StoreKind[] = ['cluster'];

/** Declares the test of a promise once for each kind of store. */
export function promise(
  number: number,
  title: string,
  stores: readonly StoreKind[],
  run: (fleet: Fleet) => Promise<void>,
): void {
  for (const kind of stores) {
    test(`promise ${number}: ${title} [${kind}]`, async () => {
      const fleet = new Fleet(kind);
      try {
        await run(fleet);
      } finally {
        await fleet.close();
      }
    });
  }
}

interface Target {
  readonly domain: string;
  readonly key: string;
  readonly tags?: readonly string[];
}

/** Nobody in the fleet takes `value` for the fresh one. */
export async function expectNotFresh(members: readonly Member[], target: Target, value: unknown): Promise<void> {
  for (const { guard } of members) {
    const seen = await guard.peek(target);
    if (seen?.state === 'fresh') expect(seen.value).not.toEqual(value);
  }
}

/** Everybody in the fleet takes `value` for the fresh one. */
export async function expectFresh(members: readonly Member[], target: Target, value: unknown): Promise<void> {
  for (const { guard } of members) expect(await guard.peek(target)).toMatchObject({ state: 'fresh', value });
}

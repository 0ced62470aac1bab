import { test } from 'vitest';
import { Fleet, type StoreKind } from './fleet.js';
import { gate } from './source.js';

/** Declares a test once for each kind of store. */
export function warming(title: string, stores: readonly StoreKind[], run: (fleet: Fleet) => Promise<void>): void {
  for (const kind of stores) {
    test(`${title} [${kind}]`, async () => {
      const fleet = new Fleet(kind);
      try {
        await run(fleet);
      } finally {
        await fleet.close();
      }
    });
  }
}

/** What a load must wait for, by key, in the order of the calls. */
export function slowLoads() {
  const called: string[] = [];
  const gates = new Map<string, ReturnType<typeof gate>>();
  const gateOf = (key: string) => gates.get(key) ?? (gates.set(key, gate()), gates.get(key)!);
  return {
    called,
    load: async (key: string): Promise<string> => {
      called.push(key);
      await gateOf(key).opened;
      return key;
    },
    open: (...all: string[]) => all.forEach((key) => gateOf(key).open()),
  };
}

import { FakeClock, storeContract, type StoreHarness } from 'nestjs-cache-guard/testing';
import { describe, it } from 'vitest';
import { MemoryStore } from '../../lib/adapters/memory/memory-store.js';

function harness(): StoreHarness {
  const clock = new FakeClock();
  let store: MemoryStore;
  return {
    unitMs: 100,
    create: async () => {
      store = new MemoryStore({ clock });
      await store.open();
      return store;
    },
    another: async () => store,
    advance: (ms) => clock.run(ms),
  };
}

describe('the store contract, embedded', () => {
  for (const { name, run } of storeContract()) it(name, () => run(harness()));
});

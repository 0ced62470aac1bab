import { closingCases } from './contract/source-closing.js';
import { deliveryCases } from './contract/source-deliveries.js';
import { sharingCases } from './contract/source-sharing.js';
import type { EventSourceCase } from './contract/source-scenario.js';

export type { EventSourceCase, EventSourceHarness } from './contract/source-scenario.js';

/**
 * What every implementation of the `EventSource` port must do, as cases for any test runner:
 *
 * ```ts
 * for (const { name, run } of eventSourceContract('shared')) it(name, () => run(harness));
 * ```
 *
 * A case throws `AssertionError` when the source breaks the contract. Cases close the sources that they open, unless they fail: the
 * harness closes them then.
 *
 * @param delivery what the sources under test say of themselves
 */
export function eventSourceContract(delivery: 'shared' | 'each'): readonly EventSourceCase[] {
  return [...deliveryCases, ...closingCases, ...(delivery === 'shared' ? sharingCases : [])];
}

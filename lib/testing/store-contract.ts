import { backoffCases } from './contract/backoff.js';
import { basicCases } from './contract/basics.js';
import { commitCases } from './contract/commits.js';
import { generationCases } from './contract/generations.js';
import { invalidationCases } from './contract/invalidations.js';
import { knownVersionCases } from './contract/known-versions.js';
import { leaseCases } from './contract/leases.js';
import { noteCases } from './contract/notes.js';
import type { ContractCase } from './contract/scenario.js';
import { signalCases } from './contract/signals.js';
import { versionCases } from './contract/versions.js';
import { walkCases } from './contract/walks.js';

export type { ContractCase, StoreHarness } from './contract/scenario.js';

/**
 * What every implementation of the `Store` port must do, as cases for any test runner:
 *
 * ```ts
 * for (const { name, run } of storeContract()) it(name, () => run(harness));
 * ```
 *
 * A case throws `AssertionError` when the store breaks the contract. Cases leave their stores open: the harness closes them.
 */
export function storeContract(): readonly ContractCase[] {
  return [
    ...basicCases,
    ...leaseCases,
    ...backoffCases,
    ...commitCases,
    ...versionCases,
    ...invalidationCases,
    ...knownVersionCases,
    ...generationCases,
    ...signalCases,
    ...noteCases,
    ...walkCases,
  ];
}

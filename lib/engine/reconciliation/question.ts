import type { Clock } from '../../core/clock.js';
import { readVersions, type SourceVersion } from '../../core/drift.js';
import { CacheGuardError } from '../../core/errors.js';
import { unlessAborted } from './patience.js';
import type { ReconcilingPolicy } from './reconciling-policy.js';

/**
 * What the source says of some keys, in their order.
 *
 * @throws CacheGuardError (`CG_RECONCILIATION_FAILED`) when it throws, does not answer within the policy's `loadTimeout`, or gives no
 * such list; the signal's reason
 */
export async function askSource(
  policy: ReconcilingPolicy,
  keys: readonly unknown[],
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly SourceVersion[]> {
  const { domain } = policy;
  const answer = readVersions(await answerOf(policy, keys, clock, signal), keys.length);
  if ('wrong' in answer) throw failure(domain, answer.wrong);
  return answer;
}

async function answerOf(
  { domain, loadTimeoutMs, reconcile }: ReconcilingPolicy,
  keys: readonly unknown[],
  clock: Clock,
  signal: AbortSignal,
): Promise<unknown> {
  const late = new AbortController();
  const cancel = clock.schedule(loadTimeoutMs, () => {
    late.abort(
      failure(domain, `did not answer within loadTimeout (${loadTimeoutMs} ms); ask for fewer keys at a time (batch)`),
    );
  });
  const within = AbortSignal.any([signal, late.signal]);
  // One that throws before it returns its promise has failed like one whose promise rejects.
  const asked = async (): Promise<unknown> => reconcile.versions(keys, { signal: within });
  try {
    return await unlessAborted(within, asked());
  } catch (error) {
    throw within.aborted ? within.reason : failure(domain, 'threw; see the cause', error);
  } finally {
    cancel();
  }
}

function failure(domain: string, what: string, cause?: unknown): CacheGuardError {
  const fields = { domain, field: 'reconcile.versions', cause };
  return new CacheGuardError('CG_RECONCILIATION_FAILED', `Domain '${domain}': reconcile.versions ${what}.`, fields);
}

import { formatDuration } from './durations.js';
import type { FieldChecker } from './field-checker.js';
import type { DomainPolicyConfig, Policy } from './policy.js';

/** The fields by which a policy relies on its source's events and versions. @throws CacheGuardConfigError (`CG_INVALID_POLICY`) */
export function freshByOf(
  check: FieldChecker,
  given: DomainPolicyConfig['freshBy'],
  softTtlMs: number,
  overridden: boolean,
): Policy['freshBy'] {
  const fields = check.record('freshBy', given, ['source', 'fallbackTtl', 'within']);
  if (!fields) return undefined;
  const source = check.text('freshBy.source', fields.source);
  if (!source) check.fail('freshBy.source', source, 'name an event source');
  if (fields.fallbackTtl === undefined) {
    check.fail('freshBy.fallbackTtl', undefined, 'say how long values are fresh while the source cannot be relied on');
  }
  const fallbackTtlMs = check.duration('freshBy.fallbackTtl', fields.fallbackTtl, 0, 1);
  // A method that narrows its domain's soft TTL needs no fallback of its own; only a domain is told off for a contradiction.
  if (fallbackTtlMs > softTtlMs && !overridden) {
    check.fail('freshBy.fallbackTtl', fields.fallbackTtl, `make it at most softTtl (${formatDuration(softTtlMs)})`);
  }
  return {
    source,
    fallbackTtlMs: Math.min(fallbackTtlMs, softTtlMs),
    withinMs: check.duration('freshBy.within', fields.within, 5_000, 100),
  };
}

export function reconcileOf(
  check: FieldChecker,
  given: DomainPolicyConfig['reconcile'],
  keep: Policy['keep'],
  partitioned: boolean,
): Policy['reconcile'] {
  const fields = check.record('reconcile', given, ['every', 'versions', 'batch']);
  if (!fields) return undefined;
  if (keep === 'nothing') check.fail('reconcile', given, "stalePolicy 'no-store' keeps nothing: leave it out");
  if (partitioned) {
    check.fail(
      'reconcile',
      given,
      'of a key alone nobody can tell whose partition it is in: leave it out, or partition',
    );
  }
  const versions = check.fn('reconcile.versions', fields.versions);
  if (!versions) check.fail('reconcile.versions', versions, 'give (keys) => Promise<versions>');
  if (fields.every === undefined) check.fail('reconcile.every', undefined, "give a duration such as '5m'");
  const everyMs = check.duration('reconcile.every', fields.every, 0, 100);
  return { everyMs, versions, batch: check.integer('reconcile.batch', fields.batch, 500, 1, 10_000) };
}

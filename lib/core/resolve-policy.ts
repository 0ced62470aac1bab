import { formatDuration } from './durations.js';
import { describeValue } from './errors.js';
import { FieldChecker, isRecord } from './field-checker.js';
import { FRESHNESS_PRESETS, type FreshnessPreset } from './freshness.js';
import { isolationOf } from './isolation-fields.js';
import { freshByOf, reconcileOf } from './source-fields.js';
import type { DomainPolicyConfig, FreshnessOverrides, LoadOutcome, Policy, StalePolicy } from './policy.js';

const DOMAIN_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
/** Room for the index is taken at once. */
const MOST_L1_ENTRIES = 1_000_000;
const MIB = 1024 * 1024;
const NAMED_POLICIES = ['never', 'if-error', 'while-revalidate', 'validate', 'no-store'] as const;

// prettier-ignore
const KNOWN_FIELDS: ReadonlySet<string> = new Set([
  'freshness', 'softTtl', 'hardTtl', 'stalePolicy', 'jitter', 'negativeTtl', 'isAbsent', 'isFailure', 'waitBudget',
  'loadTimeout', 'softTimeout', 'backoff', 'lease', 'bulkhead', 'maxKeysInFlight', 'hitForMiss', 'codec',
  'compressAbove', 'schemaVersion', 'versionWindow', 'probe', 'partition', 'owner', 'because', 'maxLoadsPerSecond',
  'breaker', 'l1', 'freshBy', 'reconcile', 'scope', 'hashKeys', 'encrypt', 'maxKeysInFlightPerPrincipal',
  'maxValueBytes',
] satisfies (keyof DomainPolicyConfig)[]);

/**
 * Applies a domain's class and defaults, and refuses contradictions.
 *
 * @param overrides what one method sets for itself, within the class
 * @param place shown in errors, e.g. the method that overrides
 * @throws CacheGuardConfigError (`CG_INVALID_POLICY`) naming domain, field, value and mend
 */
export function resolvePolicy(
  domain: string,
  config: DomainPolicyConfig,
  overrides: FreshnessOverrides = {},
  place?: string,
): Policy {
  const check = new PolicyChecker(domain, place);
  check.shape(config);
  const preset = FRESHNESS_PRESETS[config.freshness];
  check.record('overrides', overrides, ['softTtl', 'hardTtl', 'stalePolicy', 'scope']);
  const merged = { ...withinOverride(config, overrides), ...withoutUndefined(overrides) };
  const stalePolicy = check.stalePolicy(merged, preset);
  const keep = stalePolicy === 'no-store' ? 'nothing' : stalePolicy === 'validate' ? 'validated' : 'entry';
  const ttl = keep === 'nothing' ? check.noTtls(merged) : check.ttls(merged, preset, stalePolicy);

  if (keep === 'validated' && merged.probe === undefined) {
    check.fail('probe', undefined, "stalePolicy 'validate' needs probe: (key) => Promise<version>");
  }
  const lease = check.record('lease', merged.lease, ['keys', 'duration']);
  const bulkhead = check.record('bulkhead', merged.bulkhead, ['concurrency', 'queue']);
  const backoff = check.record('backoff', merged.backoff, ['base', 'max']);
  const leaseMs = check.duration('lease.duration', lease?.duration, 2_000, 100);
  const loadTimeoutMs = check.duration('loadTimeout', merged.loadTimeout, 10_000, 1);
  const softTimeoutMs = check.duration('softTimeout', merged.softTimeout, Math.min(500, loadTimeoutMs), 0);
  if (softTimeoutMs > loadTimeoutMs) {
    check.fail('softTimeout', merged.softTimeout, `make it at most loadTimeout (${formatDuration(loadTimeoutMs)})`);
  }
  const breaker = check.record('breaker', merged.breaker, ['failures', 'pause']);
  const staleAllowed = ttl.whileRevalidateMs > 0 || ttl.ifErrorMs > 0;
  // A method that narrows its domain to what must not be kept in memory does without; only a domain is told off for asking.
  const l1 = staleAllowed || overrides.stalePolicy === undefined ? check.l1(merged, staleAllowed) : undefined;
  const isAbsent = check.fn('isAbsent', merged.isAbsent) ?? isNullish;
  const backoffBaseMs = check.duration('backoff.base', backoff?.base, 1_000, 1);

  return Object.freeze({
    domain,
    freshness: config.freshness,
    keep,
    ...ttl,
    staleAllowed,
    jitter: check.number('jitter', merged.jitter, 0.1, 0, 0.5),
    negativeTtlMs: keep === 'nothing' ? undefined : check.negativeTtl(merged, preset, ttl.softTtlMs),
    isAbsent,
    isFailure: check.fn('isFailure', merged.isFailure) ?? failsUnless(merged.isAbsent),
    waitBudgetMs: check.duration('waitBudget', merged.waitBudget, 2 * loadTimeoutMs + leaseMs, 1),
    loadTimeoutMs,
    softTimeoutMs,
    backoffBaseMs,
    backoffMaxMs: check.duration('backoff.max', backoff?.max, Math.max(30_000, backoffBaseMs), backoffBaseMs),
    exclusive: check.oneOf('lease.keys', lease?.keys, ['all', 'none']) === 'all',
    leaseMs,
    concurrency: check.integer('bulkhead.concurrency', bulkhead?.concurrency, 16, 1),
    queue: check.integer('bulkhead.queue', bulkhead?.queue, 1_000, 0),
    maxLoadsPerSecond: check.rate('maxLoadsPerSecond', merged.maxLoadsPerSecond),
    breaker: breaker && {
      failures:
        breaker.failures === undefined
          ? check.fail('breaker.failures', undefined, 'say after how many failures in a row it opens')
          : check.integer('breaker.failures', breaker.failures, 1, 1),
      pauseMs: check.duration('breaker.pause', breaker.pause, 1_000, 1),
    },
    l1,
    maxKeysInFlight: check.integer('maxKeysInFlight', merged.maxKeysInFlight, 10_000, 1),
    hitForMissMs: check.duration('hitForMiss', merged.hitForMiss, 5_000, 1),
    codec: check.codec(merged.codec),
    encrypt: check.flag('encrypt', merged.encrypt),
    compressAbove:
      merged.compressAbove === false ? Infinity : check.integer('compressAbove', merged.compressAbove, 16_384, 0),
    maxValueBytes: check.integer('maxValueBytes', merged.maxValueBytes, 4 * MIB, 1, 256 * MIB),
    schema: check.schema(merged.schemaVersion),
    versionWindowMs: check.duration('versionWindow', merged.versionWindow, 3_600_000, 0),
    probe: check.fn('probe', merged.probe),
    ...isolationOf(check, config, overrides, merged.reconcile !== undefined),
    freshBy: freshByOf(check, merged.freshBy, ttl.softTtlMs, Object.keys(overrides).length > 0),
    reconcile: reconcileOf(check, merged.reconcile, keep, merged.partition !== undefined),
    owner: check.text('owner', merged.owner),
    because: check.text('because', merged.because),
  });
}

function isNullish(outcome: LoadOutcome): boolean {
  return 'value' in outcome && (outcome.value === null || outcome.value === undefined);
}

/** What a policy declares to be absence is no failure, unless it says both itself. */
function failsUnless(isAbsent: Policy['isAbsent'] | undefined): Policy['isFailure'] {
  if (!isAbsent) return isFailureByDefault;
  return (error) => isFailureByDefault(error) && !isAbsent({ error });
}

/** An HTTP exception below 500 is an answer; recognised by its shape, because the core does not know Nest. */
function isFailureByDefault(error: unknown): boolean {
  const status = (error as { getStatus?: () => unknown } | null | undefined)?.getStatus;
  return !(typeof status === 'function' && Number(status.call(error)) < 500);
}

/** A method that keeps nothing has no use for the TTLs of its domain. */
function withinOverride(config: DomainPolicyConfig, { stalePolicy }: FreshnessOverrides): DomainPolicyConfig {
  return stalePolicy === 'no-store'
    ? { ...config, softTtl: undefined, hardTtl: undefined, negativeTtl: undefined }
    : config;
}

function withoutUndefined(overrides: FreshnessOverrides): FreshnessOverrides {
  return Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
}

type Ttls = Pick<Policy, 'softTtlMs' | 'hardTtlMs' | 'whileRevalidateMs' | 'ifErrorMs'>;

/** The fields of a domain's policy, each with what contradicts it. */
class PolicyChecker extends FieldChecker {
  shape(config: DomainPolicyConfig): void {
    if (!DOMAIN_NAME.test(this.domain)) {
      this.fail('name', this.domain, 'start with a letter and use letters, digits, _ and - only, 64 at most');
    }
    if (!isRecord(config)) this.fail('policy', config, 'give an object with a freshness class');
    if (typeof config.freshness !== 'string' || !Object.hasOwn(FRESHNESS_PRESETS, config.freshness)) {
      this.fail('freshness', config.freshness, `use one of ${Object.keys(FRESHNESS_PRESETS).join(', ')}`);
    }
    for (const [field, value] of Object.entries(config)) {
      if (!KNOWN_FIELDS.has(field)) this.fail(field, value, 'there is no such field; check the spelling');
    }
  }

  stalePolicy(config: DomainPolicyConfig, preset: FreshnessPreset): StalePolicy {
    const given = config.stalePolicy === undefined ? preset.stalePolicy : config.stalePolicy;
    if (given === undefined) {
      this.fail(
        'stalePolicy',
        undefined,
        `an '${config.freshness}' domain must spell out softTtl, hardTtl and stalePolicy`,
      );
    }
    const named = typeof given === 'string';
    if (named ? !NAMED_POLICIES.includes(given) : !isRecord(given)) {
      this.fail('stalePolicy', given, `use one of ${NAMED_POLICIES.join(', ')} or { whileRevalidate, ifError }`);
    }
    const stale = given === 'if-error' || given === 'while-revalidate' || !named;
    if (stale && !preset.mayBeStale) {
      this.fail(
        'stalePolicy',
        given,
        `a '${config.freshness}' domain is never served stale: use 'never', 'validate' or 'no-store', or choose another freshness class`,
      );
    }
    return given;
  }

  noTtls(config: DomainPolicyConfig): Ttls {
    for (const field of ['softTtl', 'hardTtl', 'negativeTtl'] as const) {
      const value = config[field];
      if (value !== undefined && value !== 'off') {
        this.fail(field, value, "stalePolicy 'no-store' keeps nothing: leave it out, or choose another stalePolicy");
      }
    }
    return { softTtlMs: 0, hardTtlMs: 0, whileRevalidateMs: 0, ifErrorMs: 0 };
  }

  ttls(config: DomainPolicyConfig, preset: FreshnessPreset, stalePolicy: StalePolicy): Ttls {
    const { softTtl, hardTtl } = config;
    if (preset.softTtlMs === undefined) {
      for (const [field, value] of [
        ['softTtl', softTtl],
        ['hardTtl', hardTtl],
      ] as const) {
        if (value === undefined) {
          this.fail(field, value, `an '${config.freshness}' domain must spell out softTtl, hardTtl and stalePolicy`);
        }
      }
    }
    const hardGiven = hardTtl === undefined ? undefined : this.duration('hardTtl', hardTtl, 0, 1);
    const softTtlMs = this.duration('softTtl', softTtl, Math.min(preset.softTtlMs ?? 0, hardGiven ?? Infinity), 1);
    if (hardGiven !== undefined && softTtlMs > hardGiven) {
      this.fail('softTtl', softTtl, `make it at most hardTtl (${describeValue(hardTtl)})`);
    }
    const windows = this.windows(stalePolicy, preset, hardGiven === undefined ? undefined : hardGiven - softTtlMs);
    const hardTtlMs = hardGiven ?? softTtlMs + Math.max(windows.whileRevalidateMs, windows.ifErrorMs);
    return { softTtlMs, hardTtlMs, ...windows };
  }

  private windows(stalePolicy: StalePolicy, preset: FreshnessPreset, room: number | undefined) {
    const bound = (ms: number) => Math.min(ms, room ?? Infinity);
    const whole = room ?? Math.max(preset.whileRevalidateMs, preset.ifErrorMs);
    if (stalePolicy === 'while-revalidate') return { whileRevalidateMs: whole, ifErrorMs: whole };
    if (stalePolicy === 'if-error') return { whileRevalidateMs: 0, ifErrorMs: whole };
    if (typeof stalePolicy === 'string') return { whileRevalidateMs: 0, ifErrorMs: 0 };
    const given = this.record('stalePolicy', stalePolicy, ['whileRevalidate', 'ifError']);
    const whileRevalidateMs = bound(this.duration('stalePolicy.whileRevalidate', given?.whileRevalidate, 0, 0));
    const ifErrorMs = bound(this.duration('stalePolicy.ifError', given?.ifError, whileRevalidateMs, 0));
    return { whileRevalidateMs, ifErrorMs: Math.max(ifErrorMs, whileRevalidateMs) };
  }

  negativeTtl(config: DomainPolicyConfig, preset: FreshnessPreset, softTtlMs: number): number | undefined {
    const { negativeTtl } = config;
    if (negativeTtl === undefined) {
      return preset.negativeTtlMs === undefined ? undefined : Math.min(preset.negativeTtlMs, softTtlMs);
    }
    if (negativeTtl === 'off') return undefined;
    if (!preset.mayBeStale) {
      this.fail('negativeTtl', negativeTtl, `a '${config.freshness}' domain keeps no absence: leave it out`);
    }
    const ms = this.duration('negativeTtl', negativeTtl, 0, 1);
    if (ms > softTtlMs) {
      this.fail('negativeTtl', negativeTtl, `make it at most softTtl (${formatDuration(softTtlMs)})`);
    }
    return ms;
  }

  l1({ l1, freshness }: DomainPolicyConfig, staleAllowed: boolean): Policy['l1'] {
    if (l1 === false) return undefined;
    if (!staleAllowed) {
      if (l1 === undefined) return undefined;
      this.fail(
        'l1',
        l1,
        freshness === 'critical'
          ? "a 'critical' domain is never kept in process memory: leave it out, or choose another freshness class"
          : 'what may not be served stale is not kept in process memory: leave it out, or allow stale serving',
      );
    }
    if (l1 !== undefined && !isRecord(l1)) {
      this.fail('l1', l1, 'give false, or give an object with maxEntries, maxBytes, maxAge');
    }
    const given = this.record('l1', l1, ['maxEntries', 'maxBytes', 'maxAge']);
    const maxAgeMs = freshness === 'operational' ? 1_000 : Infinity;
    return {
      maxEntries: this.integer('l1.maxEntries', given?.maxEntries, 1_000, 1, MOST_L1_ENTRIES),
      maxBytes: this.integer('l1.maxBytes', given?.maxBytes, 16 * MIB, 1_024),
      maxAgeMs: this.duration('l1.maxAge', given?.maxAge, maxAgeMs, 1),
    };
  }

  rate(field: string, value: unknown): number {
    if (value === undefined) return Infinity;
    if (typeof value === 'number' && value > 0 && value < Infinity) return value;
    return this.fail(field, value, 'give a number above 0, for the fleet, or leave it out');
  }

  schema(value: unknown): string {
    if (value === undefined) return '1';
    if ((typeof value === 'string' && value !== '') || (typeof value === 'number' && Number.isFinite(value))) {
      return String(value);
    }
    return this.fail('schemaVersion', value, 'give a text or a number');
  }

  codec(value: DomainPolicyConfig['codec']): Policy['codec'] {
    if (value === undefined || value === 'json' || value === 'binary') return value ?? 'json';
    const own =
      typeof value === 'object' &&
      value !== null &&
      typeof value.encode === 'function' &&
      typeof value.decode === 'function';
    if (own && Number.isInteger(value.id) && value.id >= 64 && value.id <= 255) return value;
    return this.fail(
      'codec',
      own ? value.id : value,
      "use 'json', 'binary', or your own { id: 64 to 255, name, encode, decode }",
    );
  }
}

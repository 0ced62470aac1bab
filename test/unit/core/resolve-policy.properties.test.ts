import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CacheGuardConfigError } from '../../../lib/core/errors.js';
import type { DomainPolicyConfig, FreshnessOverrides, Policy } from '../../../lib/core/policy.js';
import { resolvePolicy } from '../../../lib/core/resolve-policy.js';

const garbage = fc.oneof(
  fc.constantFrom<unknown>(null, NaN, -1, Infinity, '', '5', 'x', true, 5n, Symbol('x'), 0, 2 ** 40),
  fc.constantFrom<unknown>([], {}, new Date(0), new Map(), () => 1, Object.create(null), /x/),
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withBoxedValues: true }),
);

const duration = fc.oneof(
  fc.integer({ min: 1, max: 600_000 }),
  fc.tuple(fc.integer({ min: 1, max: 90 }), fc.constantFrom('ms', 's', 'm', 'h')).map(([n, unit]) => `${n}${unit}`),
);

/** Mostly right, now and then anything at all. */
const mostly = (arbitrary: fc.Arbitrary<unknown>) =>
  fc.oneof(
    { arbitrary, weight: 40 },
    { arbitrary: fc.constant(undefined), weight: 8 },
    { arbitrary: garbage, weight: 1 },
  );

const optional = (fields: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record(Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, mostly(value)])), {
    requiredKeys: [],
  });

const stalePolicy = fc.oneof(
  fc.constantFrom('never', 'if-error', 'while-revalidate', 'validate', 'no-store'),
  optional({ whileRevalidate: duration, ifError: duration }),
);

const codec = { id: 64, name: 'own', encode: () => Buffer.alloc(0), decode: () => 0 };

const fields: Record<string, fc.Arbitrary<unknown>> = {
  softTtl: duration,
  hardTtl: duration,
  stalePolicy,
  jitter: fc.double({ min: 0, max: 0.5, noNaN: true }),
  negativeTtl: fc.oneof(duration, fc.constant('off')),
  isAbsent: fc.constant(() => false),
  isFailure: fc.constant(() => true),
  waitBudget: duration,
  loadTimeout: duration,
  softTimeout: fc.integer({ min: 0, max: 600 }),
  backoff: optional({ base: fc.integer({ min: 1, max: 500 }), max: fc.integer({ min: 500, max: 60_000 }) }),
  lease: optional({ keys: fc.constantFrom('all', 'none'), duration: fc.integer({ min: 100, max: 10_000 }) }),
  bulkhead: optional({ concurrency: fc.integer({ min: 1, max: 99 }), queue: fc.nat(99) }),
  maxLoadsPerSecond: fc.double({ min: 0.01, max: 1e6, noNaN: true }),
  breaker: fc.oneof(
    fc.integer({ min: 1, max: 9 }).map((failures) => ({ failures })),
    optional({ failures: fc.integer({ min: 1, max: 9 }), pause: duration }),
  ),
  l1: fc.oneof(
    fc.constant(false),
    optional({ maxEntries: fc.integer({ min: 1 }), maxBytes: fc.integer({ min: 1_024 }), maxAge: duration }),
  ),
  maxKeysInFlight: fc.integer({ min: 1, max: 99 }),
  maxKeysInFlightPerPrincipal: fc.integer({ min: 1, max: 99 }),
  scope: fc.constantFrom('public', 'private'),
  hashKeys: fc.boolean(),
  hitForMiss: duration,
  codec: fc.constantFrom('json', 'binary', codec),
  compressAbove: fc.oneof(fc.nat(), fc.constant(false)),
  maxValueBytes: fc.integer({ min: 1, max: 268_435_456 }),
  schemaVersion: fc.oneof(fc.nat(), fc.string({ minLength: 1 })),
  versionWindow: duration,
  probe: fc.constant(() => Promise.resolve(1n)),
  partition: fc.constant(() => 'tenant'),
  owner: fc.string(),
  because: fc.string(),
};

const freshness = fc.constantFrom('reference', 'experience', 'operational', 'critical');

const config = fc.oneof(
  // Few fields, so that many of these resolve …
  fc
    .tuple(freshness, fc.subarray(Object.keys(fields), { maxLength: 4 }))
    .chain(([kind, names]) =>
      fc
        .record(Object.fromEntries(names.map((name) => [name, fields[name]!])))
        .map((rest) => ({ freshness: kind, ...rest })),
    ),
  // … and all of them, some wrong.
  fc.tuple(mostly(freshness), optional(fields)).map(([kind, rest]) => ({ freshness: kind, ...rest })),
  fc
    .tuple(freshness, fc.dictionary(fc.string(), garbage, { maxKeys: 2 }))
    .map(([kind, rest]) => ({ ...rest, freshness: kind })),
  garbage,
);

const overrides = fc.oneof(
  { arbitrary: optional({ softTtl: duration, hardTtl: duration, stalePolicy }), weight: 9 },
  { arbitrary: garbage, weight: 1 },
);

function expectSound(policy: Policy): void {
  const { keep, softTtlMs, hardTtlMs, whileRevalidateMs, ifErrorMs, negativeTtlMs } = policy;
  expect(policy.domain).toBe('offers');
  if (keep === 'nothing') {
    expect([softTtlMs, hardTtlMs, whileRevalidateMs, ifErrorMs, negativeTtlMs]).toEqual([0, 0, 0, 0, undefined]);
  } else {
    expect(softTtlMs).toBeGreaterThan(0);
    expect(hardTtlMs).toBeGreaterThanOrEqual(softTtlMs);
  }
  expect(whileRevalidateMs).toBeGreaterThanOrEqual(0);
  expect(ifErrorMs).toBeGreaterThanOrEqual(whileRevalidateMs);
  expect(hardTtlMs - softTtlMs).toBeGreaterThanOrEqual(ifErrorMs);
  expect(policy.staleAllowed).toBe(ifErrorMs > 0);
  if (negativeTtlMs !== undefined) {
    expect(negativeTtlMs).toBeGreaterThan(0);
    expect(negativeTtlMs).toBeLessThanOrEqual(softTtlMs);
  }
  if (policy.freshness === 'critical') {
    expect(policy.staleAllowed).toBe(false);
    expect(negativeTtlMs).toBeUndefined();
  }
  if (keep === 'validated') {
    expect(policy.staleAllowed).toBe(false);
    expect(policy.probe).toBeTypeOf('function');
  }
  expect(policy.jitter >= 0 && policy.jitter <= 0.5).toBe(true);
  expect(policy.softTimeoutMs).toBeLessThanOrEqual(policy.loadTimeoutMs);
  expect(policy.backoffMaxMs).toBeGreaterThanOrEqual(policy.backoffBaseMs);
  expect(policy.leaseMs).toBeGreaterThanOrEqual(100);
  expect(Math.min(policy.waitBudgetMs, policy.loadTimeoutMs, policy.hitForMissMs, policy.concurrency)).toBeGreaterThan(
    0,
  );
  expect(policy.exclusive).toBeTypeOf('boolean');
  expect(policy.maxLoadsPerSecond).toBeGreaterThan(0);
  if (policy.breaker) expect(Math.min(policy.breaker.failures, policy.breaker.pauseMs)).toBeGreaterThan(0);
  if (policy.l1) {
    expect(policy.staleAllowed).toBe(true);
    expect(Math.min(...Object.values(policy.l1))).toBeGreaterThan(0);
  }
  expect(policy.schema).not.toBe('');
  for (const value of Object.values(policy)) expect(Number.isNaN(value) || value === null).toBe(false);
}

describe('resolvePolicy', () => {
  it('gives a sound policy, or an error that names domain and field; never anything else', () => {
    let [resolved, refused] = [0, 0];
    fc.assert(
      fc.property(config, fc.option(overrides, { nil: undefined }), (given, over) => {
        let policy: Policy;
        try {
          policy = resolvePolicy('offers', given as DomainPolicyConfig, over as FreshnessOverrides | undefined);
        } catch (error) {
          refused++;
          expect(error).toBeInstanceOf(CacheGuardConfigError);
          const { code, domain, field, message } = error as CacheGuardConfigError;
          expect([code, domain]).toEqual(['CG_INVALID_POLICY', 'offers']);
          expect(message.startsWith(`Cache domain 'offers': ${field} = `)).toBe(true);
          expect(message).toMatch(/ is refused; [^]+\.$/);
          return;
        }
        resolved++;
        expectSound(policy);
      }),
      { numRuns: 2_000 },
    );
    // A property that hardly ever saw one side would prove little.
    expect(Math.min(resolved, refused)).toBeGreaterThan(200);
  });

  it('gives the same policy again for the same configuration', () => {
    fc.assert(
      fc.property(freshness, duration, (kind, ttl) => {
        const given = { freshness: kind, softTtl: ttl, hardTtl: ttl, stalePolicy: 'never' } as DomainPolicyConfig;
        const resolve = () => {
          try {
            return resolvePolicy('offers', given);
          } catch (error) {
            return String(error);
          }
        };
        expect(resolve()).toEqual(resolve());
      }),
    );
  });
});

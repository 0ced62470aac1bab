/** Proven by the type checker: each `@ts-expect-error` fails the check when its line compiles. */
import { expectTypeOf } from 'vitest';
import type { Duration } from '../../lib/core/durations.js';
import type { DomainPolicies, DomainPolicyConfig, FreshnessOverrides, StalePolicy } from '../../lib/core/policy.js';

// Duration
// is milliseconds, or a number with its unit
expectTypeOf<30_000>().toExtend<Duration>();
expectTypeOf<'250ms' | '30s' | '5m' | '1h' | '1d' | '0.5s'>().toExtend<Duration>();
expectTypeOf<string>().not.toExtend<Duration>();
expectTypeOf<'30' | ''>().not.toExtend<Duration>();
expectTypeOf<'s'>().not.toExtend<Duration>();
expectTypeOf<'30 seconds'>().not.toExtend<Duration>();
expectTypeOf<'30sec'>().not.toExtend<Duration>();
expectTypeOf<'30S'>().not.toExtend<Duration>();
expectTypeOf<'5w'>().not.toExtend<Duration>();
expectTypeOf<'1h30m'>().not.toExtend<Duration>();
expectTypeOf<bigint | boolean | Date | null | undefined>().not.toExtend<Duration>();

// DomainPolicyConfig
// needs a freshness class, and takes the rest from it
expectTypeOf<{ freshness: 'critical' }>().toExtend<DomainPolicyConfig>();
expectTypeOf<DomainPolicyConfig['freshness']>().toEqualTypeOf<
  'reference' | 'experience' | 'operational' | 'critical'
>();
// @ts-expect-error: no class
void ({ softTtl: '30s' } satisfies DomainPolicyConfig);
// @ts-expect-error: no such class
void ({ freshness: 'fast' } satisfies DomainPolicyConfig);

// takes every option as documented
void ({
  freshness: 'experience',
  softTtl: '30s',
  hardTtl: 600_000,
  stalePolicy: { whileRevalidate: '1m', ifError: '5m' },
  jitter: 0.2,
  negativeTtl: 'off',
  isAbsent: (outcome) => 'error' in outcome,
  isFailure: (error) => error instanceof TypeError,
  waitBudget: '5s',
  loadTimeout: '3s',
  softTimeout: '200ms',
  backoff: { base: '1s', max: '10s' },
  lease: { keys: 'none', duration: '1s' },
  bulkhead: { concurrency: 4, queue: 10 },
  maxLoadsPerSecond: 0.5,
  breaker: { failures: 5, pause: '2s' },
  l1: { maxEntries: 100, maxBytes: 1_000_000, maxAge: '1s' },
  maxKeysInFlight: 100,
  hitForMiss: '1s',
  codec: { id: 64, name: 'own', encode: () => Buffer.alloc(0), decode: (bytes) => bytes.length },
  compressAbove: false,
  schemaVersion: 2,
  versionWindow: '2h',
  probe: async (key) => typeof key,
  partition: () => undefined,
  scope: 'private',
  hashKeys: true,
  maxKeysInFlightPerPrincipal: 10,
  owner: 'team-offers',
  because: 'marketing changes at most hourly',
} satisfies DomainPolicyConfig);

// refuses what is misspelt or of another type
const freshness = 'experience';
// @ts-expect-error: misspelt
void ({ freshness, softTTL: '30s' } satisfies DomainPolicyConfig);
// @ts-expect-error: no duration
void ({ freshness, softTtl: '30 seconds' } satisfies DomainPolicyConfig);
// @ts-expect-error: no duration
void ({ freshness, hardTtl: null } satisfies DomainPolicyConfig);
// @ts-expect-error: no duration, and not `off`
void ({ freshness, negativeTtl: false } satisfies DomainPolicyConfig);
// @ts-expect-error: no such policy
void ({ freshness, stalePolicy: 'always' } satisfies DomainPolicyConfig);
// @ts-expect-error: no such window
void ({ freshness, stalePolicy: { whileError: '1m' } } satisfies DomainPolicyConfig);
// @ts-expect-error: no duration in a window
void ({ freshness, stalePolicy: { ifError: true } } satisfies DomainPolicyConfig);
// @ts-expect-error: no object
void ({ freshness, lease: 5 } satisfies DomainPolicyConfig);
// @ts-expect-error: not among the keys' modes
void ({ freshness, lease: { keys: 'some' } } satisfies DomainPolicyConfig);
// @ts-expect-error: misspelt inside
void ({ freshness, bulkhead: { concurency: 4 } } satisfies DomainPolicyConfig);
// @ts-expect-error: a number, not a duration
void ({ freshness, maxLoadsPerSecond: '5s' } satisfies DomainPolicyConfig);
// @ts-expect-error: how many failures has no default
void ({ freshness, breaker: { pause: '1s' } } satisfies DomainPolicyConfig);
// @ts-expect-error: no duration
void ({ freshness, breaker: { failures: 1, pause: 'a second' } } satisfies DomainPolicyConfig);
void ({ freshness, l1: false } satisfies DomainPolicyConfig);
// @ts-expect-error: it is on by default; `true` would say nothing
void ({ freshness, l1: true } satisfies DomainPolicyConfig);
// @ts-expect-error: misspelt inside
void ({ freshness, l1: { max: 5 } } satisfies DomainPolicyConfig);
// @ts-expect-error: no object
void ({ freshness, backoff: '1s' } satisfies DomainPolicyConfig);
// @ts-expect-error: `true` would not say above what
void ({ freshness, compressAbove: true } satisfies DomainPolicyConfig);
// @ts-expect-error: no such codec
void ({ freshness, codec: 'yaml' } satisfies DomainPolicyConfig);
// @ts-expect-error: a probe asks the source
void ({ freshness, probe: () => 1n } satisfies DomainPolicyConfig);
// @ts-expect-error: partitions are texts
void ({ freshness, partition: () => 5 } satisfies DomainPolicyConfig);
// @ts-expect-error: scopes are public or private
void ({ freshness, scope: 'shared' } satisfies DomainPolicyConfig);
// @ts-expect-error: says yes or no
void ({ freshness, isAbsent: () => 'maybe' } satisfies DomainPolicyConfig);

// is checked per domain
void ({ offers: { freshness: 'reference' }, balances: { freshness: 'critical' } } satisfies DomainPolicies);
// @ts-expect-error: the second has no class
void ({ offers: { freshness: 'reference' }, balances: { softTtl: '1s' } } satisfies DomainPolicies);

// what one method overrides
// is freshness within the class, never the class
expectTypeOf<keyof FreshnessOverrides>().toEqualTypeOf<'softTtl' | 'hardTtl' | 'stalePolicy' | 'scope'>();
expectTypeOf<StalePolicy>().toEqualTypeOf<NonNullable<FreshnessOverrides['stalePolicy']>>();
// @ts-expect-error: the class is the domain's
void ({ freshness: 'reference' } satisfies FreshnessOverrides);

import { describe, it, expect } from 'vitest';
import { resolvePolicy } from '../../../lib/core/resolve-policy.js';
import { expectRefusal, refusal, resolve } from './policies.js';

const experience = { freshness: 'experience' } as const;
const RECONCILE = { every: '1m', versions: async () => [] };

describe('contradictions and nonsense', () => {
  it.each<[field: string, value: unknown, config: object, mend: RegExp | string]>([
    ['softTtl', '2m', { softTtl: '2m', hardTtl: '1m' }, /at most hardTtl \('1m'\)/],
    ['negativeTtl', '31s', { negativeTtl: '31s' }, /at most softTtl \(30s\)/],
    ['negativeTtl', 6000, { softTtl: '5s', negativeTtl: 6000 }, /at most softTtl \(5s\)/],
    ['probe', undefined, { stalePolicy: 'validate' }, 'probe: (key) => Promise<version>'],
    ['softTtl', '1s', { stalePolicy: 'no-store', softTtl: '1s' }, 'leave it out'],
    ['hardTtl', 5, { stalePolicy: 'no-store', hardTtl: 5 }, 'leave it out'],
    ['negativeTtl', '1s', { stalePolicy: 'no-store', negativeTtl: '1s' }, 'leave it out'],
    ['softTimeout', '2s', { softTimeout: '2s', loadTimeout: '1s' }, /at most loadTimeout \(1s\)/],
    ['backoff.max', '1s', { backoff: { base: '2s', max: '1s' } }, 'at least 2s'],
    ['lease.duration', '99ms', { lease: { duration: '99ms' } }, 'at least 100ms'],
    ['softTtl', 0, { softTtl: 0 }, 'at least 1ms'],
    ['hardTtl', '0s', { hardTtl: '0s' }, 'at least 1ms'],
    ['softTtl', '50d', { softTtl: '50d' }, 'at most 49d'],
    ['stalePolicy.ifError', 'soon', { stalePolicy: { ifError: 'soon' } }, 'with its unit'],
    ['stalePolicy.while', '1m', { stalePolicy: { while: '1m' } }, 'whileRevalidate, ifError'],
    ['jitter', 0.6, { jitter: 0.6 }, 'from 0 to 0.5'],
    ['jitter', NaN, { jitter: NaN }, 'from 0 to 0.5'],
    ['bulkhead.concurrency', 0, { bulkhead: { concurrency: 0 } }, 'from 1'],
    ['bulkhead.queue', 1.5, { bulkhead: { queue: 1.5 } }, 'whole number'],
    ['bulkhead.size', 4, { bulkhead: { size: 4 } }, 'concurrency, queue'],
    ['maxLoadsPerSecond', 0, { maxLoadsPerSecond: 0 }, 'a number above 0'],
    ['maxLoadsPerSecond', -1, { maxLoadsPerSecond: -1 }, 'a number above 0'],
    ['maxLoadsPerSecond', NaN, { maxLoadsPerSecond: NaN }, 'a number above 0'],
    ['maxLoadsPerSecond', Infinity, { maxLoadsPerSecond: Infinity }, 'or leave it out'],
    ['maxLoadsPerSecond', '5s', { maxLoadsPerSecond: '5s' }, 'a number above 0'],
    ['maxLoadsPerSecond', null, { maxLoadsPerSecond: null }, 'a number above 0'],
    ['breaker.failures', undefined, { breaker: {} }, 'in a row'],
    ['breaker.failures', 0, { breaker: { failures: 0 } }, 'from 1'],
    ['breaker.failures', 1.5, { breaker: { failures: 1.5 } }, 'whole number'],
    ['breaker.failures', '5', { breaker: { failures: '5' } }, 'whole number'],
    ['breaker.pause', 0, { breaker: { failures: 1, pause: 0 } }, 'at least 1ms'],
    ['breaker.pause', 'soon', { breaker: { failures: 1, pause: 'soon' } }, 'with its unit'],
    ['breaker.failure', 1, { breaker: { failure: 1 } }, 'failures, pause'],
    ['l1.maxEntries', 0, { l1: { maxEntries: 0 } }, 'from 1'],
    ['l1.maxEntries', 1.5, { l1: { maxEntries: 1.5 } }, 'whole number'],
    ['l1.maxBytes', 1_023, { l1: { maxBytes: 1_023 } }, 'from 1024'],
    ['l1.maxBytes', '1mb', { l1: { maxBytes: '1mb' } }, 'whole number'],
    ['l1.maxAge', 0, { l1: { maxAge: 0 } }, 'at least 1ms'],
    ['l1.size', 5, { l1: { size: 5 } }, 'maxEntries, maxBytes, maxAge'],
    ['lease.keys', 'hot', { lease: { keys: 'hot' } }, 'all, none'],
    ['lease.keys', null, { lease: { keys: null } }, 'all, none'],
    ['lease.duraton', '5s', { lease: { duraton: '5s' } }, 'keys, duration'],
    ['backoff.min', 5, { backoff: { min: 5 } }, 'base, max'],
    ['scope', 'shared', { scope: 'shared' }, 'public, private'],
    ['scope', null, { scope: null }, 'public, private'],
    ['scope', 'private', { scope: 'private', reconcile: RECONCILE }, 'leave one of the two out'],
    ['hashKeys', true, { hashKeys: true, reconcile: RECONCILE }, 'or set encrypt'],
    ['hashKeys', 'yes', { hashKeys: 'yes' }, 'true or false'],
    ['maxKeysInFlightPerPrincipal', 0, { maxKeysInFlightPerPrincipal: 0 }, 'from 1'],
    ['maxKeysInFlight', '5', { maxKeysInFlight: '5' }, 'whole number'],
    ['maxValueBytes', 0, { maxValueBytes: 0 }, 'from 1 to 268435456'],
    ['maxValueBytes', 268_435_457, { maxValueBytes: 268_435_457 }, 'from 1 to 268435456'],
    ['maxValueBytes', 1.5, { maxValueBytes: 1.5 }, 'whole number'],
    ['maxValueBytes', '4 MiB', { maxValueBytes: '4 MiB' }, 'whole number'],
    ['compressAbove', true, { compressAbove: true }, 'whole number'],
    ['schemaVersion', '', { schemaVersion: '' }, 'text or a number'],
    ['schemaVersion', NaN, { schemaVersion: NaN }, 'text or a number'],
    ['codec', 'yaml', { codec: 'yaml' }, "'json', 'binary'"],
    ['codec', 63, { codec: { id: 63, encode() {}, decode() {} } }, '64 to 255'],
    ['codec', { id: 64 }, { codec: { id: 64 } }, '64 to 255'],
    ['owner', 5, { owner: 5 }, 'text'],
    ['isAbsent', 'null', { isAbsent: 'null' }, 'function'],
    ['probe', 5, { stalePolicy: 'validate', probe: 5 }, 'function'],
    ['ttl', '5m', { ttl: '5m' }, 'no such field'],
    ['softTTL', '5m', { softTTL: '5m' }, 'no such field'],
  ])('%s = %o', (field, value, config, mend) => {
    expectRefusal(
      refusal(() => resolve({ ...experience, ...config })),
      field,
      value,
      mend,
    );
  });

  it.each(
    [
      'softTtl',
      'hardTtl',
      'negativeTtl',
      'waitBudget',
      'loadTimeout',
      'softTimeout',
      'hitForMiss',
      'versionWindow',
    ].flatMap((field) =>
      ['5 minutes', '5', '-5s', '', null, true, -1, Infinity, [], {}].map((value) => [field, value] as const),
    ),
  )('no duration: %s = %j', (field, value) => {
    expectRefusal(
      refusal(() => resolve({ ...experience, [field]: value })),
      field,
      value,
      'a number, or a string with its unit',
    );
  });

  it.each(
    (['lease', 'bulkhead', 'backoff', 'breaker', 'l1'] as const).flatMap((field) =>
      [5, null, 'x', '', true, [], ['all'], new Date(0), new Map(), () => ({})].map((value) => [field, value] as const),
    ),
  )('no object: %s = %o', (field, value) => {
    expectRefusal(
      refusal(() => resolve({ ...experience, [field]: value })),
      field,
      value,
      'give an object with ',
    );
  });

  it.each(['always', 'NEVER', '', 'toString', null, 5, true, [], ['never'], new Date(0), new Map(), () => 'never'])(
    'stalePolicy = %o',
    (value) => {
      expectRefusal(
        refusal(() => resolve({ ...experience, stalePolicy: value })),
        'stalePolicy',
        value,
        'use one of never, if-error, while-revalidate, validate, no-store',
      );
    },
  );

  it.each(['fast', '', 'constructor', '__proto__', undefined, null, 5, ['critical'], { toString: () => 'critical' }])(
    'freshness = %o',
    (value) => {
      expectRefusal(
        refusal(() => resolve({ freshness: value })),
        'freshness',
        value,
        'use one of reference, experience, operational, critical',
      );
    },
  );

  it.each([undefined, null, 5, 'critical', [], new Map([['freshness', 'critical']])])('policy = %o', (value) => {
    expectRefusal(
      refusal(() => resolve(value)),
      'policy',
      value,
      'an object with a freshness class',
    );
  });

  it('refuses a field named __proto__ as any other unknown one', () => {
    const config: unknown = JSON.parse('{ "freshness": "experience", "__proto__": { "softTtl": "1d" } }');
    expectRefusal(
      refusal(() => resolve(config)),
      '__proto__',
      { softTtl: '1d' },
      'no such field',
    );
  });

  it.each(['', '__proto__', 'a:b', 'a b', '1a', '-a', 'a.b', 'a{b}', 'a\n', 'ä', '../a', 'x'.repeat(65)])(
    'domain name %j',
    (domain) => {
      const error = refusal(() => resolvePolicy(domain, experience));
      expect(error).toMatchObject({ code: 'CG_INVALID_POLICY', domain, field: 'name' });
      expect(error.message).toContain(`'${domain}'`);
    },
  );

  it.each(['a', 'offers', 'Offers-v2_x', 'x'.repeat(64)])('accepts the domain name %s', (domain) => {
    expect(resolvePolicy(domain, experience).domain).toBe(domain);
  });
});

import { describe, expect, it } from 'vitest';
import { expectRefusal, refusal, resolve } from './policies.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const spelledOut = { freshness: 'operational', softTtl: '5s', hardTtl: '1m', stalePolicy: 'if-error' } as const;
const probe = () => Promise.resolve(1n);

describe('freshness classes', () => {
  it('reference: 10 m soft; stale until an age of 1 h, on error of 24 h; absence for 1 m', () => {
    const policy = resolve({ freshness: 'reference' });
    expect(policy).toMatchObject({ keep: 'entry', softTtlMs: 10 * MINUTE, hardTtlMs: 24 * HOUR, staleAllowed: true });
    expect(policy.softTtlMs + policy.whileRevalidateMs).toBe(HOUR);
    expect(policy.softTtlMs + policy.ifErrorMs).toBe(24 * HOUR);
    expect(policy.negativeTtlMs).toBe(MINUTE);
  });

  it('experience: 30 s soft; stale until an age of 2 m, on error of 10 m; absence for 10 s', () => {
    const policy = resolve({ freshness: 'experience' });
    expect(policy).toMatchObject({ keep: 'entry', softTtlMs: 30 * SECOND, hardTtlMs: 10 * MINUTE, staleAllowed: true });
    expect(policy.softTtlMs + policy.whileRevalidateMs).toBe(2 * MINUTE);
    expect(policy.softTtlMs + policy.ifErrorMs).toBe(10 * MINUTE);
    expect(policy.negativeTtlMs).toBe(10 * SECOND);
  });

  it('operational: as spelled out, and no absence unless set', () => {
    expect(resolve(spelledOut)).toMatchObject({
      softTtlMs: 5 * SECOND,
      hardTtlMs: MINUTE,
      whileRevalidateMs: 0,
      ifErrorMs: 55 * SECOND,
      negativeTtlMs: undefined,
    });
    expect(resolve({ ...spelledOut, negativeTtl: '2s' }).negativeTtlMs).toBe(2 * SECOND);
  });

  it.each(['softTtl', 'hardTtl', 'stalePolicy'] as const)('operational: %s has no default', (field) => {
    const { [field]: _, ...rest } = spelledOut;
    const error = refusal(() => resolve(rest));
    expectRefusal(error, field, undefined, 'must spell out softTtl, hardTtl and stalePolicy');
  });

  it('operational: without TTLs where nothing is kept', () => {
    expect(resolve({ freshness: 'operational', stalePolicy: 'no-store' }).keep).toBe('nothing');
  });

  it('critical: 2 s, never stale, no absence', () => {
    expect(resolve({ freshness: 'critical' })).toMatchObject({
      keep: 'entry',
      softTtlMs: 2 * SECOND,
      hardTtlMs: 2 * SECOND,
      whileRevalidateMs: 0,
      ifErrorMs: 0,
      staleAllowed: false,
      negativeTtlMs: undefined,
    });
  });

  it.each(['if-error', 'while-revalidate', { whileRevalidate: '1s' }, { ifError: '1s' }, { ifError: 0 }, {}])(
    'critical: refuses stalePolicy %j',
    (stalePolicy) => {
      const error = refusal(() => resolve({ freshness: 'critical', hardTtl: '1m', stalePolicy }));
      expectRefusal(error, 'stalePolicy', stalePolicy, "use 'never', 'validate' or 'no-store'");
    },
  );

  it.each(['never', 'no-store', 'validate'] as const)('critical: accepts stalePolicy %s', (stalePolicy) => {
    expect(resolve({ freshness: 'critical', stalePolicy, probe }).staleAllowed).toBe(false);
  });

  it('critical: refuses a negative TTL, accepts that it is off', () => {
    const error = refusal(() => resolve({ freshness: 'critical', negativeTtl: '1s' }));
    expectRefusal(error, 'negativeTtl', '1s', 'keeps no absence');
    expect(resolve({ freshness: 'critical', negativeTtl: 'off' }).negativeTtlMs).toBeUndefined();
  });

  it('shortens the preset soft and negative TTL to what the domain sets', () => {
    const policy = resolve({ freshness: 'reference', hardTtl: '5s' });
    expect(policy).toMatchObject({ softTtlMs: 5_000, hardTtlMs: 5_000, staleAllowed: false, negativeTtlMs: 5_000 });
  });
});

describe('stale policies', () => {
  const within = { freshness: 'experience', softTtl: '30s', hardTtl: '10m' } as const;
  const room = 570 * SECOND;

  it.each([
    ['never', 0, 0],
    ['if-error', 0, room],
    ['while-revalidate', room, room],
    [{ whileRevalidate: '1m', ifError: '2m' }, MINUTE, 2 * MINUTE],
    [{ whileRevalidate: '1m' }, MINUTE, MINUTE],
    [{ ifError: '1m' }, 0, MINUTE],
    [{ whileRevalidate: '2m', ifError: '1m' }, 2 * MINUTE, 2 * MINUTE],
    [{ whileRevalidate: '1h', ifError: '1d' }, room, room],
    [{ whileRevalidate: 0, ifError: 0 }, 0, 0],
    [{ whileRevalidate: undefined }, 0, 0],
    [{}, 0, 0],
  ])('%j gives windows of %d and %d ms', (stalePolicy, whileRevalidateMs, ifErrorMs) => {
    expect(resolve({ ...within, stalePolicy })).toMatchObject({
      keep: 'entry',
      hardTtlMs: 10 * MINUTE,
      whileRevalidateMs,
      ifErrorMs,
      staleAllowed: ifErrorMs > 0,
    });
  });

  it('takes the windows of the class where no hard TTL bounds them', () => {
    const named = resolve({ freshness: 'experience', stalePolicy: 'while-revalidate' });
    expect(named).toMatchObject({ hardTtlMs: 10 * MINUTE, whileRevalidateMs: room, ifErrorMs: room });
    expect(resolve({ freshness: 'experience', stalePolicy: 'never' }).hardTtlMs).toBe(30 * SECOND);
    expect(resolve({ freshness: 'experience', stalePolicy: { ifError: '1m' } }).hardTtlMs).toBe(90 * SECOND);
  });

  it('validate keeps for the source to confirm, no-store keeps nothing', () => {
    expect(resolve({ ...within, stalePolicy: 'validate', probe })).toMatchObject({
      keep: 'validated',
      probe,
      staleAllowed: false,
      hardTtlMs: 10 * MINUTE,
    });
    expect(resolve({ freshness: 'experience', stalePolicy: 'no-store', negativeTtl: 'off' })).toMatchObject({
      keep: 'nothing',
      softTtlMs: 0,
      hardTtlMs: 0,
      staleAllowed: false,
      negativeTtlMs: undefined,
    });
  });
});

describe('the tier in memory', () => {
  const tier = { maxEntries: 1_000, maxBytes: 16 * 1024 * 1024 };

  it('is there where stale serving is allowed; an operational value is asked for again after a second', () => {
    expect(resolve({ freshness: 'reference' }).l1).toEqual({ ...tier, maxAgeMs: Infinity });
    expect(resolve(spelledOut).l1).toEqual({ ...tier, maxAgeMs: 1_000 });
    expect(resolve({ ...spelledOut, l1: { maxAge: '3s' } }).l1).toEqual({ ...tier, maxAgeMs: 3_000 });
  });

  it('can be switched off', () => {
    expect(resolve({ freshness: 'reference', l1: false }).l1).toBeUndefined();
    expect(resolve({ freshness: 'critical', l1: false }).l1).toBeUndefined();
  });

  it.each([
    { freshness: 'critical' },
    { freshness: 'experience', stalePolicy: 'never' },
    { freshness: 'experience', stalePolicy: 'no-store' },
    { freshness: 'experience', stalePolicy: 'validate', probe },
    { freshness: 'experience', stalePolicy: { whileRevalidate: 0, ifError: 0 } },
  ])('is not there for %o, and cannot be asked for', (config) => {
    expect(resolve(config).l1).toBeUndefined();
    const error = refusal(() => resolve({ ...config, l1: {} }));
    expectRefusal(
      error,
      'l1',
      {},
      config.freshness === 'critical' ? 'choose another freshness class' : 'allow stale serving',
    );
  });

  it('is not there for a method that narrows its domain to never', () => {
    const domain = { freshness: 'experience', l1: { maxEntries: 5 } } as const;
    expect(resolve(domain, { stalePolicy: 'never' }).l1).toBeUndefined();
    expect(resolve(domain, { softTtl: '5s' }).l1).toMatchObject({ maxEntries: 5 });
  });
});

const partition = () => 'tenant';

const http = (status: number) => Object.assign(new Error('http'), { getStatus: () => status });

const experience = { freshness: 'experience' } as const;

describe('what one method overrides', () => {
  const base = { ...experience, softTtl: '30s', hardTtl: '10m', stalePolicy: 'while-revalidate' } as const;

  it('narrows or widens within the class', () => {
    expect(resolve(base, { softTtl: '5s', hardTtl: '1m', stalePolicy: 'if-error' })).toMatchObject({
      softTtlMs: 5_000,
      hardTtlMs: MINUTE,
      whileRevalidateMs: 0,
      ifErrorMs: 55_000,
      negativeTtlMs: 5_000,
    });
    expect(resolve(base, { hardTtl: '1h' }).ifErrorMs).toBe(HOUR - 30 * SECOND);
  });

  it('leaves the domain’s own where nothing is set', () => {
    const unset = { softTtl: undefined, hardTtl: undefined, stalePolicy: undefined };
    expect(resolve(base, unset)).toEqual(resolve(base));
  });

  it('cannot make a critical domain stale, and says who tried', () => {
    const error = refusal(() => resolve({ freshness: 'critical' }, { stalePolicy: 'if-error' }, 'Balances.of'));
    expectRefusal(error, 'stalePolicy', 'if-error', 'never served stale');
    expect(error.message).toContain('(set by Balances.of)');
  });

  it.each([
    [{ softTtl: '20m' }, 'softTtl', '20m', 'at most hardTtl'],
    [{ hardTtl: '10s' }, 'softTtl', '30s', 'at most hardTtl'],
    [{ stalePolicy: 'validate' }, 'probe', undefined, 'needs probe'],
    [{ softTtl: 'x' }, 'softTtl', 'x', 'with its unit'],
    [{ softTtl: null }, 'softTtl', null, 'with its unit'],
    [{ freshness: 'reference' }, 'overrides.freshness', 'reference', 'softTtl, hardTtl, stalePolicy, scope'],
    [{ negativeTtl: '1s' }, 'overrides.negativeTtl', '1s', 'softTtl, hardTtl, stalePolicy, scope'],
  ])('refuses %j', (overrides, field, value, mend) => {
    expectRefusal(
      refusal(() => resolve(base, overrides)),
      field,
      value,
      mend,
    );
  });

  it.each([null, 5, 'softTtl', []])('refuses %j instead of overrides', (overrides) => {
    expect(refusal(() => resolve(base, overrides)).field).toBe('overrides');
  });
});

describe('defaults', () => {
  it('are those of the documentation', () => {
    expect(resolve(experience)).toMatchObject({
      jitter: 0.1,
      loadTimeoutMs: 10_000,
      softTimeoutMs: 500,
      leaseMs: 2_000,
      waitBudgetMs: 22_000,
      backoffBaseMs: 1_000,
      backoffMaxMs: 30_000,
      exclusive: true,
      concurrency: 16,
      queue: 1_000,
      maxLoadsPerSecond: Infinity,
      breaker: undefined,
      l1: { maxEntries: 1_000, maxBytes: 16 * 1024 * 1024, maxAgeMs: Infinity },
      maxKeysInFlight: 10_000,
      maxKeysInFlightPerPrincipal: 100,
      scope: 'public',
      hashKeys: false,
      hitForMissMs: 5_000,
      codec: 'json',
      compressAbove: 16_384,
      maxValueBytes: 4_194_304,
      schema: '1',
      versionWindowMs: HOUR,
      probe: undefined,
      partition: undefined,
      owner: undefined,
      because: undefined,
    });
  });

  it('give way to what is set', () => {
    const codec = { id: 64, name: 'own', encode: () => Buffer.alloc(0), decode: () => 0 };
    expect(
      resolve({
        ...experience,
        jitter: 0.5,
        loadTimeout: '100ms',
        lease: { keys: 'none', duration: '1s' },
        compressAbove: false,
        codec,
        backoff: { base: '40s' },
        bulkhead: { concurrency: 1, queue: 0 },
        maxLoadsPerSecond: 0.5,
        breaker: { failures: 1, pause: '10s' },
        l1: { maxEntries: 1, maxBytes: 1_024, maxAge: '5s' },
        maxKeysInFlight: 1,
        maxKeysInFlightPerPrincipal: 2,
        scope: 'private',
        hashKeys: true,
        schemaVersion: 2,
        versionWindow: 0,
        hitForMiss: 1,
        partition,
        probe,
        owner: 'team',
        because: 'reasons',
      }),
    ).toMatchObject({
      jitter: 0.5,
      loadTimeoutMs: 100,
      softTimeoutMs: 100,
      leaseMs: 1_000,
      waitBudgetMs: 1_200,
      exclusive: false,
      compressAbove: Infinity,
      codec,
      backoffBaseMs: 40_000,
      backoffMaxMs: 40_000,
      concurrency: 1,
      queue: 0,
      maxLoadsPerSecond: 0.5,
      breaker: { failures: 1, pauseMs: 10_000 },
      l1: { maxEntries: 1, maxBytes: 1_024, maxAgeMs: 5_000 },
      maxKeysInFlight: 1,
      maxKeysInFlightPerPrincipal: 2,
      scope: 'private',
      hashKeys: true,
      schema: '2',
      versionWindowMs: 0,
      hitForMissMs: 1,
      partition,
      probe,
      owner: 'team',
      because: 'reasons',
    });
  });

  it('let a broken source rest for a second, and each bound of the memory tier stand for itself', () => {
    expect(resolve({ ...experience, breaker: { failures: 5 } }).breaker).toEqual({ failures: 5, pauseMs: 1_000 });
    expect(resolve({ ...experience, l1: { maxEntries: 5 } }).l1).toEqual({
      maxEntries: 5,
      maxBytes: 16 * 1024 * 1024,
      maxAgeMs: Infinity,
    });
  });

  it('take null and undefined for absence, and every throw but an HTTP answer for a failure', () => {
    const { isAbsent, isFailure } = resolve(experience);
    expect([null, undefined, 0, '', false, []].map((value) => isAbsent({ value }))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
    expect(isAbsent({ error: undefined })).toBe(false);
    expect([http(404), http(499), http(500), http(503)].map(isFailure)).toEqual([false, false, true, true]);
    expect([new Error('x'), 'x', null, undefined, { getStatus: 404 }].map(isFailure)).toEqual([
      true,
      true,
      true,
      true,
      true,
    ]);
  });

  it('cannot be changed afterwards', () => {
    expect(Object.isFrozen(resolve(experience))).toBe(true);
  });
});

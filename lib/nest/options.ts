import { createSecretKey, type KeyObject } from 'node:crypto';
import { parseDuration, type Duration } from '../core/durations.js';
import { OptionsChecker } from '../core/field-checker.js';
import type { Sealer } from '../core/sealing.js';
import type { DomainPolicies } from '../core/policy.js';
import { readEncryption, type EncryptionOptions } from './encryption-options.js';
import { readEvents, type EventsOptions, type EventsSettings, type Role } from './events/events-options.js';
import type { PrincipalFunction } from './http/request-scope.js';
import {
  readConnection,
  type Cluster,
  type Redis,
  type RedisConnection,
  type RedisOptions,
} from './redis-connection.js';
import { readWarmings, type ModuleWarmingOptions } from './warming/warming-options.js';

/**
 * Takes an action to be run after the commit of the transaction that is open in the caller's context.
 *
 * @returns `true`: a transaction is open and the action will run once, after its commit (and never after a rollback);
 * `false`: no transaction is open, the action is run now by the caller. A throw fails the guarded call.
 */
export type AfterCommit = (action: () => Promise<void>) => boolean;

export type UnsupportedRedis = 'embedded' | 'refuse';

/** What `CacheGuardModule.forRoot` takes. With none of the three Redis options the embedded memory store is used. */
export interface CacheGuardModuleOptions {
  /** Keeps applications apart that share a Redis: 1 to 64 letters, digits, `_`, `.` and `-`. */
  readonly namespace: string;
  /** Connection options of ioredis. */
  readonly redis?: RedisOptions;
  /** `redis://` or `rediss://`. */
  readonly redisUrl?: string;
  /** A client or Cluster of yours; connections are duplicated from it, and it is neither used nor closed. */
  readonly existingClient?: Redis | Cluster;
  /** How long one Redis command may take before it counts as failed. Default `'1s'`. */
  readonly commandTimeout?: Duration;
  /**
   * What to do at boot about a Redis older than 7.0. `'embedded'`: one warning, and the memory store of this process takes its place;
   * `'refuse'`: the boot fails with `CG_UNSUPPORTED_REDIS`. Default `'embedded'`.
   */
  readonly unsupportedRedis?: UnsupportedRedis;
  /** The policies of bounded contexts, by domain; `forFeature` adds to them. */
  readonly domains?: DomainPolicies;
  /** Domain events that the cache follows. */
  readonly events?: EventsOptions;
  /** What is loaded ahead, at the start and again; `@Warmed` methods are added to it. */
  readonly warming?: readonly ModuleWarmingOptions[];
  /**
   * `'web'`: hands refreshes that events cause to the workers of the fleet, over Redis. `'worker'` and `'both'`: does them as well.
   * Default `'both'`.
   */
  readonly role?: Role;
  /**
   * Who a call is made for; part of every key of scope `'private'`. `context` is that of the handler in whose call we are; outside of one
   * it is left out: ask an AsyncLocalStorage of yours, or give `undefined`, and what is private is not cached. Called at each such read.
   */
  readonly principal?: PrincipalFunction;
  /**
   * For the domains with `hashKeys`: at least 16 bytes, the same in all processes, and not one that is used elsewhere. With another one
   * every key is another key: what is cached is loaded again.
   */
  readonly keySecret?: string | Buffer;
  /** The keys of the domains with `encrypt`; the same in all processes. Default: none, and no domain may encrypt. */
  readonly encryption?: EncryptionOptions;
  /** Defers the invalidations of `@Invalidates` and `@Refreshes` until a transaction has committed. Default: none is open. */
  readonly afterCommit?: AfterCommit;
  /**
   * `false`: `@Cached` methods run uncached. Invalidations are still carried out, because other processes may go on caching, and
   * `CacheGuard` used by hand is not affected. Default `true`.
   */
  readonly enabled?: boolean;
}

/** The options with defaults applied. */
export interface Settings {
  readonly namespace: string;
  /** `undefined`: the embedded memory store. */
  readonly connect: RedisConnection | undefined;
  readonly commandTimeoutMs: number;
  readonly unsupportedRedis: UnsupportedRedis;
  readonly domains: DomainPolicies;
  readonly events: EventsSettings;
  readonly role: Role;
  readonly warming: readonly ModuleWarmingOptions[];
  readonly principal: PrincipalFunction | undefined;
  readonly keySecret: KeyObject | undefined;
  readonly sealer: Sealer | undefined;
  readonly afterCommit: AfterCommit | undefined;
  readonly enabled: boolean;
}

const ROLES: readonly Role[] = ['web', 'worker', 'both'];
const LEAST_SECRET_BYTES = 16;
const NAMESPACE = /^[A-Za-z0-9_.-]{1,64}$/;
const KNOWN: Readonly<Record<keyof CacheGuardModuleOptions, true>> = {
  namespace: true,
  redis: true,
  redisUrl: true,
  existingClient: true,
  commandTimeout: true,
  unsupportedRedis: true,
  domains: true,
  events: true,
  role: true,
  warming: true,
  principal: true,
  keySecret: true,
  encryption: true,
  afterCommit: true,
  enabled: true,
};

const check: OptionsChecker = new OptionsChecker('CacheGuardModule');

/**
 * @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) naming the field, the value and the mend
 */
export function readOptions(given: CacheGuardModuleOptions): Settings {
  if (!isObject(given)) check.fail('options', given, 'give an object with at least a namespace');
  for (const field of Object.keys(given)) {
    if (!Object.hasOwn(KNOWN, field)) {
      check.failSecret(
        field,
        given[field as keyof CacheGuardModuleOptions],
        'there is no such option; check the spelling',
      );
    }
  }
  const {
    namespace,
    unsupportedRedis = 'embedded',
    domains = {},
    role = 'both',
    principal,
    afterCommit,
    enabled = true,
  } = given;
  if (typeof namespace !== 'string' || !NAMESPACE.test(namespace)) {
    check.fail(
      'namespace',
      namespace,
      'give 1 to 64 letters, digits, _, . and -, the same in all processes of the application',
    );
  }
  if (unsupportedRedis !== 'embedded' && unsupportedRedis !== 'refuse') {
    check.fail('unsupportedRedis', unsupportedRedis, "give 'embedded' or 'refuse'");
  }
  if (!isObject(domains)) check.fail('domains', domains, 'give an object from domain names to policies');
  if (principal !== undefined && typeof principal !== 'function') {
    check.fail('principal', principal, 'give a function (context) => string | undefined');
  }
  if (afterCommit !== undefined && typeof afterCommit !== 'function') {
    check.fail('afterCommit', afterCommit, 'give a function (action) => boolean');
  }
  if (typeof enabled !== 'boolean') check.fail('enabled', enabled, 'give true or false');
  const connect = readConnection(
    check,
    { options: given.redis, url: given.redisUrl, client: given.existingClient },
    { options: 'redis', url: 'redisUrl', client: 'existingClient' },
  );
  if (!ROLES.includes(role)) check.fail('role', role, `give one of ${ROLES.join(', ')}`);
  if (role === 'web' && !connect) {
    const mend =
      'without Redis there is no worker to hand work to: leave it out, or give one of redis, redisUrl and existingClient';
    check.fail('role', role, mend);
  }
  return {
    namespace,
    connect,
    commandTimeoutMs: readCommandTimeout(given.commandTimeout),
    unsupportedRedis,
    domains,
    events: readEvents(given.events),
    role,
    warming: readWarmings(given.warming),
    principal,
    keySecret: readKeySecret(given.keySecret),
    sealer: readEncryption(check, given.encryption, namespace),
    afterCommit,
    enabled,
  };
}

function readKeySecret(given: unknown): KeyObject | undefined {
  if (given === undefined) return undefined;
  const bytes = typeof given === 'string' ? Buffer.from(given) : given;
  if (!(bytes instanceof Uint8Array) || bytes.length < LEAST_SECRET_BYTES) {
    check.failSecret(
      'keySecret',
      given,
      `give a text or bytes, at least ${LEAST_SECRET_BYTES} bytes, of a random kind`,
    );
  }
  // Unlike a text or bytes, it shows nothing of itself in logs and dumps.
  return createSecretKey(bytes);
}

function readCommandTimeout(given: unknown): number {
  if (given === undefined) return 1_000;
  const ms = parseDuration(given);
  if (ms === undefined || ms < 1) {
    check.fail(
      'commandTimeout',
      given,
      "give milliseconds as a number, or a string with its unit such as '250ms' or '1s', at least 1ms",
    );
  }
  return ms;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

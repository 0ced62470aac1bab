import { hostname } from 'node:os';

/** What the environment says; everything has a default. */
export interface SampleConfig {
  readonly port: number;
  /** Shown on the page, to tell the instances of a fleet apart. */
  readonly instance: string;
  /** Left out: the guard's embedded memory store, for this process alone. */
  readonly redisUrl?: string | undefined;
  /** Left out: an embedded Postgres, in memory. */
  readonly databaseUrl?: string | undefined;
  /** Left out: made from the identity of the database, so that no cache outlives its source. */
  readonly namespace?: string | undefined;
  /** What every query costs, on top of its own time. */
  readonly originDelayMs: number;
  /** What every query costs while the page's switch says "slow". */
  readonly originSlowMs: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws Error that names the variable, the value and the mend */
export function readConfig(env: Environment): SampleConfig {
  const port = wholeNumber(env, 'PORT', 3000, 65_535);
  return {
    port,
    instance: text(env, 'INSTANCE_NAME') ?? `${hostname()}:${port}`,
    redisUrl: url(env, 'REDIS_URL', /^rediss?:\/\/./, 'redis://localhost:6379'),
    databaseUrl: url(env, 'DATABASE_URL', /^postgres(ql)?:\/\/./, 'postgres://user:password@localhost:5432/bank'),
    namespace: text(env, 'NAMESPACE'),
    originDelayMs: wholeNumber(env, 'ORIGIN_DELAY_MS', 150, 60_000),
    originSlowMs: wholeNumber(env, 'ORIGIN_SLOW_MS', 3_000, 60_000),
  };
}

function text(env: Environment, name: string): string | undefined {
  return env[name]?.trim() || undefined;
}

function wholeNumber(env: Environment, name: string, fallback: number, most: number): number {
  const given = text(env, name);
  if (given === undefined) return fallback;
  const value = Number(given);
  if (/^\d+$/.test(given) && value <= most) return value;
  throw new Error(`${name}=${given} is refused; give a whole number from 0 to ${most}.`);
}

/** URLs carry passwords: the value is not shown. */
function url(env: Environment, name: string, form: RegExp, example: string): string | undefined {
  const given = text(env, name);
  if (given === undefined || form.test(given)) return given;
  throw new Error(`${name} is refused; give a URL such as ${example}.`);
}

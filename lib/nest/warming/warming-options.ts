import { parseDuration, type Duration } from '../../core/durations.js';
import { isRecord } from '../../core/field-checker.js';
import type { KeyPart } from '../../core/keys.js';
import type { LoadContext } from '../../core/targets.js';
import { refuseWarming, type WarmedKeys, type WarmingList, type WarmingPace } from '../../core/warming.js';

/** When an application warms, and what waits for it. */
export interface WarmingSchedule {
  /** Once the application has started. Default `true`. */
  readonly atStart?: boolean;
  /** The application is not ready before it is done, or `gateTimeout` is over. Default `false`. */
  readonly gate?: boolean;
  /** Default `'30s'`; after it the application starts, and the warming goes on. */
  readonly gateTimeout?: Duration;
  /** Again and again, this long after the last time; at least `'1s'`. Default: once. */
  readonly every?: Duration;
  /** Again when the store is back from an outage, in which it may have lost everything. Default `false`. */
  readonly afterLoss?: boolean;
  /** Draws a bar on a terminal. Default `true`; never where stderr is no terminal. */
  readonly progress?: boolean;
}

/** What the functions of a warming are given of the application. */
export interface WarmingEnvironment {
  /** A provider of the application. Throws where there is none. */
  resolve<T>(token: abstract new (...args: never[]) => T): T;
}

/** As `WarmedKeys`, with functions that reach the application. */
export interface ModuleWarmedKeys extends Omit<WarmedKeys, 'keys' | 'load'> {
  readonly keys: WarmingList<KeyPart, WarmingEnvironment>;
  readonly load: (key: never, context: LoadContext, environment: WarmingEnvironment) => Promise<unknown>;
}

/** A `@Cached` method of a provider, such as `[OfferService, 'findBySegment']`, and the argument lists to call it with. */
export interface ModuleWarmedMethod {
  readonly method: readonly [provider: abstract new (...args: never[]) => object, method: string];
  readonly args: WarmingList<readonly unknown[], WarmingEnvironment>;
}

export type ModuleWarmingInput = ModuleWarmedKeys | ModuleWarmedMethod;

/** A warming of the application: one input, or several one after the other, what matters most first. */
export type ModuleWarmingOptions = WarmingPace &
  WarmingSchedule &
  (ModuleWarmingInput | { readonly tiers: readonly ModuleWarmingInput[] });

/** The schedule with defaults applied. */
export interface ReadSchedule {
  readonly atStart: boolean;
  readonly gate: boolean;
  readonly gateTimeoutMs: number;
  readonly everyMs: number | undefined;
  readonly afterLoss: boolean;
  readonly progress: boolean;
}

const FLAGS = ['atStart', 'gate', 'afterLoss', 'progress'] as const;
export const SCHEDULE_FIELDS: readonly string[] = [
  ...FLAGS,
  'gateTimeout',
  'every',
] satisfies (keyof WarmingSchedule)[];

/** As far as it can be told before there is an application. @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
export function readWarmings(given: readonly ModuleWarmingOptions[] = []): readonly ModuleWarmingOptions[] {
  if (!Array.isArray(given)) refuseWarming('options', given, 'give a list of warmings');
  for (const one of given)
    if (!isRecord(one)) refuseWarming('options', one, 'give an object with name, domain and what to warm');
  return given;
}

/** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
export function readSchedule(given: WarmingSchedule, at: string): ReadSchedule {
  for (const field of FLAGS) {
    const flag = given[field];
    if (flag !== undefined && typeof flag !== 'boolean') refuseWarming(field, flag, 'give true or false', at);
  }
  const { atStart = true, gate = false, afterLoss = false, progress = true, gateTimeout = '30s', every } = given;
  if (gate && !atStart)
    refuseWarming('gate', gate, 'what does not run at the start holds up nothing; leave out atStart: false', at);
  const gateTimeoutMs = parseDuration(gateTimeout);
  if (gateTimeoutMs === undefined)
    refuseWarming('gateTimeout', gateTimeout, "give milliseconds or a text such as '30s'", at);
  const everyMs = every === undefined ? undefined : parseDuration(every);
  if (every !== undefined && (everyMs === undefined || everyMs < 1_000))
    refuseWarming('every', every, "give at least 1000 milliseconds, or a text such as '10m'", at);
  return { atStart, gate, gateTimeoutMs, everyMs, afterLoss, progress };
}

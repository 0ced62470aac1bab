import { parseDuration, type Duration } from './durations.js';
import { CacheGuardConfigError, describeValue } from './errors.js';
import { isRecord } from './field-checker.js';
import type { KeyPart } from './keys.js';
import type { LoadContext } from './targets.js';

/** A list, an iterable or an async iterable of what is to be warmed, or a function that gives one. */
export type WarmingList<T, Given = void> =
  | Iterable<T>
  | AsyncIterable<T>
  | ((given: Given) => Iterable<T> | AsyncIterable<T> | Promise<Iterable<T> | AsyncIterable<T>>);

/** Keys, and a loader by hand. */
export interface WarmedKeys {
  readonly keys: WarmingList<KeyPart>;
  readonly load: (key: never, context: LoadContext) => Promise<unknown>;
  /** The `name` under which a guarded method keeps its keys. Default: the domain's own space. */
  readonly space?: string;
  readonly tags?: (key: never) => readonly string[];
}

/** A guarded method of an object, and the argument lists to call it with: its key, tags and policy apply. */
export interface WarmedMethod {
  readonly host: object;
  /** The method's name. */
  readonly method: string;
  readonly args: WarmingList<readonly unknown[]>;
}

export type WarmingInput = WarmedKeys | WarmedMethod;

/** How a warming goes about its work. */
export interface WarmingPace {
  /**
   * Under this name one process of the fleet warms at a time, what is private or of a partition for each of them: 1 to 64 letters, digits,
   * `_`, `.` and `-`.
   */
  readonly name: string;
  /** The domain that is warmed. */
  readonly domain: string;
  /** Calls at a time, at most half of the domain's `bulkhead.concurrency`. Default 4. */
  readonly concurrency?: number;
  /** Share (0 to 0.5) by which TTLs are randomly shortened, so that what was warmed together does not expire together. Default 0.3. */
  readonly spread?: number;
  /** Not if a process of the fleet has completed the warming of this name within this time. Default: none. */
  readonly rest?: Duration;
}

export interface WarmingControl {
  /** Stops the warming when it is aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Called at the start, at most once a second, and at the end. */
  readonly onProgress?: ((progress: WarmingProgress) => void) | undefined;
}

/** What `CacheGuard.warm` takes: one input, or several one after the other, what matters most first. */
export type WarmingOptions = WarmingPace &
  WarmingControl &
  (WarmingInput | { readonly tiers: readonly WarmingInput[] });

export interface WarmingProgress {
  readonly state: 'running' | 'done' | 'stopped' | 'failed';
  /** Loaded and kept. */
  readonly done: number;
  /** The load failed, threw, or gave what could not be kept. */
  readonly failed: number;
  /** Fresh already, or made fresh by somebody else meanwhile. */
  readonly skipped: number;
  /** How much there is to do; `undefined` where an input does not say before it ends. */
  readonly total: number | undefined;
}

/** What became of a warming. */
export interface WarmingReport extends Omit<WarmingProgress, 'state'> {
  /**
   * `elsewhere`: another process has the warming of this name under way, or has done it within `rest`; nothing was done here. `stopped`: by `stop()`, its signal or
   * the end of the application. `failed`: an input threw, the store was away, or another process has taken over.
   */
  readonly state: 'done' | 'stopped' | 'failed' | 'elsewhere';
  readonly ms: number;
  /** Why it failed; else the first failure of a key, if there was one. */
  readonly error: unknown;
}

/** The options with defaults applied. */
export interface WarmingPlan {
  readonly name: string;
  readonly domain: string;
  readonly tiers: readonly WarmingInput[];
  readonly concurrency: number;
  readonly spread: number;
  /** 0: none. */
  readonly restMs: number;
}

const NAME = /^[A-Za-z0-9_.-]{1,64}$/;
const KEY_FIELDS = ['keys', 'load', 'space', 'tags'] as const;
const METHOD_FIELDS = ['host', 'method', 'args'] as const;
const COMMON = ['name', 'domain', 'concurrency', 'spread', 'rest', 'signal', 'onProgress', 'tiers'] as const;

/** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) naming field, value and mend */
export function readWarming(given: WarmingOptions): WarmingPlan {
  if (!isRecord(given)) refuseWarming('options', given, 'give an object with name, domain and what to warm');
  const { name, domain, concurrency = 4, spread = 0.3, rest = 0, signal, onProgress } = given;
  if (typeof name !== 'string' || !NAME.test(name))
    refuseWarming('name', name, 'give 1 to 64 letters, digits, _, . and -');
  const at = `'${name}'`;
  if (typeof domain !== 'string') refuseWarming('domain', domain, 'give the name of a domain', at);
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 1_000)
    refuseWarming('concurrency', concurrency, 'give a whole number from 1 to 1000', at);
  if (typeof spread !== 'number' || !(spread >= 0 && spread <= 0.5))
    refuseWarming('spread', spread, 'give a number from 0 to 0.5', at);
  const restMs = parseDuration(rest);
  if (restMs === undefined) refuseWarming('rest', rest, "give milliseconds or a text such as '10m'", at);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    refuseWarming('signal', signal, 'give an AbortSignal', at);
  if (onProgress !== undefined && typeof onProgress !== 'function')
    refuseWarming('onProgress', onProgress, 'give a function', at);
  return { name, domain, tiers: readTiers(given, at), concurrency, spread, restMs };
}

function readTiers(given: WarmingOptions, at: string): WarmingInput[] {
  if (!('tiers' in given)) {
    const { name: _, ...rest } = given;
    return [readInput(rest, '', at)];
  }
  const { tiers } = given;
  for (const field of Object.keys(given)) {
    if (!COMMON.includes(field as never))
      refuseWarming(field, given[field as never], 'beside tiers there is only what holds for all of them', at);
  }
  if (!Array.isArray(tiers) || tiers.length === 0)
    refuseWarming('tiers', tiers, 'give a list with at least one input', at);
  return tiers.map((tier: WarmingInput, i) => {
    if (!isRecord(tier))
      refuseWarming(`tiers[${i}]`, tier, 'give an object with keys and load, or host, method and args', at);
    const common = COMMON.find((field) => field in tier);
    if (common)
      refuseWarming(`tiers[${i}].${common}`, tier[common as never], 'it holds for all tiers; set it beside them', at);
    return readInput(tier, `tiers[${i}].`, at);
  });
}

function readInput(given: object, prefix: string, at: string): WarmingInput {
  const input = given as Partial<WarmedKeys & WarmedMethod>;
  const byMethod = METHOD_FIELDS.some((field) => field in input);
  const fields: readonly string[] = byMethod ? METHOD_FIELDS : KEY_FIELDS;
  for (const [field, value] of Object.entries(input)) {
    if (fields.includes(field) || (prefix === '' && COMMON.includes(field as never))) continue;
    refuseWarming(prefix + field, value, `what is warmed is given by ${fields.join(', ')}`, at);
  }
  const needFunction = (field: 'load' | 'tags') => {
    if (typeof input[field] !== 'function')
      refuseWarming(prefix + field, input[field], 'give a function of the key', at);
  };
  if (byMethod) {
    const { host, method, args } = input;
    const known = typeof host === 'object' && host !== null;
    if (!known) refuseWarming(`${prefix}host`, host, 'give the object that has the method', at);
    if (typeof method !== 'string' || typeof (host as Record<string, unknown>)[method] !== 'function')
      refuseWarming(`${prefix}method`, method, 'give the name of a method of the host', at);
    return { host, method, args: readList(`${prefix}args`, args, at) };
  }
  const { keys, load, space, tags } = input;
  const list = readList(`${prefix}keys`, keys, at);
  needFunction('load');
  if (space !== undefined && (typeof space !== 'string' || space === ''))
    refuseWarming(`${prefix}space`, space, 'give a text that is not empty', at);
  if (tags !== undefined) needFunction('tags');
  return { keys: list, load: load!, ...(space !== undefined && { space }), ...(tags && { tags }) };
}

function readList<T>(field: string, given: WarmingList<T> | undefined, at: string): WarmingList<T> {
  if (typeof given === 'function' || isList(given)) return given;
  // What is in it may be keys, which are not for logs.
  return refuseWarming(
    field,
    typeof given,
    'give a list, an iterable, an async iterable, or a function that gives one',
    at,
  );
}

/** A text is iterable too, but a list of its letters is not what anybody means. */
export function isList<T>(given: unknown): given is Iterable<T> | AsyncIterable<T> {
  return typeof given === 'object' && given !== null && (Symbol.iterator in given || Symbol.asyncIterator in given);
}

/** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
export function refuseWarming(field: string, value: unknown, mend: string, at?: string): never {
  throw new CacheGuardConfigError(
    'CG_INVALID_OPTIONS',
    `Warming${at ? ` ${at}` : ''}: ${field} = ${describeValue(value)} is refused; ${mend}.`,
    { field: `warming.${field}` },
  );
}

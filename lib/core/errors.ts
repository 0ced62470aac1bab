/** Stable codes; a message may change, a code does not. */
export type CacheGuardErrorCode =
  | 'CG_INVALID_OPTIONS'
  | 'CG_INVALID_POLICY'
  | 'CG_UNKNOWN_DOMAIN'
  | 'CG_DUPLICATE_DOMAIN'
  | 'CG_NAME_CLASH'
  | 'CG_INVALID_RULE'
  | 'CG_INVALID_DECORATION'
  | 'CG_NOT_A_PROMISE'
  | 'CG_UNUSABLE_KEY'
  | 'CG_UNENCODABLE'
  | 'CG_INVALID_VERSION'
  | 'CG_NOTHING_TO_KEEP'
  | 'CG_WAIT_TIMEOUT'
  | 'CG_LOAD_TIMEOUT'
  | 'CG_OVERLOADED'
  | 'CG_SOURCE_BROKEN'
  | 'CG_NOT_RECONCILABLE'
  | 'CG_RECONCILIATION_RUNNING'
  | 'CG_RECONCILIATION_FAILED'
  | 'CG_STORE_UNAVAILABLE'
  | 'CG_EVENT_SOURCE_TIMEOUT'
  | 'CG_CLOSED'
  | 'CG_MISSING_PEER'
  | 'CG_RULES_DIFFER'
  | 'CG_UNSUPPORTED_REDIS';

export interface CacheGuardErrorFields {
  readonly domain?: string;
  readonly key?: string;
  readonly field?: string;
  readonly method?: string;
  readonly cause?: unknown;
}

/** Base of every error that this library raises itself. The message says what is wrong and how to mend it. */
export class CacheGuardError extends Error {
  override readonly name: string = 'CacheGuardError';
  readonly domain: string | undefined;
  readonly field: string | undefined;
  readonly method: string | undefined;
  /** The storage key; not enumerable, so that it does not slip into logs with the rest of the error. */
  declare readonly key: string | undefined;

  constructor(
    readonly code: CacheGuardErrorCode,
    message: string,
    fields: CacheGuardErrorFields = {},
  ) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.domain = fields.domain;
    this.field = fields.field;
    this.method = fields.method;
    Object.defineProperty(this, 'key', { value: fields.key, enumerable: false });
  }
}

/** Wrong configuration, thrown at boot (or at decoration) and never on a request. */
export class CacheGuardConfigError extends CacheGuardError {
  override readonly name = 'CacheGuardConfigError';
}

/** A reader's budget or a load's time-out ran out. */
export class CacheGuardTimeoutError extends CacheGuardError {
  override readonly name = 'CacheGuardTimeoutError';
}

/** The bulkhead's queue, or the bound on keys in flight, is full. */
export class CacheGuardOverloadError extends CacheGuardError {
  override readonly name = 'CacheGuardOverloadError';
}

/** The store did not answer within the command budget, or refused. */
export class CacheGuardStoreError extends CacheGuardError {
  override readonly name = 'CacheGuardStoreError';
}

/** Recognises this library's errors, also across two copies of the package, and narrows by code. */
export function isCacheGuardError(error: unknown, code?: CacheGuardErrorCode): error is CacheGuardError {
  try {
    if (!(error instanceof Error)) return false;
    const { code: own } = error as Partial<CacheGuardError>;
    return typeof own === 'string' && own.startsWith('CG_') && (code === undefined || own === code);
  } catch {
    // A getter or a proxy of somebody else.
    return false;
  }
}

/** The code or the class of what was thrown, never its text. */
export function errorKind(error: unknown): string {
  try {
    if (isCacheGuardError(error)) return error.code;
    if (!(error instanceof Error)) return 'unknown';
    const { name, code } = error as { name: unknown; code?: unknown };
    // Users name their errors; a name with blanks may be a text.
    const words = [name, code].filter((word) => typeof word === 'string' && /^[\w.$-]{1,60}$/.test(word));
    return words.join(' ') || 'Error';
  } catch {
    return 'unknown';
  }
}

/** What was thrown, as text: the message of an error, with its name if asked for. Anything can be thrown, also what cannot become text. */
export function thrownText(thrown: unknown, { named = false } = {}): string {
  try {
    if (!(thrown instanceof Error)) return String(thrown);
    return (named ? [thrown.name, thrown.message] : [thrown.message]).join(': ');
  } catch {
    return `(${typeof thrown} that cannot become text)`;
  }
}

/** What was thrown, for events. @param confidential its text may quote what must not be shown */
export function errorText(error: unknown, confidential: boolean): string {
  return confidential ? errorKind(error) : thrownText(error);
}

/** What kind of thing a value is, and nothing of what is in it: that may be a secret, or about a person. */
export function kindOf(value: unknown): string {
  if (value === '' || value === null || value === undefined || Number.isNaN(value)) return describeValue(value);
  return `(${Array.isArray(value) ? 'array' : typeof value})`;
}

/** What a value looks like in a message: short, typed, and never a secret's full text. */
export function describeValue(value: unknown): string {
  try {
    if (typeof value === 'string') return value.length > 40 ? `'${value.slice(0, 37)}…'` : `'${value}'`;
    if (typeof value === 'function') return `function ${value.name || '(anonymous)'}`;
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value !== 'object' || value === null) return String(value);
    const text = JSON.stringify(value) ?? typeof value;
    return text.length > 80 ? `${text.slice(0, 77)}…` : text;
  } catch {
    // Cycles, and getters or proxies that throw: the refusal that needs this text must not fail over it.
    return `(${typeof value})`;
  }
}

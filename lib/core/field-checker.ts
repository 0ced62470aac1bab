import { formatDuration, MAX_DURATION_MS, parseDuration } from './durations.js';
import { CacheGuardConfigError, describeValue, kindOf } from './errors.js';

/** Not for arrays, dates, maps and the like, which have no fields and would pass for empty. */
export function isRecord(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object Object]';
}

/** Reads fields one by one; every refusal has the same form. */
abstract class Checker {
  abstract fail(field: string, value: unknown, mend: string): never;

  /** A nested object; anything else would be read as an empty one. */
  record<R extends object>(field: string, value: R | undefined, known: readonly (keyof R)[]): R | undefined {
    if (value === undefined) return undefined;
    if (!isRecord(value)) this.fail(field, value, `give an object with ${known.join(', ')}`);
    for (const [name, inner] of Object.entries(value)) {
      if (!known.includes(name as keyof R)) this.fail(`${field}.${name}`, inner, `the fields are ${known.join(', ')}`);
    }
    return value;
  }

  duration(field: string, value: unknown, fallback: number, least: number, most = MAX_DURATION_MS): number {
    if (value === undefined) return fallback;
    const ms = parseDuration(value);
    if (ms === undefined) {
      this.fail(
        field,
        value,
        "give milliseconds as a number, or a string with its unit such as '250ms', '30s', '5m', '1h', '1d' (at most 49d)",
      );
    }
    if (ms < least) this.fail(field, value, `make it at least ${formatDuration(least)}`);
    if (ms > most) this.fail(field, value, `make it at most ${formatDuration(most)}`);
    return ms;
  }

  integer(
    field: string,
    value: unknown,
    fallback: number,
    least: number,
    most: number = Number.MAX_SAFE_INTEGER,
  ): number {
    if (value !== undefined && !Number.isInteger(value)) this.fail(field, value, 'give a whole number');
    return this.number(field, value, fallback, least, most);
  }

  number(field: string, value: unknown, fallback: number, least: number, most: number): number {
    if (value === undefined) return fallback;
    if (typeof value !== 'number' || !(value >= least && value <= most)) {
      this.fail(field, value, `give a number from ${least} to ${most}`);
    }
    return value;
  }

  flag(field: string, value: boolean | undefined): boolean {
    if (value === undefined || typeof value === 'boolean') return value ?? false;
    return this.fail(field, value, 'give true or false');
  }

  fn<F>(field: string, value: F | undefined): F | undefined {
    if (value !== undefined && typeof value !== 'function') this.fail(field, value, 'give a function');
    return value;
  }

  text(field: string, value: unknown): string | undefined {
    if (value === undefined || typeof value === 'string') return value;
    return this.fail(field, value, 'give a text');
  }

  /** The first is the default. */
  oneOf<T extends string>(field: string, value: T | undefined, allowed: readonly [T, ...T[]]): T {
    if (value === undefined) return allowed[0];
    return allowed.includes(value) ? value : this.fail(field, value, `use one of ${allowed.join(', ')}`);
  }
}

/** Of a domain's policy. */
export class FieldChecker extends Checker {
  constructor(
    protected readonly domain: string,
    private readonly place: string | undefined,
  ) {
    super();
  }

  override fail(field: string, value: unknown, mend: string): never {
    const where = this.place ? ` (set by ${this.place})` : '';
    throw new CacheGuardConfigError(
      'CG_INVALID_POLICY',
      `Cache domain '${this.domain}'${where}: ${field} = ${describeValue(value)} is refused; ${mend}.`,
      { domain: this.domain, field },
    );
  }
}

/** Of what a function or a class of the public face is given. */
export class OptionsChecker extends Checker {
  /** @param prefix of the error's `field` */
  constructor(
    private readonly owner: string,
    private readonly prefix = '',
  ) {
    super();
  }

  override fail(field: string, value: unknown, mend: string): never {
    this.failAs(field, describeValue(value), mend);
  }

  /** Where there may be passwords: says what kind of thing was given, never what is in it. */
  failSecret(field: string, value: unknown, mend: string): never {
    this.failAs(field, kindOf(value), mend);
  }

  /** All that is given. @param secret its fields may be passwords */
  options<R extends object>(given: R, known: readonly (keyof R)[], secret = false): R {
    const fields = `the fields are ${known.join(', ')}`;
    if (!isRecord(given)) this.fail('options', given, `give an object; ${fields}`);
    for (const [field, value] of Object.entries(given)) {
      if (known.includes(field as keyof R)) continue;
      if (secret) this.failSecret(field, value, fields);
      this.fail(field, value, fields);
    }
    return given;
  }

  /** A text that is not empty. */
  name(field: string, value: unknown): string {
    if (typeof value === 'string' && value !== '') return value;
    return this.fail(field, value, 'give a text that is not empty');
  }

  /** @param what the function's form */
  needFn(field: string, value: unknown, what: string): void {
    if (typeof value !== 'function') this.fail(field, value, `give a function ${what}`);
  }

  /** @param forms by the name of the function that `owner` has */
  needFns(at: string, owner: object, forms: Readonly<Record<string, string>>): void {
    for (const [name, form] of Object.entries(forms)) {
      this.needFn(`${at}.${name}`, (owner as Readonly<Record<string, unknown>>)[name], form);
    }
  }

  /** An object that has functions of these names. */
  able(field: string, value: unknown, methods: readonly string[], mend: string): void {
    const has = typeof value === 'object' && value !== null;
    const able = has && methods.every((name) => typeof (value as Record<string, unknown>)[name] === 'function');
    if (!able) this.failSecret(field, value, mend);
  }

  /** @param shown in place of the value */
  failAs(field: string, shown: string, mend: string): never {
    throw new CacheGuardConfigError('CG_INVALID_OPTIONS', `${this.owner}: ${field} = ${shown} is refused; ${mend}.`, {
      field: this.prefix + field,
    });
  }
}

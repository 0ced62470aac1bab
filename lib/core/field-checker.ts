import { formatDuration, parseDuration } from './durations.js';
import { CacheGuardConfigError, describeValue } from './errors.js';

/** Not for arrays, dates, maps and the like, which have no fields and would pass for empty. */
export function isRecord(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object Object]';
}

/** Reads the fields of a domain's policy one by one; every refusal has the same form. */
export class FieldChecker {
  constructor(
    protected readonly domain: string,
    private readonly place: string | undefined,
  ) {}

  fail(field: string, value: unknown, mend: string): never {
    const where = this.place ? ` (set by ${this.place})` : '';
    throw new CacheGuardConfigError(
      'CG_INVALID_POLICY',
      `Cache domain '${this.domain}'${where}: ${field} = ${describeValue(value)} is refused; ${mend}.`,
      { domain: this.domain, field },
    );
  }

  /** A nested object; anything else would be read as an empty one. */
  record<R extends object>(field: string, value: R | undefined, known: readonly (keyof R)[]): R | undefined {
    if (value === undefined) return undefined;
    if (!isRecord(value)) this.fail(field, value, `give an object with ${known.join(', ')}`);
    for (const [name, inner] of Object.entries(value)) {
      if (!known.includes(name as keyof R)) this.fail(`${field}.${name}`, inner, `the fields are ${known.join(', ')}`);
    }
    return value;
  }

  duration(field: string, value: unknown, fallback: number, least: number): number {
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

import { describeValue } from '../../core/errors.js';
import { isRecord } from '../../core/field-checker.js';
import { invalidDecoration } from '../method-wrapper.js';
import { DEFAULT_HTTP, type HttpRouteOptions, type HttpSettings, type VaryOptions } from './http-settings.js';

/** RFC 9110, 5.6.2: methods, and names of fields and cookies. */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;
const FIELDS: readonly (keyof HttpRouteOptions)[] = ['methods', 'query', 'vary', 'statuses', 'credentials', 'noCache'];
const VARY: readonly (keyof VaryOptions)[] = ['headers', 'cookies', 'by'];

/** @throws CacheGuardConfigError (`CG_INVALID_DECORATION`) naming the field, the value and the mend */
export function readHttpOptions(place: string, given: HttpRouteOptions | undefined): HttpSettings | undefined {
  if (given === undefined) return undefined;
  const refuse = (field: string, value: unknown, mend: string): never => {
    throw invalidDecoration('@Cached', place, `http${field} = ${describeValue(value)}: ${mend}`);
  };
  const known = (at: string, value: object, fields: readonly string[]): void => {
    if (!isRecord(value)) refuse(at, value, `give an object with ${fields.join(', ')}`);
    for (const [field, inner] of Object.entries(value)) {
      if (!fields.includes(field)) refuse(`${at}.${field}`, inner, `the fields are ${fields.join(', ')}`);
    }
  };
  const texts = (at: string, value: unknown, fits: RegExp, what: string): readonly string[] => {
    if (value === undefined) return [];
    const fit = Array.isArray(value) && value.every((text) => typeof text === 'string' && fits.test(text));
    return fit ? (value as readonly string[]) : refuse(at, value, `give a list of ${what}`);
  };
  const oneOf = <T extends string>(at: string, value: T | undefined, allowed: readonly [T, T]): T => {
    if (value === undefined) return allowed[0];
    return allowed.includes(value) ? value : refuse(at, value, `use one of ${allowed.join(', ')}`);
  };

  known('', given, FIELDS);
  const { methods, query, vary = {}, statuses, credentials, noCache } = given;
  known('.vary', vary, VARY);
  const { headers, cookies, by } = vary;
  if (by !== undefined && typeof by !== 'function') refuse('.vary.by', by, 'give a function (context) => …');
  const isStatus = (status: unknown) => Number.isInteger(status) && Number(status) >= 200 && Number(status) <= 599;
  if (statuses !== undefined && !(Array.isArray(statuses) && statuses.length > 0 && statuses.every(isStatus))) {
    refuse('.statuses', statuses, 'give a list of statuses from 200 to 599');
  }
  const verbs = texts('.methods', methods, TOKEN, "methods, such as 'GET'").map((method) => method.toUpperCase());
  if (methods !== undefined && verbs.length === 0) refuse('.methods', methods, 'name at least one method');
  const names = texts('.vary.headers', headers, TOKEN, 'header names').map((name) => name.toLowerCase());
  // Whoever sends all his cookies has an entry of his own, for each of them that changes.
  if (names.includes('cookie')) refuse('.vary.headers', headers, 'name the cookies in vary.cookies instead');
  return {
    methods: methods === undefined ? DEFAULT_HTTP.methods : new Set(verbs),
    query: texts('.query', query, /[^]/, 'names of query parameters'),
    headers: names,
    cookies: texts('.vary.cookies', cookies, TOKEN, 'names of cookies'),
    by,
    statuses: statuses === undefined ? DEFAULT_HTTP.statuses : new Set(statuses),
    credentials: oneOf('.credentials', credentials, ['refuse', 'share']),
    noCache: oneOf('.noCache', noCache, ['ignore', 'honour']),
  };
}

import { RequestMethod } from '@nestjs/common';
import {
  CUSTOM_ROUTE_ARGS_METADATA,
  HTTP_CODE_METADATA,
  METHOD_METADATA,
  PATH_METADATA,
  REDIRECT_METADATA,
  ROUTE_ARGS_METADATA,
  SSE_METADATA,
  VERSION_METADATA,
} from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import type { BypassReason } from '../../core/http/bypass.js';
import type { AnyMethod } from '../decorator-types.js';
import type { CachedDefinition } from '../metadata.js';
import { DEFAULT_HTTP, type HttpSettings } from './http-settings.js';
import type { RouteMounts, VersionSign } from './route-mounts.js';

/** What is known of a cached route before there is a request. */
export interface RoutePlan {
  readonly settings: HttpSettings;
  /** Why no call of it is cached, whatever the request. */
  readonly bypass: BypassReason | undefined;
  /** Which of its paths was asked for is no argument. */
  readonly severalPaths: boolean;
  /** Query parameters that a request may have. */
  readonly declared: ReadonlySet<string>;
  /** What the handler takes by name, so that its arguments show it. */
  readonly taken: Readonly<Record<'params' | 'hosts' | 'query', ReadonlySet<string>>>;
  /** Positions of arguments that hold all parameters of a kind. */
  readonly whole: Readonly<Record<'params' | 'hosts' | 'query', readonly number[]>>;
  /** Headers and cookies that are part of the key, as arguments or as declared. */
  readonly keyedHeaders: ReadonlySet<string>;
  readonly keyedCookies: ReadonlySet<string>;
  /** What of the request's head the answer depends on, in the key or not. */
  readonly varied: { readonly headers: ReadonlySet<string>; readonly cookies: boolean };
  /** The answer depends on more than anybody downstream can know. */
  readonly unseen: boolean;
}

interface Parameter {
  readonly index: number;
  readonly data?: unknown;
}

// Numbers, as they are in the names of metadata.
const [IP, HEADERS, COOKIES, SIGNED_COOKIES] = [
  RouteParamtypes.IP,
  RouteParamtypes.HEADERS,
  RouteParamtypes.COOKIES,
  RouteParamtypes.SIGNED_COOKIES,
].map(Number);
const ALWAYS: ReadonlyMap<number, BypassReason> = new Map([
  [RouteParamtypes.RESPONSE, 'response-object'],
  [RouteParamtypes.NEXT, 'response-object'],
]);
const WITHOUT_KEY: ReadonlyMap<number, BypassReason> = new Map([
  [RouteParamtypes.REQUEST, 'request-object'],
  [RouteParamtypes.SESSION, 'request-object'],
  [RouteParamtypes.BODY, 'body'],
  [RouteParamtypes.RAW_BODY, 'body'],
  [RouteParamtypes.FILE, 'body'],
  [RouteParamtypes.FILES, 'body'],
]);
const SOURCES: ReadonlyMap<number, 'params' | 'hosts' | 'query'> = new Map([
  [RouteParamtypes.PARAM, 'params'],
  [RouteParamtypes.HOST, 'hosts'],
  [RouteParamtypes.QUERY, 'query'],
]);

export function isRoute(handler: AnyMethod): boolean {
  return Reflect.hasMetadata(PATH_METADATA, handler) && Reflect.hasMetadata(METHOD_METADATA, handler);
}

/** The plan of a route, as the objects of one class have it. */
export function planOf(
  type: object,
  property: string | symbol,
  handler: AnyMethod,
  definition: CachedDefinition,
  mounts: RouteMounts,
): RoutePlan {
  const explicit = definition.key !== undefined;
  const sign = mounts.versionSign;
  const said = definition.http ?? DEFAULT_HTTP;
  const settings = sign && !explicit && mounts.hasVersions(type, handler) ? keyedBy(sign, said) : said;
  const taken = { params: new Set<string>(), hosts: new Set<string>(), query: new Set<string>() };
  const whole = { params: [] as number[], hosts: [] as number[], query: [] as number[] };
  const keyedHeaders = new Set(settings.headers);
  const keyedCookies = new Set(settings.cookies);
  const variedHeaders = new Set(settings.headers);
  // Another handler may have answered the same URL.
  if (sign?.header !== undefined) variedHeaders.add(sign.header.toLowerCase());
  let variedCookies = settings.cookies.length > 0;
  let unseen = settings.by !== undefined || (sign !== undefined && sign.header === undefined);
  let bypass = staticBypass(handler, settings);

  const parameters = Object.entries(
    (Reflect.getMetadata(ROUTE_ARGS_METADATA, type, property) ?? {}) as Record<string, Parameter>,
  );
  for (const [id, { index, data }] of parameters) {
    if (id.includes(CUSTOM_ROUTE_ARGS_METADATA)) {
      unseen = true;
      continue;
    }
    const kind = Number(id.split(':')[0]);
    const name = typeof data === 'string' && data !== '' ? data : undefined;
    const source = SOURCES.get(kind);
    if (source && name !== undefined) taken[source].add(name);
    else if (source) whole[source].push(index);
    else if (kind === IP) unseen = true;
    else if (takesNamed(kind) && name !== undefined) {
      const [keyed, known] = kind === HEADERS ? [keyedHeaders, name.toLowerCase()] : [keyedCookies, name];
      // An explicit key says itself what is part of it; who is downstream sees only what the handler takes.
      if (!explicit) keyed.add(known);
      if (kind === HEADERS) variedHeaders.add(known);
      else variedCookies = true;
    } else {
      const why = takesNamed(kind) ? 'request-object' : WITHOUT_KEY.get(kind);
      if (why) unseen = true;
      bypass ??= ALWAYS.get(kind) ?? (explicit ? undefined : why);
    }
  }
  return {
    settings,
    bypass,
    severalPaths:
      !explicit && (hasSeveral(type, handler) || mounts.isMultiple(type) || mounts.hasVersions(type, handler)),
    declared: new Set([...settings.query, ...taken.query]),
    taken,
    whole,
    keyedHeaders,
    keyedCookies,
    varied: { headers: variedHeaders, cookies: variedCookies },
    unseen,
  };
}

/** The pattern of a route shows no version that its path does not have. */
function keyedBy(sign: VersionSign, settings: HttpSettings): HttpSettings {
  const { headers, by } = settings;
  return sign.header === undefined
    ? { ...settings, by: (context) => [by?.(context), sign.read(context)] }
    : { ...settings, headers: [...new Set([...headers, sign.header])] };
}

function hasSeveral(type: object, handler: AnyMethod): boolean {
  const of = (key: string) => [Reflect.getMetadata(key, type), Reflect.getMetadata(key, handler)] as unknown[];
  return [...of(PATH_METADATA), ...of(VERSION_METADATA)].some((one) => Array.isArray(one) && one.length > 1);
}

function takesNamed(kind: number): boolean {
  return kind === HEADERS || kind === COOKIES || kind === SIGNED_COOKIES;
}

function staticBypass(handler: AnyMethod, { statuses }: HttpSettings): BypassReason | undefined {
  if (Reflect.hasMetadata(REDIRECT_METADATA, handler)) return 'redirect';
  if (Reflect.hasMetadata(SSE_METADATA, handler)) return 'stream';
  const method = Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod | undefined;
  const usual = method === RequestMethod.POST ? 201 : 200;
  const code: unknown = Reflect.getMetadata(HTTP_CODE_METADATA, handler) ?? usual;
  return statuses.has(Number(code)) ? undefined : 'status';
}

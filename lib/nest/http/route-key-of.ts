import type { ExecutionContext } from '@nestjs/common';
import { CacheGuardError } from '../../core/errors.js';
import { MAX_TEXT, readQuery } from '../../core/http/query.js';
import { routeKey, type RouteKeyParts } from '../../core/http/route-key.js';
import { DerivedKey, type KeyPart } from '../../core/keys.js';
import { keyOf } from '../call-keys.js';
import type { CachedDefinition } from '../metadata.js';
import type { GuardedCall } from '../method-wrapper.js';
import type { RequestFacts } from './request-facts.js';
import type { RoutePlan } from './route-plan.js';

type Texts = Readonly<Record<string, unknown>>;
type Source = 'params' | 'hosts' | 'query';

/** No key is made, because nobody but an attacker would need it. */
export class Refusal {
  constructor(readonly reason: 'query' | 'too-long') {}
}

/**
 * The key of a request: what its handler is called with, and what that does not show.
 *
 * @throws CacheGuardError (`CG_UNUSABLE_KEY`), or whatever `vary.by` throws
 */
export function routeKeyOf(
  call: GuardedCall,
  definition: CachedDefinition,
  plan: RoutePlan,
  request: RequestFacts,
  context: ExecutionContext,
): KeyPart | Refusal {
  const read = readQuery(request.target, request.query, plan.declared);
  if ('refusal' in read) return new Refusal(read.refusal);
  const given = { params: request.params, hosts: request.hosts, query: read.values };
  const vary = { ...variance(plan, request, context), path: plan.severalPaths ? request.pattern : undefined };
  if (isTooLong([...Object.values(request.params), ...Object.values(request.hosts), ...keyedTexts(plan, request)]))
    return new Refusal('too-long');

  if (definition.key) {
    const query = only(read.values, plan.settings.query);
    return routeKey({ key: explicitKey(call, definition), query, ...vary });
  }
  const args = [...call.declared];
  const hidden: Record<Source, Texts> = { params: {}, hosts: {}, query: {} };
  for (const source of ['params', 'hosts', 'query'] as const) {
    // What the handler is given as it came is as good as the texts themselves; what pipes made of it may lack some.
    const intact = plan.whole[source].filter((at) => isCopy(args[at], given[source]));
    for (const at of intact) args[at] = { ...given[source] };
    if (intact.length === 0) hidden[source] = without(given[source], plan.taken[source]);
  }
  return routeKey({ key: new DerivedKey(args), ...hidden, ...vary });
}

/** What the route varies by, besides its handler's arguments. */
function variance(
  { settings }: RoutePlan,
  { headers, cookies }: RequestFacts,
  context: ExecutionContext,
): Pick<RouteKeyParts, 'headers' | 'cookies' | 'by'> {
  const one = (values: readonly string[] | undefined) => (values?.length === 1 ? values[0] : values);
  return {
    headers: Object.fromEntries(settings.headers.map((name) => [name, headers[name]])),
    cookies: Object.fromEntries(settings.cookies.map((name) => [name, one(cookies.get(name))])),
    by: settings.by && askedFor(settings.by, context),
  };
}

function askedFor(by: (context: ExecutionContext) => unknown, context: ExecutionContext): unknown {
  let value: unknown;
  try {
    value = by(context);
  } catch (cause) {
    throw new CacheGuardError('CG_UNUSABLE_KEY', 'The function vary.by threw.', { field: 'http.vary.by', cause });
  }
  return value;
}

function explicitKey(call: GuardedCall, definition: CachedDefinition): KeyPart {
  const key = keyOf(call, definition.domain, definition.key) as KeyPart | undefined | null;
  if (key !== undefined && key !== null) return key;
  throw new CacheGuardError('CG_UNUSABLE_KEY', `The key function of ${call.method} gave nothing.`, { field: 'key' });
}

function keyedTexts({ keyedHeaders, keyedCookies }: RoutePlan, { headers, cookies }: RequestFacts): unknown[] {
  return [
    ...[...keyedHeaders].flatMap((name) => headers[name]),
    ...[...keyedCookies].flatMap((name) => cookies.get(name) ?? []),
  ];
}

/** A wildcard's parameter is a list of texts. */
function isTooLong(texts: readonly unknown[]): boolean {
  const whole = texts.map((text) => (Array.isArray(text) ? text.join('/') : text));
  return whole.some((text) => typeof text === 'string' && text.length > MAX_TEXT);
}

function isCopy(arg: unknown, given: Texts): boolean {
  if (typeof arg !== 'object' || arg === null || Array.isArray(arg)) return false;
  const names = Object.keys(arg);
  const same = names.length === Object.keys(given).length;
  return same && names.every((name) => Object.hasOwn(given, name) && (arg as Texts)[name] === given[name]);
}

function only(given: Texts, names: readonly string[]): Texts {
  return Object.fromEntries(Object.entries(given).filter(([name]) => names.includes(name)));
}

function without(given: Texts, taken: ReadonlySet<string>): Texts {
  return Object.fromEntries(Object.entries(given).filter(([name]) => !taken.has(name)));
}

import { DerivedKey, keySegment, type KeyPart } from '../keys.js';

type Texts = Readonly<Record<string, unknown>>;

/** What the key of a cached route is made from. */
export interface RouteKeyParts {
  /** What the explicit `key` gives. */
  readonly key?: KeyPart;
  /** Without an explicit `key`: the handler's arguments, as it gets them, behind pipes. */
  readonly args?: readonly unknown[];
  /** Path parameters that the handler does not take by name, as texts. */
  readonly params?: Texts;
  /** Those of the host name. */
  readonly hosts?: Texts;
  /** Declared query parameters that the handler does not take by name; with an explicit `key` all that are declared by `http.query`. */
  readonly query?: Texts;
  /** Declared by `vary`. */
  readonly headers?: Texts;
  /** Declared by `vary`. One value each, or a list where a client sent several of a name. */
  readonly cookies?: Texts;
  /** What `vary.by` gives. */
  readonly by?: unknown;
  /** The pattern of the route, as the framework has it; only for a handler with several paths or versions. */
  readonly path?: string | undefined;
}

/**
 * The key of a cached route, to `invalidate` it by its `name`. A route whose handler takes all of it by name, and varies by nothing, has
 * the key of any guarded method: the explicit one, or `argsKey(...)`.
 *
 * @throws CacheGuardError (`CG_UNUSABLE_KEY`)
 */
export function routeKey({ key, args = [], by, path, ...given }: RouteKeyParts): KeyPart {
  const base = key ?? new DerivedKey(args);
  const extras: Record<string, unknown> = {};
  if (by !== undefined) extras['by'] = by;
  if (path !== undefined) extras['path'] = path;
  for (const part of ['params', 'hosts', 'query', 'headers', 'cookies'] as const) {
    const said = Object.entries(given[part] ?? {}).filter(([, value]) => value !== undefined);
    const names = said.map(([name, value]) => [part === 'headers' ? name.toLowerCase() : name, value] as const);
    if (said.length > 0) extras[part] = new Map(names);
  }
  return Object.keys(extras).length === 0 ? base : new DerivedKey([keySegment(base), extras], 'route');
}

import { readCookies } from '../../core/http/vary.js';

type Texts = Readonly<Record<string, unknown>>;

/** What Express and Fastify have in common. */
interface AnyRequest {
  readonly method?: string;
  readonly originalUrl?: string;
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  readonly query?: unknown;
  readonly params?: Texts;
  readonly hosts?: Texts;
  readonly route?: { readonly path?: string | readonly string[] };
  readonly routeOptions?: { readonly url?: string };
}

/** A request, as far as a key can be made from it. */
export interface RequestFacts {
  readonly method: string;
  /** Of the request line, with its query. */
  readonly target: string;
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly cookies: ReadonlyMap<string, readonly string[]>;
  /** As the framework has parsed it. */
  readonly query: unknown;
  readonly params: Texts;
  readonly hosts: Texts;
  /** Of the route. */
  readonly pattern: string;
}

export function factsOf(request: object): RequestFacts {
  const { method, originalUrl, url, headers = {}, query, params, hosts, route, routeOptions } = request as AnyRequest;
  return {
    method: String(method).toUpperCase(),
    target: originalUrl ?? url ?? '',
    headers,
    cookies: readCookies(textOf(headers['cookie'])),
    query,
    params: params ?? {},
    hosts: hosts ?? {},
    pattern: String(route?.path ?? routeOptions?.url ?? ''),
  };
}

export function textOf(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'string' || header === undefined ? header : header.join(', ');
}

export function hasBody({ headers }: RequestFacts): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

import type { ExecutionContext } from '@nestjs/common';

/** What else the answer of a route depends on; it becomes part of the key. */
export interface VaryOptions {
  /** Request headers, by name; they appear in `Vary`. */
  readonly headers?: readonly string[];
  /** Cookies, by name; `Vary` names `Cookie`. */
  readonly cookies?: readonly string[];
  /** Anything else that a key can be made from. Caches downstream cannot know it, so that only private ones may keep the answer. */
  readonly by?: (context: ExecutionContext) => unknown;
}

/** How a route is cached. */
export interface HttpRouteOptions {
  /** Methods of requests that are cached. Default `GET` and `HEAD`. */
  readonly methods?: readonly string[];
  /**
   * Query parameters that the answer depends on, besides those that the handler takes by name. A request with another one, or with one of
   * them twice, is not cached.
   */
  readonly query?: readonly string[];
  readonly vary?: VaryOptions;
  /** Statuses under which an answer is kept. Default 200. */
  readonly statuses?: readonly number[];
  /**
   * What to do in a public scope about a request with `Authorization`, or with a cookie that is not in `vary`. `'refuse'`: it is not
   * cached; `'share'`: the answer is the same for everybody, whoever asks. Default `'refuse'`.
   */
  readonly credentials?: 'refuse' | 'share';
  /** Whether a client's `Cache-Control: no-cache` makes the source be asked. Default `'ignore'`. */
  readonly noCache?: 'ignore' | 'honour';
}

/** The same with defaults applied; names of headers in lower case. */
export interface HttpSettings {
  readonly methods: ReadonlySet<string>;
  readonly query: readonly string[];
  readonly headers: readonly string[];
  readonly cookies: readonly string[];
  readonly by: ((context: ExecutionContext) => unknown) | undefined;
  readonly statuses: ReadonlySet<number>;
  readonly credentials: 'refuse' | 'share';
  readonly noCache: 'ignore' | 'honour';
}

export const DEFAULT_HTTP: HttpSettings = {
  methods: new Set(['GET', 'HEAD']),
  query: [],
  headers: [],
  cookies: [],
  by: undefined,
  statuses: new Set([200]),
  credentials: 'refuse',
  noCache: 'ignore',
};

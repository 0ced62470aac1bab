/** Why a route's call went past the cache, or what it gave was not kept. */
export type BypassReason =
  /** Not one of the route's `methods`. */
  | 'method'
  /** A GET or HEAD with a body, or a handler that takes the body without an explicit key. */
  | 'body'
  /** A query parameter that is not declared, or that is given more than once. */
  | 'query'
  /** A query, path parameter, header or cookie too long to be anything but an attempt to fill the cache. */
  | 'too-long'
  /** `Authorization` or `Cookie` in a public scope. */
  | 'credentials'
  /** The handler takes the request, the session or all headers, and has no explicit key. */
  | 'request-object'
  /** The handler takes the response. */
  | 'response-object'
  | 'redirect'
  | 'stream'
  | 'set-cookie'
  | 'status'
  /** Something stands in the handler's place, and shows of no method that it stands for it. */
  | 'unknown-handler'
  | 'no-principal'
  | 'no-partition'
  | 'unusable-key'
  | 'closing';

/** Those under which the answer may be somebody's own: nobody downstream may keep it either. */
const PERSONAL: ReadonlySet<BypassReason> = new Set<BypassReason>([
  'credentials',
  'set-cookie',
  'unknown-handler',
  'no-principal',
  'no-partition',
  'unusable-key',
]);

export function isPersonal(reason: BypassReason): boolean {
  return PERSONAL.has(reason);
}

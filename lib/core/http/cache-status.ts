import type { MissCause } from '../decide.js';

/** Why a request went forward to the handler; the values of RFC 9211. */
export type Forward = 'bypass' | 'method' | 'uri-miss' | 'miss' | 'request' | 'stale';

export interface CacheStatus {
  readonly hit: boolean;
  readonly fwd?: Forward | undefined;
  /** What is left of the freshness, milliseconds; negative when stale. */
  readonly ttlMs?: number | undefined;
  readonly stored?: boolean | undefined;
  readonly collapsed?: boolean | undefined;
  readonly detail?: string | undefined;
}

const CACHE = 'nestjs-cache-guard';
/** RFC 8941, 3.3.4. */
const TOKEN = /^[A-Za-z*][\w!#$%&'*+.^`|~:/-]*$/;

/** One member of a `Cache-Status` list. */
export function formatCacheStatus({ hit, fwd, ttlMs, stored, collapsed, detail }: CacheStatus): string {
  const parts = [CACHE];
  if (hit) parts.push('hit');
  else if (fwd) parts.push(`fwd=${fwd}`);
  if (ttlMs !== undefined) parts.push(`ttl=${Math.floor(ttlMs / 1_000)}`);
  if (stored) parts.push('stored');
  if (collapsed) parts.push('collapsed');
  if (detail !== undefined) parts.push(`detail=${TOKEN.test(detail) ? detail : quoted(detail)}`);
  return parts.join('; ');
}

/** Behind what caches closer to the source have said: the last member is the one closest to the client. */
export function appendMember(existing: string | undefined, member: string): string {
  return existing === undefined || existing === '' ? member : `${existing}, ${member}`;
}

/** @param cause why the value was not served from what is kept; `undefined`: it was never looked for */
export function forwardOf(cause: MissCause | undefined): Forward {
  switch (cause) {
    case 'absent':
      return 'uri-miss';
    case 'expired':
    case 'invalidated':
    case 'epoch':
    case 'settling':
    case 'generation-lost':
      return 'stale';
    default:
      return 'miss';
  }
}

/** An `sf-string` holds printable ASCII only. */
function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}

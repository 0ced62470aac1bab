import { CacheGuardStoreError } from '../../core/errors.js';
import type { AdviceCode } from '../../core/events.js';

/** The oldest version that the suite proves. */
const NEEDED = { major: 7, minor: 0 } as const;
/** Above this share of `maxmemory` in use, little is left for a burst. */
const TIGHT = 0.9;

export interface Advice {
  readonly code: AdviceCode;
  /** What is so, why it matters, and the mend. Names the server, never a secret. */
  readonly text: string;
}

/** How a server is reached. */
export interface ServerConnection {
  /** `undefined`: ioredis takes `localhost`. */
  readonly host: string | undefined;
  readonly port?: number | undefined;
  readonly tls: boolean;
  /** Of a Unix socket. */
  readonly path: string | undefined;
}

/** What of an ioredis client tells how it is connected; the socket is there once it was. */
interface ConnectedClient {
  readonly options: {
    readonly host?: string | undefined;
    readonly port?: number | undefined;
    readonly path?: string | undefined;
    readonly tls?: unknown;
    readonly sentinels?: unknown;
  };
  readonly stream?:
    | {
        readonly encrypted?: boolean | undefined;
        readonly remoteAddress?: string | undefined;
        readonly remotePort?: number | undefined;
      }
    | undefined;
}

/** Behind Sentinel the options know no host, only the socket does. */
export function connectionOf({ options, stream }: ConnectedClient): ServerConnection {
  const found = options.sentinels ? { host: stream?.remoteAddress, port: stream?.remotePort } : options;
  return {
    host: found.host,
    port: found.port,
    tls: stream?.encrypted === true || Boolean(options.tls),
    path: options.sentinels ? undefined : (options.path ?? undefined),
  };
}

/** The fields of an `INFO` reply, all of its sections in one map. */
export function parseInfo(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const at = line.indexOf(':');
    if (at > 0 && !line.startsWith('#')) fields.set(line.slice(0, at), line.slice(at + 1));
  }
  return fields;
}

/** `host:port`, or the path of the socket: how texts call a server. */
export function nameOf({ host, port, path }: ServerConnection): string {
  if (path !== undefined) return path;
  const shown = host ?? 'localhost';
  return `${shown.includes(':') ? `[${shown}]` : shown}:${port ?? 6379}`;
}

/**
 * The reason not to use this server, a `CacheGuardStoreError` (`CG_UNSUPPORTED_REDIS`); `undefined` for one that is new enough, and
 * for one that hides its version.
 *
 * @param info at least the section `server`
 */
export function refusalOf(
  info: ReadonlyMap<string, string>,
  connection: ServerConnection,
): CacheGuardStoreError | undefined {
  const version = info.get('redis_version');
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version ?? '') ?? [];
  if (major === undefined) return undefined;
  const enough = Number(major) - NEEDED.major || Number(minor) - NEEDED.minor;
  if (enough >= 0) return undefined;
  return new CacheGuardStoreError(
    'CG_UNSUPPORTED_REDIS',
    `Redis at ${nameOf(connection)} has version ${version}, ${NEEDED.major}.${NEEDED.minor} or newer is needed.`,
  );
}

/**
 * What somebody should know about a server and the way to it.
 *
 * @param info the sections `server`, `memory` and `stats`; what is missing gives no advice
 */
export function adviseOn(info: ReadonlyMap<string, string>, connection: ServerConnection): Advice[] {
  const server = `Redis at ${nameOf(connection)}`;
  const advice: Advice[] = [];
  const advise = (code: AdviceCode, text: string) => advice.push({ code, text });

  const refusal = refusalOf(info, connection);
  if (refusal) {
    advise(
      'unsupported-version',
      `${refusal.message} It is not used: reads go to the loaders, invalidations are kept in this process. Upgrade the server.`,
    );
  }
  if (!connection.tls && connection.path === undefined && !isLoopback(connection.host)) {
    advise(
      'plaintext',
      `${server} is reached over the network without TLS: cached values and the password can be read and changed on the way. ` +
        'Connect with rediss:// or the option tls, or through a tunnel that ends on this machine.',
    );
  }
  const limit = numberOf(info, 'maxmemory');
  const policy = info.get('maxmemory_policy');
  if (limit !== undefined && limit > 0) {
    const evicting = policy === undefined ? undefined : evictionText(server, policy);
    if (evicting !== undefined) advise('evicting-policy', evicting);
    const used = numberOf(info, 'used_memory');
    if (used !== undefined && used > limit * TIGHT) {
      advise(
        'little-headroom',
        `${server} uses ${percent(used, limit)} of its maxmemory (${megabytes(used)} of ${megabytes(limit)}): ` +
          `${policy === 'noeviction' ? 'once it is full, nothing new is kept and no lease is granted' : 'what it evicts must be loaded again'}. ` +
          'Raise maxmemory, or shorten hardTtl of the largest domains.',
      );
    }
  }
  const machine = numberOf(info, 'total_system_memory');
  if (limit === 0 && machine !== undefined && machine > 0) {
    advise(
      'no-memory-limit',
      `${server} has no maxmemory on a machine of ${megabytes(machine)}: it grows until the machine has no memory left. ` +
        'Every key of this library expires by itself; set maxmemory all the same where others share the server.',
    );
  }
  return advice;
}

/**
 * How many keys a server has evicted since it was asked before; 0 the first time. A server that counts from zero again was restarted.
 *
 * @param previous its `evicted_keys` of before
 */
export function evictedSince(previous: number | undefined, info: ReadonlyMap<string, string>): number {
  const evicted = numberOf(info, 'evicted_keys');
  if (evicted === undefined || previous === undefined) return 0;
  return evicted >= previous ? evicted - previous : evicted;
}

export function numberOf(info: ReadonlyMap<string, string>, field: string): number | undefined {
  const text = info.get(field);
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** `undefined` for a policy that evicts nothing. */
function evictionText(server: string, policy: string): string | undefined {
  const [scope, order] = policy.split('-', 2);
  if (scope !== 'allkeys' && scope !== 'volatile') return undefined;
  // Those go by age of use; the others would take leases, which are short-lived and new, as readily as anything else or first.
  const gentle = order === 'lru' || order === 'lfu';
  return (
    `${server} evicts by ${policy} when its memory is full, and takes leases, generations and version floors as well as entries: ` +
    'a lost one never lets an old value pass for fresh, but costs loads, and without its version floor a removed entry may come back in ' +
    'an older version of the source. ' +
    (scope === 'volatile'
      ? 'Every key of this library has a TTL, so on a server that is shared with keys without one, ours are the ones that go. '
      : '') +
    (gentle
      ? `Give it room and an alert on evicted_keys, so that ${policy} stays the exception; noeviction keeps every promise as long as there is room.`
      : 'Set maxmemory-policy allkeys-lru or allkeys-lfu, which spare what is in use, or noeviction with an alert on used_memory.')
  );
}

function isLoopback(host: string | undefined): boolean {
  if (host === undefined) return true;
  const name = host.toLowerCase().replace(/^\[|\]$/g, '');
  return /^(?:::ffff:)?127\.\d+\.\d+\.\d+$/.test(name) || /^(?:.+\.)?localhost\.?$/.test(name) || name === '::1';
}

function percent(part: number, whole: number): string {
  return `${Math.round((part / whole) * 100)} %`;
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}

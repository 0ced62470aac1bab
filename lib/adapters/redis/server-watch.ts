import { elapsedSince, instant, type Clock, type Instant } from '../../core/clock.js';
import {
  adviseOn,
  evictedSince,
  nameOf,
  numberOf,
  parseInfo,
  type Advice,
  type ServerConnection,
} from './server-check.js';

/** The least time between two words about evictions of one server. */
const EVICTING_QUIET_MS = 30_000;

/** A server that is looked at. */
export interface WatchedServer {
  readonly connection: ServerConnection;
  /** `INFO` with the sections `server`, `memory` and `stats`, bounded in time. */
  info(): Promise<string>;
}

interface Known {
  readonly told: Set<string>;
  /** Its `evicted_keys` when evictions were last told of. */
  evicted: number | undefined;
  toldAt: Instant | undefined;
}

/**
 * Says what somebody should know about the servers: each code once per server, and evictions at most every 30 s while they go on. It
 * looks when it is told to and keeps no timer.
 */
export class ServerWatch {
  private readonly known = new Map<string, Known>();

  constructor(
    private readonly clock: Clock,
    private readonly onAdvice: (advice: Advice) => void,
  ) {}

  /** Asks each server once. Never rejects: a server that does not answer is looked at another time. */
  async look(servers: Iterable<WatchedServer>): Promise<void> {
    await Promise.all(
      Array.from(servers, async (server) => {
        try {
          this.learn(server.connection, parseInfo(await server.info()));
        } catch {
          // Whoever sends commands learns of the trouble by itself.
        }
      }),
    );
  }

  /** The same with what is known already. */
  learn(connection: ServerConnection, info: ReadonlyMap<string, string>): void {
    const name = nameOf(connection);
    const known = this.of(name);
    for (const advice of adviseOn(info, connection)) {
      if (known.told.has(advice.code)) continue;
      known.told.add(advice.code);
      this.onAdvice(advice);
    }
    this.countEvictions(name, known, info);
  }

  private countEvictions(name: string, known: Known, info: ReadonlyMap<string, string>): void {
    const evicted = evictedSince(known.evicted, info);
    // What is not told of now is part of the next number.
    if (evicted > 0 && known.toldAt && elapsedSince(known.toldAt, this.clock) < EVICTING_QUIET_MS) return;
    known.evicted = numberOf(info, 'evicted_keys') ?? known.evicted;
    if (evicted === 0) return;
    known.toldAt = instant(this.clock);
    this.onAdvice({
      code: 'evicting',
      text:
        `Redis at ${name} has evicted ${evicted} keys: its memory is full. What is lost is loaded again, and a load whose lease is lost ` +
        'is not kept. Raise maxmemory, or shorten hardTtl of the largest domains.',
    });
  }

  private of(name: string): Known {
    let known = this.known.get(name);
    if (!known) this.known.set(name, (known = { told: new Set(), evicted: undefined, toldAt: undefined }));
    return known;
  }
}

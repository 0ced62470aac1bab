import { elapsedSince, instant, type Clock, type Instant } from '../../core/clock.js';
import type { Signal } from '../../core/store.js';
import { connectionOf } from './server-check.js';
import { ServerWatch } from './server-watch.js';
import type { Topology } from './topology.js';

const ROUND_MS = 30_000;

/** Looks after the servers in rounds, the first of them at the start; on the beats of others, without a timer of its own. */
export class Patrol {
  private readonly watch: ServerWatch;
  private lastAt: Instant | undefined;

  constructor(
    private readonly topology: Topology,
    private readonly clock: Clock,
    emit: (signal: Signal) => void,
    private readonly bounded: <T>(work: Promise<T>) => Promise<T>,
  ) {
    this.watch = new ServerWatch(clock, (advice) => emit({ kind: 'advice', ...advice }));
  }

  /** Begins a round if one is due; it goes on by itself. `now`: some server is another one than before. */
  walk(now = false): void {
    if (!now && this.lastAt && elapsedSince(this.lastAt, this.clock) < ROUND_MS) return;
    this.lastAt = instant(this.clock);
    const servers = this.topology.masters().map(({ client }) => ({
      connection: connectionOf(client),
      info: () => this.bounded(client.info('server', 'memory', 'stats')),
    }));
    void this.watch.look(servers);
  }
}

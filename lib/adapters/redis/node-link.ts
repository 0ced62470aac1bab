import { crc32 } from 'node:zlib';
import type { Clock } from '../../core/clock.js';
import type { NodeClient } from './client-shapes.js';
import { ServerClock } from './server-clock.js';
import { unavailable } from './budget.js';

/**
 * One server and our connection to it. A server's identity is read on every connection before anything that it says is trusted: after a
 * restart it may have forgotten invalidations, or come back from an older snapshot.
 */
export class NodeLink {
  readonly clock: ServerClock;
  /** Of the server behind the present connection. */
  private epoch: number | undefined;
  private identified: Promise<number> | undefined;
  private connection = 0;

  constructor(
    readonly client: NodeClient,
    clock: Clock,
  ) {
    this.clock = new ServerClock(clock);
    client.on('close', () => this.forget());
    client.on('ready', () => void this.identify().catch(() => {}));
  }

  /** The identity if it is known: then the connection stands. */
  get known(): number | undefined {
    return this.epoch;
  }

  /** Asks once per connection. Rejects while there is none. */
  identify(): Promise<number> {
    this.identified ??= this.ask().catch((error: unknown) => {
      this.identified = undefined;
      throw error;
    });
    return this.identified;
  }

  private async ask(): Promise<number> {
    const { connection } = this;
    const sentAt = this.clock.start();
    // One turn for both, so that they travel on one connection.
    const [info, time] = await Promise.all([this.client.info('server'), this.client.time()]);
    const runId = /^run_id:(\w+)/m.exec(info)?.[1];
    if (!runId) throw unavailable('INFO server gave no run_id; the ACL of this user must allow INFO');
    if (connection !== this.connection) throw unavailable('the connection was lost');
    this.clock.reset();
    this.clock.learn(Number(time[0]) * 1_000 + Number(time[1]) / 1_000, sentAt);
    this.epoch = crc32(runId);
    return this.epoch;
  }

  private forget(): void {
    this.connection++;
    this.epoch = undefined;
    this.identified = undefined;
  }
}

import { crc32 } from 'node:zlib';
import type { Breaker, MakeBreaker } from '../../core/breaker.js';
import { elapsedSince, instant, type Clock, type Instant } from '../../core/clock.js';
import type { CacheGuardStoreError } from '../../core/errors.js';
import { isOutage, unavailable } from './budget.js';
import type { NodeClient } from './client-shapes.js';
import { connectionOf, parseInfo, refusalOf } from './server-check.js';
import { ServerClock } from './server-clock.js';

/** No connection is given up sooner after it was opened. */
const RECONNECT_MS = 2_000;

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
  /** Why this server must not be used. */
  refusal: CacheGuardStoreError | undefined;
  private readonly breaker: Breaker;
  /** No beat has been answered since one was not: nothing else is sent. */
  private missing = false;
  private reconnectedAt: Instant;
  /** The last that was wrong with the connection or a beat: refusals name it. */
  private trouble: unknown;
  private readonly refuse = () =>
    unavailable('it has not been answering, and is left alone until it does', this.trouble);

  constructor(
    readonly client: NodeClient,
    private readonly time: Clock,
    makeBreaker: MakeBreaker,
    /** Gives the connection up for a new one; `undefined`: it is not ours to close and open again. */
    private readonly renew: (() => void) | undefined,
    /** The server may not have been there for a while. */
    private readonly lost: (over: boolean) => void,
  ) {
    this.clock = new ServerClock(time);
    this.reconnectedAt = instant(time);
    this.breaker = makeBreaker({ failures: 5, pauseMs: 200, maxPauseMs: 1_000, isFailure: isOutage });
    client.on('error', (error) => (this.trouble = error));
    client.on('close', () => {
      this.forget();
      this.miss();
    });
    client.on('ready', () => void this.identify().catch(() => {}));
  }

  /** The identity if it is known: then the connection stands. */
  get known(): number | undefined {
    return this.epoch;
  }

  /** Runs a command, unless the server has been failing: beats alone try it then. */
  run<T>(work: () => Promise<T>): Promise<T> {
    if (this.missing || !this.breaker.closed) return Promise.reject(this.refuse());
    return this.breaker.run(work, this.refuse);
  }

  /** Runs a beat. When it is answered after others were not, that is an outage's end. */
  async beat<T>(work: () => Promise<T>): Promise<T> {
    let sent = false;
    try {
      const answer = await this.breaker.run(() => {
        sent = true;
        return work();
      }, this.refuse);
      if (this.missing) this.lost(true);
      this.missing = false;
      return answer;
    } catch (error) {
      if (sent && isOutage(error)) {
        this.trouble = (error as { cause?: unknown }).cause ?? this.trouble;
        this.miss();
        this.reconnect();
      }
      throw error;
    }
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
    this.refusal = refusalOf(parseInfo(info), connectionOf(this.client));
    if (this.refusal) throw this.refusal;
    if (!runId) throw unavailable('INFO server gave no run_id; the ACL of this user must allow INFO');
    if (connection !== this.connection) throw unavailable('the connection was lost');
    this.clock.reset();
    this.clock.learn(Number(time[0]) * 1_000 + Number(time[1]) / 1_000, sentAt);
    this.epoch = crc32(runId);
    return this.epoch;
  }

  private miss(): void {
    if (!this.missing) this.lost(false);
    this.missing = true;
  }

  /** A connection that is half open, or stuck in its greeting, would stay so for many minutes. A cluster sees to its connections itself. */
  private reconnect(): void {
    if (!this.renew || elapsedSince(this.reconnectedAt, this.time) < RECONNECT_MS) return;
    this.reconnectedAt = instant(this.time);
    this.renew();
  }

  private forget(): void {
    this.connection++;
    this.epoch = undefined;
    this.identified = undefined;
  }
}

import type { Clock } from '../../core/clock.js';
import { KNOWN_MS, LIVE_MS, type BeatReply, type BeatRequest, type Signal } from '../../core/store.js';
import { withinBudget } from './budget.js';
import type { Keyspace } from './keyspace.js';
import type { NodeLink } from './node-link.js';
import type { Script } from './script.js';
import type { Topology } from './topology.js';

/** So many beats in a row that were sent and not heard, and the subscription is taken for half open. */
const DEAF_AFTER = 8;

const MAX_AWAITED = 64;

interface Awaited {
  /** Servers whose message has not come yet. */
  readonly from: Set<string>;
  /** Every server has taken the beat. */
  sent: boolean;
}

/**
 * Beats on every master: each publishes to this process, over the connection on which invalidations come. A beat counts as heard when all
 * of them have been: invalidations of a key are published by the master that has it.
 */
export class Heartbeat {
  private readonly awaited = new Map<number, Awaited>();
  private deafFor = 0;
  private last: BeatReply = { live: 1, unsettled: 1 };

  constructor(
    private readonly topology: Topology,
    private readonly keyspace: Keyspace,
    private readonly process: string,
    private readonly script: Script,
    private readonly emit: (signal: Signal) => void,
    private readonly clock: Clock,
    /** A beat that takes longer has failed, and does nothing when it arrives after all. */
    private readonly timeoutMs: number,
  ) {}

  /** Resolves when at least one master has answered. A master that does not is left alone until it does. */
  async beat(request: BeatRequest): Promise<BeatReply> {
    const masters = this.topology.masters();
    const { beat } = request;
    const from = new Set(masters.map((_, index) => String(index)));
    const awaited: Awaited = { from, sent: false };
    // Where nothing is ever heard, nothing is waited for without end.
    if (this.awaited.size >= MAX_AWAITED) this.awaited.delete(this.awaited.keys().next().value!);
    this.awaited.set(beat, awaited);
    const home = this.home();
    // Until the server that counts them says otherwise.
    this.last = { live: this.last.live, unsettled: 1 };
    const outcomes = await Promise.allSettled(
      masters.map((link, index) => this.beatOn(link, String(index), link === home, request)),
    );
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure || outcomes.length === 0) this.awaited.delete(beat);
    if (outcomes.every(({ status }) => status === 'rejected')) throw failure?.reason ?? new Error('no server is known');
    if (!failure) {
      awaited.sent = true;
      this.check(beat, awaited);
      this.mendDeafness();
    }
    return this.last;
  }

  /** A beat came over the channel. */
  heard(beat: number, from: string): void {
    const awaited = this.awaited.get(beat);
    if (!awaited) return;
    awaited.from.delete(from);
    this.check(beat, awaited);
  }

  private bounded<T>(work: Promise<T>): Promise<T> {
    return withinBudget(work, 'a heartbeat', this.timeoutMs, this.clock);
  }

  private check(beat: number, awaited: Awaited): void {
    if (awaited.from.size > 0 || !awaited.sent) return;
    this.deafFor = 0;
    for (const earlier of this.awaited.keys()) if (earlier <= beat) this.awaited.delete(earlier);
    this.emit({ kind: 'heard', beat });
  }

  private mendDeafness(): void {
    if (++this.deafFor <= DEAF_AFTER) return;
    this.deafFor = 0;
    this.topology.subscriber.reconnect();
  }

  private async beatOn(link: NodeLink, index: string, isHome: boolean, request: BeatRequest): Promise<void> {
    const { beat, settled, outage } = request;
    const reply = await link.beat(async () => {
      if (link.known === undefined) await this.bounded(link.identify());
      const sentAt = link.clock.start();
      const sent = link.clock.now() ?? Infinity;
      const answer = await this.bounded(
        this.script.run(link.client, isHome ? [this.keyspace.live] : [], [
          this.keyspace.processChannelPrefix + this.process,
          `h|${beat}|${index}`,
          this.process,
          settled ? 1 : 0,
          LIVE_MS,
          outage ? Math.ceil(outage.backForMs) : '',
          outage ? Math.ceil(outage.lostForMs + KNOWN_MS) : '',
          Math.floor(sent),
          Math.ceil(sent + this.timeoutMs),
        ]),
      );
      const [nowUs, live, unsettled] = answer as Buffer[];
      link.clock.learn(Number(nowUs) / 1_000, sentAt);
      return { live: Number(live), unsettled: Number(unsettled) };
    });
    if (isHome && reply.live >= 0) this.last = reply;
  }

  private home(): NodeLink | undefined {
    try {
      return this.topology.linkFor(this.keyspace.live);
    } catch {
      return undefined;
    }
  }
}

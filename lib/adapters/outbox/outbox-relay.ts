import type { DomainEvent } from '../../core/domain-event.js';
import { readRefusals, readRelay, stuck, type OutboxRelayOptions } from './outbox-options.js';
import type { OutboxRow } from './sql-outbox.js';

const MAX_BACKOFF_MS = 30_000;
/** How long `close` waits for a batch that is under way. */
const CLOSE_PATIENCE_MS = 5_000;

export interface OutboxStatus {
  /** Rows that are still to be sent. */
  readonly waiting: number;
  /** Rows that were set aside, with the reason in their column `reason`. */
  readonly dead: number;
  /** Age of the oldest that waits, milliseconds; 0 when none waits. */
  readonly oldestMs: number;
}

/**
 * Moves the rows of an outbox to where their events belong, in the order of their positions and at least once: who is killed between
 * the two steps has sent them, and whoever comes next sends them again.
 */
export class OutboxRelay {
  private readonly everyMs: number;
  private readonly batch: number;
  private readonly alone: NonNullable<OutboxRelayOptions['alone']>;
  private state: 'made' | 'started' | 'closed' = 'made';
  private cancelTimer: (() => void) | undefined;
  private turn: Promise<void> | undefined;
  private nudged = false;
  private failures = 0;

  /** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
  constructor(private readonly options: OutboxRelayOptions) {
    const { everyMs, batch } = readRelay(options);
    const { alone = (work) => work(new AbortController().signal) } = options;
    this.everyMs = everyMs;
    this.batch = batch;
    this.alone = alone;
  }

  start(): void {
    if (this.state !== 'made') return;
    this.state = 'started';
    this.go();
  }

  /** To be called after a commit: the rows are looked at now and not at the next interval. While failures back off, it does nothing. */
  nudge(): void {
    if (this.state !== 'started' || this.failures > 0) return;
    if (this.turn) this.nudged = true;
    else this.go();
  }

  /** @throws what the query function throws */
  async status(): Promise<OutboxStatus> {
    const { outbox, query } = this.options;
    const { waiting, dead, oldestMs } = await outbox.counts(query);
    return { waiting, dead, oldestMs: this.ageOf(oldestMs) };
  }

  /** Lets the batch under way end, for 5 s at most, and begins no other. */
  async close(): Promise<void> {
    this.state = 'closed';
    this.cancelTimer?.();
    this.cancelTimer = undefined;
    if (!this.turn) return;
    let cancel = () => {};
    const patience = new Promise<void>((resolve) => {
      cancel = this.options.clock.schedule(CLOSE_PATIENCE_MS, resolve, true);
    });
    await Promise.race([this.turn, patience]);
    cancel();
  }

  private go(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
    this.nudged = false;
    this.turn = this.run().then(() => {
      this.turn = undefined;
      this.wait();
    });
  }

  private wait(): void {
    if (this.state === 'closed') return;
    if (this.nudged && this.failures === 0) return this.go();
    const backoffMs = Math.min(this.everyMs * 2 ** Math.min(this.failures, 20), MAX_BACKOFF_MS);
    const ms = this.failures > 0 ? Math.max(backoffMs, this.everyMs) : this.everyMs;
    this.cancelTimer = this.options.clock.schedule(ms, () => this.go());
  }

  /** Never rejects. */
  private async run(): Promise<void> {
    try {
      await this.alone((signal) => this.drain(signal));
      this.failures = 0;
    } catch (error) {
      this.failures++;
      this.options.reports?.trouble(error);
    }
  }

  private async drain(signal: AbortSignal): Promise<void> {
    const { outbox, query, reports } = this.options;
    let before: unknown;
    while (!signal.aborted && this.state === 'started') {
      const rows = await outbox.read(query, this.batch);
      // Sent and deleted, and there again: to go on at once would be to go on for ever.
      if (rows.length > 0 && rows[0]!.position === before) stuck();
      before = rows[0]?.position;
      reports?.lag(this.ageOf(rows[0]?.queuedMs));
      if (rows.length === 0) return;
      await this.move(rows);
    }
  }

  private async move(rows: readonly OutboxRow[]): Promise<void> {
    const { outbox, query, destination } = this.options;
    const sent: { readonly position: unknown; readonly event: DomainEvent }[] = [];
    for (const { position, event } of rows) {
      if ('malformed' in event) await this.setAside(position, event.malformed);
      else sent.push({ position, event });
    }
    if (sent.length === 0) return;
    const refusals = readRefusals(await destination.append(sent.map(({ event }) => event)), sent.length);
    for (const { index, reason } of refusals) await this.setAside(sent[index]!.position, reason, sent[index]!.event);
    const kept = new Set(refusals.map(({ index }) => index));
    await outbox.remove(
      query,
      sent.filter((_, i) => !kept.has(i)).map(({ position }) => position),
    );
  }

  private async setAside(position: unknown, reason: string, event?: DomainEvent): Promise<void> {
    const { outbox, query, reports } = this.options;
    await outbox.setAside(query, position, reason);
    reports?.deadLettered(event, reason);
  }

  private ageOf(queuedMs: number | undefined): number {
    return queuedMs === undefined ? 0 : Math.max(0, this.options.clock.wall() - queuedMs);
  }
}

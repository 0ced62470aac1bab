import type { Clock } from '../../../core/clock.js';
import type { Delivery, EventSink, Failure } from '../../../core/event-source.js';
import { Acknowledgements } from './acknowledgements.js';
import { eventIn, type StreamEntry } from './stream-entry.js';
import type { StreamGroup } from './stream-group.js';

/** Batches that are dealt with while the next one is read. */
const BATCHES = 16;
/** One that takes longer holds up no other, up to so many. */
const SLOW_MS = 1_000;
const SLOW_BATCHES = 64;
/** More than that of which nothing became do not wait here to be put aside: they stay pending, and come again. */
const MOST_DEAD = 4_096;

interface Batch {
  readonly startedMs: number;
}

interface Decoded {
  readonly entry: StreamEntry;
  readonly event: unknown;
}

interface Dead extends Decoded {
  readonly reason: string;
  readonly failure?: Failure;
}

export interface StreamWorkOptions {
  readonly group: StreamGroup;
  readonly sink: EventSink;
  readonly clock: Clock;
  readonly batch: number;
  readonly maxTries: number;
  readonly retryAfterMs: number;
  /** There may be room for more. */
  readonly freed: () => void;
}

/** Entries that were handed out to this process, from their arrival to what has become of them. */
export class StreamWork {
  readonly acknowledgements: Acknowledgements;
  private readonly batches = new Set<Batch>();
  /** The ids of those that are being put aside: that may wait for others, and holds up no batch. */
  private readonly dead = new Set<string>();
  /** By id: how often it was handed out. */
  private readonly underway = new Map<string, number>();
  private heldUntilMs = -Infinity;
  private ended = false;
  private idle: (() => void) | undefined;

  constructor(private readonly options: StreamWorkOptions) {
    this.acknowledgements = new Acknowledgements(options.group, (command) => this.attempt(command));
  }

  /** For how many milliseconds nothing more is to be read; 0 when there is room. */
  get waitMs(): number {
    const now = this.options.clock.monotonic();
    const heldMs = this.heldUntilMs - now;
    if (heldMs > 0) return heldMs;
    const started = [...this.batches].map(({ startedMs }) => startedMs).filter((ms) => ms > now - SLOW_MS);
    const crowded = this.batches.size >= SLOW_BATCHES || this.acknowledgements.size > BATCHES * this.options.batch;
    if (crowded) return SLOW_MS;
    return started.length < BATCHES ? 0 : Math.max(1, started[0]! + SLOW_MS - now);
  }

  has(id: string): boolean {
    return this.underway.has(id) || this.acknowledgements.has(id);
  }

  /** How often one that is being dealt with was handed out before. */
  triesOf(id: string): number | undefined {
    const count = this.underway.get(id);
    return count === undefined ? undefined : count - 1;
  }

  /**
   * Never rejects.
   *
   * @param apart of the same batch, but each for itself: none of them waits for another one, nor do the others for it
   */
  async deal(together: readonly StreamEntry[], apart: readonly StreamEntry[] = []): Promise<void> {
    const groups = [together, ...apart.map((entry) => [entry])].filter(({ length }) => length > 0);
    if (groups.length === 0) return;
    const batch = { startedMs: this.options.clock.monotonic() };
    this.batches.add(batch);
    await Promise.all(groups.map((group) => this.dealWith(group)));
    this.batches.delete(batch);
    this.rest();
    this.options.freed();
  }

  private async dealWith(entries: readonly StreamEntry[]): Promise<void> {
    for (const { id, count } of entries) this.underway.set(id, count);
    const { good, bad } = this.decode(entries);
    for (const one of bad) this.putAside(one);
    await this.deliver(good);
    for (const { id } of entries) if (!this.dead.has(id)) this.underway.delete(id);
  }

  /** Nothing more is to be read from now on. */
  stop(): void {
    this.heldUntilMs = Infinity;
  }

  /** Resolves when nothing is being dealt with. */
  async finish(): Promise<void> {
    if (this.batches.size + this.dead.size > 0) await new Promise<void>((resolve) => (this.idle = resolve));
  }

  private rest(): void {
    if (this.batches.size + this.dead.size === 0) this.idle?.();
  }

  /** What fails from now on is told to nobody: it has been given back. */
  end(): void {
    this.ended = true;
  }

  private decode(entries: readonly StreamEntry[]): { readonly good: Decoded[]; readonly bad: Dead[] } {
    const good: Decoded[] = [];
    const bad: Dead[] = [];
    for (const entry of entries) {
      const { event, undecodable } = eventIn(entry);
      const spent = entry.count > this.options.maxTries;
      const reason = undecodable ?? (spent ? `nothing became of it in ${entry.count - 1} tries` : undefined);
      if (reason === undefined) good.push({ entry, event });
      else bad.push({ entry, event, reason });
    }
    return { good, bad };
  }

  private async deliver(decoded: readonly Decoded[]): Promise<void> {
    if (decoded.length === 0) return;
    const { group, sink, clock, maxTries, retryAfterMs } = this.options;
    const verdicts = (await this.attempt(sink.deliver(decoded.map(deliveryOf)))) ?? [];
    const done: string[] = [];
    const later: { id: string; count: number }[] = [];
    const dead: Dead[] = [];
    decoded.forEach(({ entry, event }, i) => {
      const { id, count } = entry;
      const verdict = verdicts[i];
      if (verdict?.kind === 'done') done.push(id);
      else if (verdict?.kind === 'later') later.push({ id, count: count - 1 });
      else if (verdict?.kind === 'poison' || (verdict && count >= maxTries)) {
        dead.push({ entry, event, reason: verdict.reason, failure: verdict });
      }
    });
    if (done.length > 0) this.acknowledgements.add(done);
    if (later.length > 0) {
      this.heldUntilMs = Math.max(this.heldUntilMs, clock.monotonic() + retryAfterMs);
      await this.attempt(group.giveBack(later, 0));
    }
    for (const one of dead) this.putAside(one);
  }

  private putAside(one: Dead): void {
    const { id } = one.entry;
    if (this.dead.size >= MOST_DEAD) return;
    this.dead.add(id);
    void this.bury(one).then(() => {
      this.dead.delete(id);
      this.underway.delete(id);
      this.rest();
    });
  }

  /** What is not put aside now stays pending, and is tried again like any other. */
  private async bury({ entry, event, reason, failure }: Dead): Promise<void> {
    const { group, sink } = this.options;
    const { id, count } = entry;
    const isGivenUp = await sink.giveUp(event).then(
      () => true,
      () => false,
    );
    // The store is away, which is no try.
    if (!isGivenUp) await this.attempt(group.giveBack([{ id, count: count - 1 }], 0));
    else if (await this.attempt(group.bury(entry, reason))) {
      sink.deadLettered(event, reason, { ...failure, attempt: count });
    }
  }

  private attempt<T>(command: Promise<T>): Promise<T | undefined> {
    return command.catch((error: unknown) => {
      if (!this.ended) this.options.sink.trouble(error);
      return undefined;
    });
  }
}

function deliveryOf({ entry: { count }, event }: Decoded): Delivery {
  return { event, tries: count - 1 };
}

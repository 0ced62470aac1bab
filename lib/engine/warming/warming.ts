import { elapsedSince, instant } from '../../core/clock.js';
import { CacheGuardConfigError, isCacheGuardError } from '../../core/errors.js';
import type { WarmingControl, WarmingInput, WarmingPlan, WarmingProgress, WarmingReport } from '../../core/warming.js';
import type { Duties } from '../duty.js';
import type { EngineParts } from '../engine-parts.js';
import { EventHub } from '../event-hub.js';
import { collectServed, runInFrame } from '../load-frames.js';
import { Feed, sizeOf } from './feed.js';
import { runWarming } from './warmth.js';

/** From one report of progress to the next. */
const TELL_MS = 1_000;
/** A source that has no room, or is left alone, is for waiting people first. */
const SPARE_MS = 1_000;
const SPARED_TIMES = 10;
/** What is answered from memory never waits for anything: others must have their turn all the same. */
const BREATH = 64;
/** How long a list may take to clean up. */
const CLEAN_UP_MS = 1_000;

export interface WarmingRooms {
  readonly parts: Pick<EngineParts, 'clock' | 'hub' | 'store'>;
  readonly duties: Duties;
  /** Under this name one process warms at a time. */
  readonly duty: string;
  /** Makes one call of what is warmed. */
  call(input: WarmingInput, item: unknown): Promise<unknown>;
}

type Ending = Pick<WarmingReport, 'state' | 'error'>;

/** A warming under way, or what became of it. */
export class Warming {
  /** Never rejects: what went wrong is in the report. */
  readonly done: Promise<WarmingReport>;
  private state: WarmingProgress['state'] = 'running';
  private readonly counts = { done: 0, failed: 0, skipped: 0 };
  private total: number | undefined;
  private firstError: unknown;
  private feed: Feed<unknown> | undefined;
  private readonly halted = new AbortController();
  private readonly listeners = new EventHub();
  private toldMs = 0;
  private calls = 0;

  constructor(
    private readonly plan: WarmingPlan,
    private readonly rooms: WarmingRooms,
    { signal, onProgress }: WarmingControl,
  ) {
    const sizes = plan.tiers.map((tier) => sizeOf('keys' in tier ? tier.keys : tier.args));
    this.total = sizes.reduce((sum, size) => (sum === undefined || size === undefined ? undefined : sum + size), 0);
    if (onProgress) this.listeners.on(() => onProgress(this.progress));
    const halt = () => this.halt();
    if (signal?.aborted) halt();
    signal?.addEventListener('abort', halt, { once: true });
    this.done = this.run().finally(() => signal?.removeEventListener('abort', halt));
  }

  get progress(): WarmingProgress {
    const { state, counts, total } = this;
    return { state, ...counts, total };
  }

  /** Begins nothing more; resolves when the loads under way have ended. */
  stop(): Promise<WarmingReport> {
    this.halt();
    return this.done;
  }

  private halt(): void {
    this.halted.abort();
    void this.feed?.end();
  }

  private async run(): Promise<WarmingReport> {
    const { parts, duties, duty } = this.rooms;
    const began = instant(parts.clock);
    let ending: Ending = { state: 'stopped', error: undefined };
    try {
      const held = this.halted.signal.aborted
        ? { result: ending }
        : await duties.run(duty, (lost) => this.underDuty(lost));
      ending = held?.result ?? { state: 'elsewhere', error: undefined };
    } catch (error) {
      ending = { state: 'failed', error };
    }
    const { state, error = this.firstError } = ending;
    if (state !== 'elsewhere') this.tell(state, error);
    const { done, failed, skipped } = this.counts;
    if (state === 'done') this.total ??= done + failed + skipped;
    return { state, ...this.counts, total: this.total, ms: elapsedSince(began, parts.clock), error };
  }

  private async underDuty(lost: AbortSignal): Promise<Ending> {
    const { tiers, restMs } = this.plan;
    const { duty, parts } = this.rooms;
    const { board } = parts.store;
    if (restMs > 0 && (await board.read([duty]))[0] !== undefined) return { state: 'elsewhere', error: undefined };
    const onLost = () => this.halt();
    lost.addEventListener('abort', onLost, { once: true });
    try {
      this.tell('running');
      for (const tier of tiers) if (!this.halted.signal.aborted) await this.warm(tier);
    } finally {
      lost.removeEventListener('abort', onLost);
    }
    if (lost.aborted) return { state: 'failed', error: lost.reason };
    if (this.halted.signal.aborted) return { state: 'stopped', error: undefined };
    // Without the note, another process does it again and finds everything fresh.
    if (restMs > 0) await board.post(duty, '1', restMs).catch(() => {});
    return { state: 'done', error: undefined };
  }

  /** Rejects with what the list throws, once the calls under way have ended. */
  private async warm(input: WarmingInput): Promise<void> {
    const feed = new Feed<unknown>('keys' in input ? input.keys : input.args);
    this.feed = feed;
    const work = async () => {
      for (;;) {
        const item = await feed.next();
        if (item.done) return;
        await this.one(input, item.value);
      }
    };
    const workers = await Promise.allSettled(Array.from({ length: this.plan.concurrency }, work));
    await this.cleanUp(feed);
    for (const worker of workers) if (worker.status === 'rejected') throw worker.reason;
  }

  private async cleanUp(feed: Feed<unknown>): Promise<void> {
    let cancel = () => {};
    const patience = new Promise<void>((resolve) => {
      cancel = this.rooms.parts.clock.schedule(CLEAN_UP_MS, resolve, true);
    });
    await Promise.race([feed.end(), patience]);
    cancel();
  }

  private async one(input: WarmingInput, item: unknown): Promise<void> {
    for (let time = 1; ; time++) {
      const { outcome, error } = await this.attempt(input, item);
      const spared = isCacheGuardError(error, 'CG_OVERLOADED') || isCacheGuardError(error, 'CG_SOURCE_BROKEN');
      if (spared && time < SPARED_TIMES && !this.halted.signal.aborted) {
        await this.pause(SPARE_MS);
        continue;
      }
      this.counts[outcome]++;
      this.firstError ??= error;
      break;
    }
    const { clock } = this.rooms.parts;
    if (clock.monotonic() - this.toldMs >= TELL_MS) this.tell('running');
    if (++this.calls % BREATH === 0) await this.pause(0);
  }

  private async attempt(
    input: WarmingInput,
    item: unknown,
  ): Promise<{ outcome: 'done' | 'failed' | 'skipped'; error: unknown }> {
    const { spread, domain, name } = this.plan;
    const call = async () => {
      try {
        await this.rooms.call(input, item);
        return undefined;
      } catch (error) {
        return { error };
      }
    };
    // Whoever asked for the warming may do so inside a load; what is warmed is no part of that.
    const { value: threw, served } = await runInFrame(undefined, () => collectServed(() => runWarming(spread, call)));
    const state = served.findLast((one) => one.domain === domain)?.state;
    if (state === 'fresh' || state === 'stale') return { outcome: 'skipped', error: undefined };
    if (threw) return { outcome: 'failed', error: threw.error };
    if (state === 'loaded') return { outcome: 'done', error: undefined };
    const error = new CacheGuardConfigError(
      'CG_INVALID_OPTIONS',
      `Warming '${name}': a call cached nothing in domain '${domain}'; warm what this domain caches, and what may be kept.`,
      { domain, field: 'warming.domain' },
    );
    return { outcome: 'failed', error };
  }

  private tell(state: WarmingProgress['state'], error = this.firstError): void {
    const { clock, hub } = this.rooms.parts;
    const { name, domain } = this.plan;
    this.state = state;
    this.toldMs = clock.monotonic();
    const event = { type: 'warming', domain, name, ...this.progress, error } as const;
    hub.emit(event);
    this.listeners.emit(event);
  }

  /** Ends early when the warming is stopped. */
  private pause(ms: number): Promise<void> {
    const { signal } = this.halted;
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = this.rooms.parts.clock.schedule(ms, end, true);
      if (signal.aborted) end();
      else signal.addEventListener('abort', end, { once: true });
    });
  }
}

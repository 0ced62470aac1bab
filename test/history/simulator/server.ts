import { MemoryStore } from '../../../lib/adapters/memory/memory-store.js';
import type { Clock } from '../../../lib/core/clock.js';
import type { GenerationName } from '../../../lib/core/generations.js';
import type { EntryKey } from '../../../lib/core/keys.js';
import {
  KNOWN_MS,
  LIVE_MS,
  type BeatReply,
  type BeatRequest,
  type Signal,
  type Store,
} from '../../../lib/core/store.js';
import type { Timeline } from './timeline.js';

/** Ways in which a store may be wrong, to see that the checker notices. */
export interface Sabotage {
  /** Each server's commands go through this. */
  readonly model?: (model: Store, inside: Inside) => Store;
  /** Server identities; default: another one for each. */
  readonly epochOf?: (incarnation: number) => number;
  /** A snapshot brings back what was known of tags and domains as well. */
  readonly keepsGenerations?: boolean;
  /** Signals that never arrive, though nobody is told. */
  readonly drops?: (signal: Signal) => boolean;
}

interface Kept {
  readonly bytes: Buffer;
  readonly untilMs: number;
}

/** What a memory store keeps to itself. */
export interface Inside {
  readonly entries: Map<EntryKey, Kept>;
  readonly generations: {
    readonly kept: Map<GenerationName, object>;
    ensure(names: readonly GenerationName[], ttlMs: number): ReadonlyMap<GenerationName, object>;
  };
}

/** A process's ears: told of everything that is published to it. */
type Ears = (signal: Signal) => void;

interface Copy {
  readonly entries: [EntryKey, Kept][];
  readonly generations: [GenerationName, object][];
}

/** The memory of one Redis and what happens to its process. Commands arrive here in the order in which the network brings them. */
export class Server {
  readonly ears = new Map<string, Ears>();
  /** Grows with each start of the server: connections to an older one are dead. */
  incarnation = 0;
  running = true;
  paused = false;
  private store!: Store;
  private inside!: Inside;
  private snapshot: Copy = { entries: [], generations: [] };
  private waiting = new Map<EntryKey, Set<string>>();
  private beats = new Map<string, number>();
  private queue: (() => void)[] = [];

  constructor(
    private readonly timeline: Timeline,
    private readonly sabotage: Sabotage = {},
  ) {
    this.start({ entries: [], generations: [] });
  }

  /** Its time, as its own processes see it. */
  nowMs(): number {
    return this.timeline.wall();
  }

  /** Runs a command at once, or when it goes on; one that is on its way to a server that dies is lost. */
  execute(run: (store: Store) => void): void {
    const { store } = this;
    if (!this.running) return;
    if (this.paused) this.queue.push(() => run(store));
    else run(store);
  }

  /** The clock by which beats are counted. */
  clockMs(): number {
    return this.timeline.monotonic();
  }

  beat(process: string, { settled, outage }: BeatRequest, sentAt: number): BeatReply {
    const now = this.timeline.monotonic();
    if (settled) this.beats.set(process, sentAt);
    const between = (from: number, to: number) => [...this.beats.values()].filter((at) => at >= from && at < to).length;
    const unsettled = outage ? between(now - outage.lostForMs - KNOWN_MS, now - outage.backForMs) : 0;
    return { live: between(now - LIVE_MS, Infinity), unsettled };
  }

  publish(process: string, signal: Signal): void {
    if (!this.sabotage.drops?.(signal)) this.ears.get(process)?.(signal);
  }

  /** A process that was refused is told when the holder is done. */
  registerWaiter(key: EntryKey, process: string): void {
    let processes = this.waiting.get(key);
    if (!processes) this.waiting.set(key, (processes = new Set()));
    processes.add(process);
  }

  /** Creates what is missing of the generations. */
  ensure(names: readonly GenerationName[], ttlMs: number): ReadonlyMap<GenerationName, object> {
    return this.inside.generations.ensure(names, ttlMs);
  }

  save(): void {
    this.snapshot = { entries: [...this.inside.entries], generations: [...this.inside.generations.kept] };
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    for (const run of this.queue.splice(0)) run();
  }

  /** Everything that it had in memory is gone, commands that it had not come to as well. */
  kill(): void {
    this.running = false;
    this.paused = false;
    this.queue = [];
    this.ears.clear();
  }

  restart(from: 'empty' | 'snapshot'): void {
    this.running = true;
    this.start(from === 'empty' ? { entries: [], generations: [] } : this.snapshot);
  }

  private start({ entries, generations }: Copy): void {
    this.incarnation++;
    this.waiting = new Map();
    this.beats = new Map();
    const { model = (store: Store) => store, epochOf = (incarnation: number) => incarnation } = this.sabotage;
    const clock: Clock = this.timeline;
    const store = new MemoryStore({ clock, epoch: epochOf(this.incarnation), maxEntries: 100 });
    this.inside = store as unknown as Inside;
    for (const [key, kept] of entries) if (kept.untilMs > this.nowMs()) this.inside.entries.set(key, kept);
    if (this.sabotage.keepsGenerations)
      for (const [name, kept] of generations) this.inside.generations.kept.set(name, kept);
    this.store = model(store, this.inside);
    const { incarnation } = this;
    store.onSignal((signal) => this.running && incarnation === this.incarnation && this.broadcast(signal));
  }

  private broadcast(signal: Signal): void {
    if (signal.kind === 'released') {
      const processes = this.waiting.get(signal.key) ?? [];
      this.waiting.delete(signal.key);
      for (const process of processes) this.publish(process, signal);
    } else {
      for (const process of this.ears.keys()) this.publish(process, signal);
    }
  }
}

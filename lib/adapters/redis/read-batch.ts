import type { Generations } from '../../core/generations.js';
import type { ReadReply } from '../../core/store.js';
import { isMoved, unavailable } from './budget.js';
import type { NodeLink } from './node-link.js';
import type { Topology } from './topology.js';

/** What one key held, and who said so. */
export interface Answer {
  readonly bytes: Buffer | null;
  readonly epoch: number;
  readonly link: NodeLink;
}

/** The most keys that one MGET asks for. */
const MOST_KEYS = 512;

type Settle = { resolve(answer: Answer): void; reject(error: unknown): void };

/**
 * Collects what is read in one turn of the event loop and asks for it at once: one MGET, or in a cluster a pipeline per node. A key that
 * several readers want is asked for once. A reader who comes after a batch was sent belongs to the next one.
 */
export class ReadBatcher {
  private batch = new Map<string, { answer: Promise<Answer>; settle: Settle }>();
  /** What was composed of this batch's answers. */
  private composed = new Map<string, Promise<unknown>>();

  constructor(
    private readonly topology: Topology,
    private readonly bounded: <T>(work: Promise<T>) => Promise<T>,
  ) {}

  /** Shares what `compose` makes of this turn's reads with everybody of this turn who asks for the same `name`. */
  once<T>(name: string, compose: () => Promise<T>): Promise<T> {
    let known = this.composed.get(name) as Promise<T> | undefined;
    if (!known) this.composed.set(name, (known = compose()));
    return known;
  }

  read(redisKey: string): Promise<Answer> {
    let wanted = this.batch.get(redisKey);
    if (!wanted) {
      if (this.batch.size === 0) setImmediate(() => this.send());
      let settle!: Settle;
      const answer = new Promise<Answer>((resolve, reject) => (settle = { resolve, reject }));
      this.batch.set(redisKey, (wanted = { answer, settle }));
    }
    return wanted.answer;
  }

  private send(): void {
    const { batch } = this;
    this.batch = new Map();
    this.composed = new Map();
    const byLink = new Map<NodeLink, string[]>();
    for (const [key, { settle }] of batch) {
      try {
        const link = this.topology.linkFor(key);
        const keys = byLink.get(link);
        if (keys) keys.push(key);
        else byLink.set(link, [key]);
      } catch (error) {
        settle.reject(error);
      }
    }
    for (const [link, all] of byLink) {
      for (let from = 0; from < all.length; from += MOST_KEYS) {
        const keys = all.slice(from, from + MOST_KEYS);
        link
          .run(() => this.bounded(this.ask(link, keys)))
          .then(
            ({ values, epoch }) =>
              keys.forEach((key, i) => batch.get(key)!.settle.resolve({ bytes: values[i] ?? null, epoch, link })),
            (error: unknown) => {
              if (isMoved((error as { cause?: unknown }).cause)) this.topology.refresh();
              keys.forEach((key) => batch.get(key)!.settle.reject(error));
            },
          );
      }
    }
  }

  private async ask(link: NodeLink, keys: string[]): Promise<{ values: (Buffer | null)[]; epoch: number }> {
    const epoch = link.known ?? (await link.identify());
    const values = this.topology.spread ? await pipelined(link, keys) : await link.client.mgetBuffer(keys);
    return { values, epoch };
  }
}

/** A cluster refuses MGET over several slots. A key of another type reads as nothing, as with MGET. */
async function pipelined(link: NodeLink, keys: string[]): Promise<(Buffer | null)[]> {
  const pipeline = link.client.pipeline();
  for (const key of keys) pipeline.getBuffer(key);
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([error, value]) => {
    if (error && !error.message.startsWith('WRONGTYPE')) throw error;
    return error ? null : (value as Buffer | null);
  });
}

/** Throws `CacheGuardStoreError` when the connection was lost meanwhile. */
export function replyOf(
  link: NodeLink,
  epoch: Answer['epoch'],
  bytes: Buffer | undefined,
  generations: Generations,
): ReadReply {
  const now = link.clock.now();
  if (now === undefined) throw unavailable('the connection was lost');
  return { bytes, generations, epoch, nowMs: Math.ceil(now) };
}

import { AsyncLocalStorage } from 'node:async_hooks';
import type { CacheGuard, LoadContext } from 'nestjs-cache-guard';
import { isCacheGuardError } from '../../lib/core/errors.js';
import type { InvalidationMode } from '../../lib/core/events.js';
import type { ServedValue } from '../../lib/core/targets.js';
import type { Invalidation, Load, Operation, Put, Read, ReadOutcome, Value } from './history.js';

/** What the source threw, as a failure. */
export class SourceFailed extends Error {
  override readonly name = 'SourceFailed';
}

export interface RecorderParts {
  readonly guard: CacheGuard;
  readonly process: string;
  /** The clock of the whole history. */
  readonly now: () => number;
  /** Is given each operation once, when it ended; `abandon` gives those that did not. */
  readonly record: (operation: Operation) => void;
}

export interface Where {
  readonly domain: string;
  readonly key: string;
  readonly tags: readonly string[];
  /** Whether loads set their revision as the value's version. */
  readonly versioned: boolean;
}

/** How one load sees the source: gives the revision, or throws `SourceFailed`. */
export type See = (context: LoadContext<Value>) => Promise<number>;

type Open<T> = { -readonly [K in keyof T]: T[K] };

/** The hit of the read that is under way. One for all: each more makes every promise of the process dearer. */
const hits = new AsyncLocalStorage<{ tier?: 'l1' | 'l2' }>();

/** Uses a guard and writes down what happened, for one life of one process. */
export class Recorder {
  /** What is under way, so that it is not lost with its process. */
  private readonly underway = new Set<Operation>();
  private loads = 0;
  private pending: Open<Invalidation>[] = [];
  private over = false;

  constructor(private readonly parts: RecorderParts) {
    parts.guard.on((event) => {
      const hit = event.type === 'hit' && hits.getStore();
      if (hit) hit.tier = event.tier;
    });
  }

  /** Never rejects: how it ended is in the history. */
  async read(via: Read['via'], where: Where, see: See): Promise<void> {
    const { domain, key, tags } = where;
    const { guard, process } = this.parts;
    const read: Open<Read> = { op: 'read', via, process, domain, key, beganAt: this.parts.now() };
    const ask = (): Promise<Value | undefined> => {
      if (via === 'peek') return guard.peek<Value>({ domain, key, tags }).then(peeked);
      const kind = via === 'refresh' ? 'refresh' : 'read';
      return guard[via]<Value>({ domain, key, tags }, (context) => this.load(kind, where, () => see(context), context));
    };
    const hit: { tier?: 'l1' | 'l2' } = {};
    await this.during(read, async () => {
      read.outcome = await hits.run(hit, () => outcomeOf(guard, ask, hit));
    });
  }

  /** Never rejects. Pending ones are recorded when `carriedOut` or `abandon` is called. */
  async invalidate(
    scope: Invalidation['scope'],
    { domain, key, tags }: Pick<Where, 'domain' | 'key' | 'tags'>,
    mode: InvalidationMode,
  ): Promise<Invalidation['outcome']> {
    const { guard, process, now } = this.parts;
    const name = scope === 'key' ? { name: key } : scope === 'tag' ? { name: tags[0]! } : {};
    const done: Open<Invalidation> = { op: 'invalidation', process, domain, scope, ...name, mode, beganAt: now() };
    const ask = () => {
      if (scope === 'key') return guard.invalidate({ domain, key, mode });
      return scope === 'tag'
        ? guard.invalidateTags({ domain, tags: [tags[0]!], mode })
        : guard.invalidateDomain(domain, { mode });
    };
    this.underway.add(done);
    try {
      done.outcome = (await ask()).outcome;
    } catch {
      done.outcome = 'failed';
    }
    done.endedAt = now();
    if (done.outcome === 'pending') this.pending.push(done);
    else this.end(done);
    return done.outcome;
  }

  /** Everything that was pending before `since` has been carried out by now. */
  carriedOut(since: number): void {
    const over = this.pending.filter(({ endedAt }) => endedAt! <= since);
    this.pending = this.pending.filter((one) => !over.includes(one));
    for (const one of over) {
      one.carriedOutAt = this.parts.now();
      this.end(one);
    }
  }

  async put(where: Where, revision: number): Promise<void> {
    const { domain, key, tags, versioned } = where;
    const { guard, process, now } = this.parts;
    const id = this.nextId();
    const put: Open<Put> = { op: 'put', via: 'put', id, process, domain, key, tags, revision, beganAt: now() };
    await this.during(put, async () => {
      try {
        const value: Value = { loadId: put.id, revision };
        const done = await guard.put({ domain, key, tags }, value, versioned ? { version: BigInt(revision) } : {});
        put.outcome = done.stored ? 'stored' : done.outcome === 'pending' ? 'pending' : 'not-stored';
      } catch {
        put.outcome = 'failed';
      }
    });
  }

  /** Never rejects. `write` changes the source and gives its new revision. */
  async writeThrough(where: Where, write: () => Promise<number>): Promise<void> {
    const { domain, key, tags } = where;
    const { guard, process, now } = this.parts;
    const id = this.nextId();
    const put: Open<Put> = { op: 'put', via: 'write-through', id, process, domain, key, tags, beganAt: now() };
    await this.during(put, async () => {
      try {
        await guard.writeThrough({ domain, key, tags }, () => this.load('write', where, write));
      } catch {
        put.outcome = 'failed';
      }
    });
  }

  /** The process is no more: what was under way has no end. */
  abandon(): void {
    for (const one of this.underway) this.end(one);
    this.over = true;
  }

  private async load(
    via: Load['via'],
    { domain, key, tags, versioned }: Where,
    see: () => Promise<number>,
    context?: LoadContext<Value>,
  ): Promise<Value> {
    const { process, now } = this.parts;
    const load: Open<Load> = { op: 'load', id: this.nextId(), via, process, domain, key, tags, beganAt: now() };
    context?.signal.addEventListener('abort', () => (load.abortedAt ??= now()), { once: true });
    return this.during(load, async () => {
      try {
        const revision = await see();
        load.revision = revision;
        load.outcome = 'value';
        if (versioned) context?.setVersion(BigInt(revision));
        return { loadId: load.id, revision };
      } catch (error) {
        load.outcome = 'failed';
        throw error;
      }
    });
  }

  private async during<T>(operation: Open<Operation>, run: () => Promise<T>): Promise<T> {
    this.underway.add(operation);
    try {
      return await run();
    } finally {
      if (!this.over) operation.endedAt = this.parts.now();
      this.end(operation);
    }
  }

  private end(operation: Operation): void {
    if (this.underway.delete(operation) && !this.over) this.parts.record(operation);
  }

  private nextId(): string {
    return `${this.parts.process}.${++this.loads}`;
  }
}

type Peeked = ServedValue & { readonly value: Value; readonly tier?: 'l1' | 'l2' };

function peeked(seen: Peeked | undefined) {
  return seen && { ...seen.value, state: seen.state, ...(seen.tier ? { tier: seen.tier } : {}) };
}

async function outcomeOf(
  guard: CacheGuard,
  ask: () => Promise<(Value & { readonly state?: ServedValue['state']; readonly tier?: 'l1' | 'l2' }) | undefined>,
  hit: { tier?: 'l1' | 'l2' },
): Promise<ReadOutcome> {
  try {
    const { value, served } = await guard.trace(ask);
    if (value === undefined) return { kind: 'nothing' };
    const { loadId, revision } = value;
    const state = value.state ?? served.at(-1)?.state ?? 'uncached';
    const tier = value.tier ?? hit.tier;
    return { kind: 'value', loadId, revision, state, ...(tier ? { tier } : {}) };
  } catch (error) {
    const code =
      error instanceof SourceFailed ? 'SOURCE_FAILED' : isCacheGuardError(error) ? error.code : String(error);
    return { kind: 'error', code };
  }
}

import { instant } from '../core/clock.js';
import type { FenceReason } from '../core/events.js';
import { stampsOf, type GenerationStamp, type Generations } from '../core/generations.js';
import type { CommitReply, CommitRequest, ReleaseRequest } from '../core/store.js';
import type { GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';
import type { EventHub } from './event-hub.js';
import type { Attempt, Made } from './entry-maker.js';
import type { Ticket } from './near-cache.js';
import type { Snapshot } from './snapshot.js';

const FENCE_REASONS: Readonly<Record<Exclude<CommitReply['outcome'], 'committed'>, FenceReason>> = {
  'fenced-token': 'token',
  'fenced-epoch': 'epoch',
  'fenced-version': 'version',
  superseded: 'superseded',
};

/** `held`: and nothing that the value depends on was invalidated before it. `unknown`: the store did not say. */
export type CommitEnd = 'held' | 'fenced' | 'unknown';

type MadeEntry = Made & { kind: 'entry' };
type Uncacheable = Made & { kind: 'uncacheable' };

/** Ends an attempt at the store: with a value, with a mark, or with nothing. */
export class Committer {
  private record: Buffer | undefined;

  constructor(
    private readonly parts: Pick<EngineParts, 'store' | 'hub' | 'maker' | 'near' | 'lookup' | 'clock' | 'records'>,
    private readonly call: GuardedCall,
    private readonly attempt: Attempt,
  ) {}

  /** To be told at the moment of the loader's call. */
  called(): void {
    this.record = this.parts.records.take(this.call);
  }

  /** Never rejects. */
  async commit(
    kind: CommitRequest['kind'],
    made: MadeEntry | undefined,
    seenId: string | undefined,
  ): Promise<CommitEnd> {
    const { parts } = this;
    const ticket = parts.near.ticket(this.call);
    let end: CommitEnd = 'unknown';
    try {
      end = await this.send(kind, made, seenId, ticket);
      return end;
    } finally {
      parts.near.fill(ticket, this.call, end === 'held' ? this.asRead(made) : undefined);
    }
  }

  private async send(
    kind: CommitRequest['kind'],
    made: MadeEntry | undefined,
    seenId: string | undefined,
    ticket: Ticket | undefined,
  ): Promise<CommitEnd> {
    const { attempt, parts } = this;
    const { policy, key } = this.call;
    const stamps = made?.entry.stamps ?? stampsOf(attempt.generations);
    let reply: CommitReply;
    try {
      reply = await parts.store.commit({
        key,
        token: attempt.token,
        epoch: attempt.epoch,
        kind,
        seenId,
        bytes: made?.bytes ?? Buffer.alloc(0),
        hardMs: made?.entry.hardMs ?? 0,
        versionWindowMs: policy.versionWindowMs,
        generations: stamps.map(({ name }) => name),
      });
    } catch (error) {
      this.trouble('commit', error);
      parts.hub.emit({ type: 'fenced', domain: policy.domain, key, reason: 'unknown' });
      return 'unknown';
    }
    // What memory has of the key is older, whatever became of this.
    parts.near.drop(key, ticket);
    const reason = fenceReason(reply, stamps);
    if (reason) {
      parts.hub.emit({ type: 'fenced', domain: policy.domain, key, reason });
      return 'fenced';
    }
    if (made) {
      const via = kind === 'extend' ? 'not-modified' : 'load';
      parts.hub.emit({ type: 'accepted', domain: policy.domain, key, via, loadMs: made.entry.loadMs });
      parts.records.note(this.call, this.record);
    }
    return 'held';
  }

  /** What was committed, as a read would give it now. */
  private asRead(made: MadeEntry | undefined): Snapshot | undefined {
    const { store, lookup, clock } = this.parts;
    try {
      return made && lookup.local(this.call, made.entry, store.now(this.call.key), instant(clock));
    } catch {
      // The store is away by now, and with it the time.
      return undefined;
    }
  }

  /** Tells later readers that results are uncacheable, without a wait: the mark concerns others than who holds the value. */
  mark(made: Uncacheable, beganMs: number, nowMs: number | undefined): void {
    const { parts, attempt } = this;
    const { key } = this.call;
    tellUncacheable(parts.hub, this.call, made);
    if (nowMs === undefined) return;
    const { entry, bytes } = parts.maker.hitForMiss(this.call, attempt, { beganMs, loadMs: 0 }, nowMs);
    const { token, epoch } = attempt;
    const request = { key, token, epoch, kind: 'fill', seenId: undefined, bytes, generations: [] } as const;
    parts.store
      .commit({ ...request, hardMs: entry.hardMs, versionWindowMs: 0 })
      .catch((error: unknown) => this.trouble('commit', error));
  }

  /** Never rejects. */
  async release(backoff: ReleaseRequest['backoff']): Promise<void> {
    const { key } = this.call;
    try {
      await this.parts.store.release({ key, token: this.attempt.token, backoff });
    } catch (error) {
      this.trouble('release', error);
    }
  }

  private trouble(operation: 'commit' | 'release', error: unknown): void {
    this.parts.hub.emit({ type: 'store-error', domain: this.call.policy.domain, operation, error });
  }
}

/** Says that a value is not kept, and names what in it the codec cannot hold if that is why. */
export function tellUncacheable(
  hub: EventHub,
  { policy, key, origin }: GuardedCall,
  { reason, detail }: Uncacheable,
): void {
  const { domain } = policy;
  hub.emit({ type: 'uncacheable', domain, key, origin, reason, detail });
  if (reason !== 'unencodable') return;
  const [path = '', ...rest] = detail.split(': ');
  hub.emit({ type: 'unencodable', domain, key, origin, code: 'CG_UNENCODABLE', path, detail: rest.join(': ') });
}

function fenceReason(reply: CommitReply, stamps: readonly GenerationStamp[]): FenceReason | undefined {
  if (reply.outcome !== 'committed') return FENCE_REASONS[reply.outcome];
  return moved(stamps, reply.generations) ? 'generation' : undefined;
}

function moved(stamps: readonly GenerationStamp[], now: Generations): boolean {
  return stamps.some(({ name, value }) => now.get(name)?.value !== value);
}

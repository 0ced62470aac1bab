import { AsyncLocalStorage } from 'node:async_hooks';
import PQueue from 'p-queue';
import { CacheGuardError } from '../../core/errors.js';
import type { RefreshSkippedEvent } from '../../core/events.js';
import type { PublishedEvent } from '../../core/domain-event.js';
import type { Delivery, Verdict } from '../../core/event-source.js';
import type { EntryKey } from '../../core/keys.js';
import { isConfidential, type Policy } from '../../core/policy.js';
import type { RefreshJob, RefreshQueue } from '../../core/refresh-job.js';
import type { GuardedCall } from '../call.js';
import type { CallMaker } from '../call-maker.js';
import type { Domains } from '../domains.js';
import type { Rooms } from '../rooms.js';
import type { PlannedCall, Remakes } from './remakes.js';
import { Remaking } from './remaking.js';
import { RefreshEnvelopes } from './refresh-envelopes.js';

/** Keys that may wait for their refresh in one process. */
const MOST_WAITING = 10_000;

type SkipReason = RefreshSkippedEvent['reason'];

/** `away`: the store does not answer. `closed`: the application shuts down. Both: another process, or a later time, may do it. */
export type RefreshOutcome = 'loaded' | 'skipped' | 'away' | 'closed';

/** Makes values again that events have invalidated: in this process, a bounded number at once, and behind waiting people. */
export class Refreshes implements RefreshQueue {
  /** The latest job for each key that waits here. */
  private readonly waiting = new Map<EntryKey, RefreshJob>();
  private readonly handedOver: RefreshEnvelopes;
  private readonly queues = new Map<string, PQueue>();
  private readonly running = new Set<Remaking>();
  private readonly underway = new Set<Promise<unknown>>();
  /** Who publishes an event has a user, a transaction or a load of his own: none of that belongs to the refresh. */
  private readonly outside = AsyncLocalStorage.snapshot();
  private closed = false;

  constructor(
    private readonly rooms: Pick<Rooms, 'parts' | 'flights'>,
    private readonly domains: Domains,
    private readonly calls: CallMaker,
    private readonly remakes: Remakes,
  ) {
    const { codecs, sealing } = rooms.parts;
    this.handedOver = new RefreshEnvelopes(codecs, sealing);
  }

  /** Resolves at once; several jobs for one key that waits become the last of them. */
  async enqueue(jobs: readonly RefreshJob[]): Promise<void> {
    for (const job of jobs) {
      const earlier = this.waiting.get(job.key);
      if (this.closed) this.skip(job, 'closed');
      else if (earlier) this.waiting.set(job.key, { ...job, args: job.args ?? earlier.args });
      else if (this.waiting.size >= MOST_WAITING) this.skip(job, 'queue-full');
      else this.wait(job);
    }
  }

  /** The jobs as other processes take them. */
  envelopes(jobs: readonly RefreshJob[]): PublishedEvent[] {
    return jobs.map((job) => this.handedOver.put(job, this.rooms.parts.ids.token()));
  }

  /** Whether a job says what must not be written down for others to read. */
  staysHere(domain: string): boolean {
    return isConfidential(this.domains.policy(domain));
  }

  /** Does what other processes have handed over, each when it is its turn in its domain. Never rejects. */
  take(deliveries: readonly Delivery[]): Promise<Verdict[]> {
    return Promise.all(deliveries.map(({ event }) => this.taken(event)));
  }

  /** Gives up what runs; resolves when nothing does. */
  async close(): Promise<void> {
    this.closed = true;
    for (const job of this.waiting.values()) this.skip(job, 'closed');
    this.waiting.clear();
    const reason = new CacheGuardError('CG_CLOSED', 'The application is shutting down; this refresh was given up.');
    for (const remaking of this.running) remaking.stop(reason);
    await Promise.all(this.underway);
  }

  private wait(job: RefreshJob): void {
    this.waiting.set(job.key, job);
    const performed = this.queueOf(job.domain).add(async () => {
      const latest = this.waiting.get(job.key);
      if (!this.waiting.delete(job.key)) return;
      const outcome = await this.outside(() => this.run(latest!));
      if (outcome === 'away') this.skip(job, 'failed');
      else if (outcome === 'closed') this.skip(job, 'closed');
    });
    void this.watched(performed);
  }

  private async taken(event: unknown): Promise<Verdict> {
    const job = this.handedOver.take(event);
    if (!job) return { kind: 'poison', reason: 'it is no refresh that this version knows' };
    const outcome = await this.perform(job);
    if (outcome === 'away') return { kind: 'later', reason: 'the store is away' };
    if (outcome === 'closed') return { kind: 'later', reason: 'the application shuts down' };
    return { kind: 'done', outcome: 'applied' };
  }

  private async perform(job: RefreshJob): Promise<RefreshOutcome> {
    // Another application of the namespace may know more domains than this one.
    if (!this.remakes.get(job.domain, job.name)) return this.skip(job, 'no-method');
    return this.watched(this.queueOf(job.domain).add(() => this.outside(() => this.run(job))));
  }

  private watched<T>(performed: Promise<T>): Promise<T> {
    this.underway.add(performed);
    void performed.finally(() => this.underway.delete(performed));
    return performed;
  }

  private async run(job: RefreshJob): Promise<RefreshOutcome> {
    if (this.closed) return 'closed';
    try {
      const call = await this.callFor(job);
      if (typeof call === 'string') return this.skip(job, call);
      if (this.closed) return 'closed';
      return await this.remake(job, call);
    } catch {
      // A function of the user's threw, there is no room for the load, or the store is away.
      return this.closed ? 'closed' : this.skip(job, 'failed');
    }
  }

  private async remake(job: RefreshJob, call: GuardedCall): Promise<RefreshOutcome> {
    const { parts, flights } = this.rooms;
    const remaking = new Remaking(parts, flights, call, job.sinceMs);
    this.running.add(remaking);
    try {
      const remade = await remaking.run();
      if (remade === 'loaded' || remade === 'away') return remade;
      return this.closed ? 'closed' : this.skip(job, remade);
    } finally {
      this.running.delete(remaking);
    }
  }

  /** Rejects with what the user's functions throw, and with CacheGuardStoreError. */
  private async callFor(job: RefreshJob): Promise<GuardedCall | SkipReason> {
    const planned = await this.plan(job);
    if (typeof planned === 'string') return planned;
    const { target } = planned;
    // It would run with nobody's permissions, or with those that the application's function invents outside of a request.
    if (this.domains.policy(target.domain, target, target.origin).scope === 'private') return 'private';
    const call = this.calls.call(target, planned.load);
    return call?.key === job.key ? call : 'no-arguments';
  }

  private async plan({ domain, name, key, keyInput, args }: RefreshJob): Promise<PlannedCall | SkipReason> {
    const remake = this.remakes.get(domain, name);
    if (!remake) return 'no-method';
    if (remake.kind === 'request-scoped') return remake.kind;
    if (remake.kind === 'loader') return keyInput === undefined ? 'not-recordable' : remake.plan(keyInput);
    const known = args ?? (await this.rooms.parts.records.argumentsOf(key));
    if (known === undefined) return this.staysHere(domain) ? 'not-recordable' : 'no-arguments';
    return known === 'not-recordable' ? known : remake.plan(known);
  }

  private skip({ domain, key }: RefreshJob, reason: SkipReason): 'skipped' {
    this.rooms.parts.hub.emit({ type: 'refresh-skipped', domain, key, reason });
    return 'skipped';
  }

  private queueOf(domain: string): PQueue {
    let queue = this.queues.get(domain);
    if (!queue) this.queues.set(domain, (queue = new PQueue({ concurrency: atOnce(this.domains.policy(domain)) })));
    return queue;
  }
}

/** Never more than half of the places: a refresh that has begun holds its place, whoever comes to wait then. */
function atOnce({ concurrency }: Policy): number {
  return Math.max(1, Math.floor(concurrency / 2));
}

import { awaitedTimers } from '../../core/clock.js';
import { CacheGuardError } from '../../core/errors.js';
import { OptionsChecker } from '../../core/field-checker.js';
import type { Domains } from '../domains.js';
import { Duties } from '../duty.js';
import type { EngineParts } from '../engine-parts.js';
import { Cadence } from './cadence.js';
import { RunNotes } from './notes.js';
import { dutyOf, homeOf, reconciles, type ReconcilingPolicy } from './reconciling-policy.js';
import type { LastReconciliation, ReconcileOptions, ReconciliationReport } from './report.js';
import { Run, type RunRooms } from './run.js';

const check: OptionsChecker = new OptionsChecker('CacheGuard.reconcile');

export interface ReconciliationRooms extends RunRooms {
  readonly parts: EngineParts;
}

/** Compares what is cached with what the source has: on the policies' cadence, and when somebody asks for it. */
export class Reconciliations {
  private readonly duties: Duties;
  private readonly notes: RunNotes;
  private readonly cadences: Cadence[] = [];
  private readonly running = new Set<Promise<unknown>>();
  /** For while the store is away. */
  private readonly lastHere = new Map<string, LastReconciliation>();
  private closed = false;

  constructor(
    private readonly rooms: ReconciliationRooms,
    private readonly domains: Domains,
  ) {
    const { store, clock } = rooms.parts;
    this.duties = new Duties(rooms.parts);
    this.notes = new RunNotes(store.board, clock);
  }

  /** Follows the cadences from now on. */
  start(): void {
    if (this.closed) return;
    const { parts } = this.rooms;
    for (const policy of this.domains.list().filter(reconciles)) {
      const run = (signal: AbortSignal) => this.run(policy, signal, this.rooms);
      this.cadences.push(new Cadence({ parts, policy, run, notes: this.notes, duties: this.duties }));
    }
  }

  /**
   * @throws CacheGuardError (`CG_UNKNOWN_DOMAIN`, `CG_NOT_RECONCILABLE`, `CG_RECONCILIATION_RUNNING`, `CG_RECONCILIATION_FAILED`,
   * `CG_INVALID_OPTIONS`, `CG_CLOSED`); CacheGuardStoreError; the signal's reason
   */
  async reconcile(domain: string, options: ReconcileOptions = {}): Promise<ReconciliationReport> {
    const policy = this.policy(domain);
    const { signal } = readOptions(options);
    if (this.closed) throw closing(domain);
    signal?.throwIfAborted();
    const work = this.duties.run(dutyOf(policy), (lost) => this.runByHand(policy, lost, options));
    const done = await this.track(work);
    if (done) return done.result;
    throw new CacheGuardError(
      'CG_RECONCILIATION_RUNNING',
      `Domain '${domain}' is being reconciled at this moment, by this process or another one; wait for its event ` +
        "'reconciliation', or look at lastReconciliation later.",
      { domain },
    );
  }

  async last(domain: string): Promise<LastReconciliation | undefined> {
    const policy = this.domains.policy(domain);
    if (!reconciles(policy)) return undefined;
    const here = this.lastHere.get(domain);
    try {
      return (await this.notes.last(policy)) ?? here;
    } catch {
      return here;
    }
  }

  /** Ends what runs; resolves when nothing does any more. */
  async close(): Promise<void> {
    this.closed = true;
    const ended = this.cadences.map((cadence) => cadence.close());
    this.duties.close();
    await Promise.allSettled([...ended, ...this.running]);
  }

  /** Counts for the cadence when it has come to its end. */
  private async runByHand(
    policy: ReconcilingPolicy,
    lost: AbortSignal,
    options: ReconcileOptions,
  ): Promise<ReconciliationReport> {
    const { parts } = this.rooms;
    const startedMs = parts.store.now(homeOf(policy));
    const rooms = { ...this.rooms, parts: { ...parts, clock: awaitedTimers(parts.clock) } };
    const report = await this.run(policy, lost, rooms, options);
    await this.notes.postTurn(policy, { startedMs, ended: true }).catch(() => {});
    return report;
  }

  private async run(
    policy: ReconcilingPolicy,
    lost: AbortSignal,
    rooms: RunRooms,
    { signal: ended, onProgress }: ReconcileOptions = {},
  ): Promise<ReconciliationReport> {
    const signal = ended ? AbortSignal.any([lost, ended]) : lost;
    const run = new Run(rooms, policy, signal, onProgress);
    const ends = (state: LastReconciliation['state'], error?: unknown) => {
      run.tell(state, error);
      return this.remember(policy, { ...run.report, state, endedAt: this.notes.now() });
    };
    run.tell('running');
    try {
      await run.walk();
    } catch (error) {
      const reason = lost.aborted ? this.lost(policy, lost) : error;
      await ends(signal.aborted ? 'stopped' : 'failed', reason);
      throw reason;
    }
    await ends('done');
    return run.report;
  }

  private async remember(policy: ReconcilingPolicy, last: LastReconciliation): Promise<void> {
    this.lastHere.set(policy.domain, last);
    // For pages only: a run that came to its end has not failed over it.
    await this.notes.postLast(policy, last).catch(() => {});
  }

  private lost({ domain }: ReconcilingPolicy, { reason }: AbortSignal): CacheGuardError {
    if (this.closed) return closing(domain);
    return new CacheGuardError(
      'CG_RECONCILIATION_FAILED',
      `Domain '${domain}': this process was silent for so long that another one may reconcile the domain; run it again.`,
      { domain, cause: reason },
    );
  }

  private async track<T>(work: Promise<T>): Promise<T> {
    this.running.add(work);
    try {
      return await work;
    } finally {
      this.running.delete(work);
    }
  }

  private policy(domain: string): ReconcilingPolicy {
    const policy = this.domains.policy(domain);
    if (reconciles(policy)) return policy;
    throw new CacheGuardError(
      'CG_NOT_RECONCILABLE',
      `Domain '${domain}' cannot be reconciled: its policy does not say how to ask the source; set ` +
        'reconcile: { every, versions: (keys) => the versions that the source has now }.',
      { domain, field: 'reconcile' },
    );
  }
}

function readOptions(given: ReconcileOptions): ReconcileOptions {
  const { signal, onProgress } = check.options(given, ['signal', 'onProgress']);
  if (signal !== undefined && !(signal instanceof AbortSignal)) check.fail('signal', signal, 'give an AbortSignal');
  check.fn('onProgress', onProgress);
  return given;
}

function closing(domain: string): CacheGuardError {
  return new CacheGuardError(
    'CG_CLOSED',
    `Domain '${domain}': the application is shutting down; this run was given up.`,
    { domain },
  );
}

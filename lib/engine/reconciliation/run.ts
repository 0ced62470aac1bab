import { elapsedSince, instant, type Instant } from '../../core/clock.js';
import {
  compareWithSource,
  isStillOld,
  keptVersionOf,
  type KeptVersion,
  type SourceVersion,
} from '../../core/drift.js';
import type { ReconciliationEvent } from '../../core/events.js';
import type { WalkedEntry } from '../../core/fleet-notes.js';
import { driftOf } from '../../core/generations.js';
import type { EntryKey, KeyPart } from '../../core/keys.js';
import type { RefreshJob } from '../../core/refresh-job.js';
import type { CallRecord } from '../call-records.js';
import type { EngineParts } from '../engine-parts.js';
import { defaultMode, type Invalidations } from '../invalidations.js';
import { rest } from './patience.js';
import { askSource } from './question.js';
import type { ReconcilingPolicy } from './reconciling-policy.js';
import type { ReconciliationReport } from './report.js';

/** Entries that are read, decoded or invalidated in one go: what people wait for meanwhile comes in between. */
const STEP = 100;
const REPAIRS_AT_A_TIME = 50;
/** A rest is as long as the work before it, within these. */
const LEAST_REST_MS = 1;
const LONGEST_REST_MS = 10;

export interface RunRooms {
  readonly parts: Pick<EngineParts, 'store' | 'clock' | 'hub' | 'records' | 'sealing'>;
  readonly invalidations: Pick<Invalidations, 'keys'>;
  /** Has loaded again what can be. */
  readonly refresh: (jobs: readonly RefreshJob[]) => Promise<void>;
}

interface Candidate {
  readonly key: EntryKey;
  readonly kept: KeptVersion;
  /** The call that made it, with the key as it was given to the cache. */
  readonly call: CallRecord;
}

interface Drifted extends Candidate {
  readonly says: SourceVersion;
}

/** One walk over what is cached of a domain. Holds no more at a time than one batch, and no values. */
export class Run {
  private readonly startedAt: Instant;
  private checked = 0;
  private drifted = 0;
  private repaired = 0;
  private unchecked = 0;
  private oldestDriftMs = 0;

  constructor(
    private readonly rooms: RunRooms,
    private readonly policy: ReconcilingPolicy,
    private readonly signal: AbortSignal,
    private readonly onProgress: ((soFar: ReconciliationReport) => void) | undefined,
  ) {
    this.startedAt = instant(rooms.parts.clock);
  }

  get report(): ReconciliationReport {
    const { checked, drifted, repaired, unchecked, oldestDriftMs } = this;
    const ms = elapsedSince(this.startedAt, this.rooms.parts.clock);
    return { checked, drifted, repaired, unchecked, oldestDriftMs, ms };
  }

  tell(state: ReconciliationEvent['state'], error?: unknown): void {
    const { ms: _, ...report } = this.report;
    this.rooms.parts.hub.emit({ type: 'reconciliation', domain: this.policy.domain, state, ...report, error });
  }

  /** @throws CacheGuardError (`CG_RECONCILIATION_FAILED`); CacheGuardStoreError; the signal's reason */
  async walk(): Promise<void> {
    const { signal, policy } = this;
    const { store, clock } = this.rooms.parts;
    const { batch } = policy.reconcile;
    let waiting: Candidate[] = [];
    signal.throwIfAborted();
    let from = instant(clock);
    for await (const step of store.walk(policy.domain, Math.min(batch, STEP))) {
      signal.throwIfAborted();
      waiting.push(...(await this.candidates(step)));
      while (waiting.length >= batch) {
        await this.compare(waiting.slice(0, batch));
        waiting = waiting.slice(batch);
      }
      await rest(clock, restMs(elapsedSince(from, clock)), signal);
      from = instant(clock);
    }
    if (waiting.length > 0) await this.compare(waiting);
  }

  /** What readers take for current and can be named to the source. */
  private async candidates(step: readonly WalkedEntry[]): Promise<Candidate[]> {
    const decoded = step.flatMap(({ key, bytes }) => {
      const kept = this.keptIn(key, bytes);
      return kept ? [{ key, kept }] : [];
    });
    const trusted = await this.withoutInvalidated(decoded);
    const records = await this.rooms.parts.records.read(trusted.map(({ key }) => key));
    const named = trusted.flatMap((one, i) => (records[i] ? [{ ...one, call: records[i] }] : []));
    this.unchecked += trusted.length - named.length;
    return named;
  }

  private keptIn(key: EntryKey, found: Buffer | undefined): KeptVersion | undefined {
    return keptVersionOf(found, (bytes) => this.rooms.parts.sealing.decode(this.policy, key, bytes));
  }

  /** Those of which a tag or the domain was invalidated are known to be old. */
  private async withoutInvalidated<T extends Pick<Candidate, 'key' | 'kept'>>(entries: readonly T[]): Promise<T[]> {
    const [first] = entries;
    if (!first) return [];
    const names = new Set(entries.flatMap(({ kept }) => kept.stamps.map(({ name }) => name)));
    const { generations } = await this.rooms.parts.store.read(first.key, [...names]);
    return entries.filter(({ kept }) => !['expired', 'removed'].includes(driftOf(kept.stamps, generations).kind));
  }

  private async compare(candidates: readonly Candidate[]): Promise<void> {
    const { policy, signal } = this;
    const { clock } = this.rooms.parts;
    const askedAt = instant(clock);
    const keys = candidates.map(({ call }) => call.key);
    const says = await askSource(policy, keys, clock, signal);
    // By key: a walk may come across an entry twice.
    const drifted = new Map<EntryKey, Drifted>();
    for (const [i, candidate] of candidates.entries()) {
      const comparison = compareWithSource(candidate.kept, says[i]);
      if (comparison === 'unknown') this.unchecked++;
      else this.checked++;
      if (comparison === 'drifted') drifted.set(candidate.key, { ...candidate, says: says[i] });
    }
    const repairs = [...drifted.values()];
    for (let from = 0; from < repairs.length; from += REPAIRS_AT_A_TIME) {
      const some = repairs.slice(from, from + REPAIRS_AT_A_TIME);
      const wanted = await Promise.all(some.map((one) => this.repair(one, askedAt)));
      // Without it the next reader has it loaded.
      await this.rooms.refresh(wanted.filter((job) => job !== undefined)).catch(() => {});
      await rest(clock, LEAST_REST_MS, signal);
    }
    this.tell('running');
    this.onProgress?.(this.report);
  }

  /**
   * Unless what is there by now is newer than the source's answer. Gives the load that is then wanted where stale values are served: the
   * next reader should not be who finds out.
   */
  private async repair({ key, kept, says, call }: Drifted, askedAt: Instant): Promise<RefreshJob | undefined> {
    const { store, clock } = this.rooms.parts;
    const now = this.keptIn(key, (await store.read(key, [])).bytes);
    if (!now) return undefined;
    const nowMs = store.now(key);
    const askedMs = nowMs - elapsedSince(askedAt, clock);
    if (!isStillOld(now, kept, says, askedMs)) return undefined;
    this.drifted++;
    this.oldestDriftMs = Math.max(this.oldestDriftMs, nowMs - now.beganMs);
    const version = typeof says === 'bigint' ? says : undefined;
    const { policy } = this;
    const outcome = await this.rooms.invalidations.keys(policy, [key], defaultMode(policy), version);
    if (outcome !== 'applied') return undefined;
    this.repaired++;
    if (!policy.staleAllowed) return undefined;
    const { name, key: keyInput } = call;
    const sinceMs = store.now(key);
    return { domain: policy.domain, name, key, keyInput: keyInput as KeyPart, args: undefined, sinceMs };
  }
}

function restMs(workedMs: number): number {
  return Math.min(Math.max(workedMs, LEAST_REST_MS), LONGEST_REST_MS);
}

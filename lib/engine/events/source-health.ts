import { elapsedSince, instant, type Instant } from '../../core/clock.js';
import { CacheGuardConfigError, describeValue } from '../../core/errors.js';
import type { Policy } from '../../core/policy.js';
import { fallbackOf, lagNote, lagOf, SILENT_MS, sourceState, type SourceState } from '../../core/source-state.js';
import type { Domains } from '../domains.js';
import type { EngineParts } from '../engine-parts.js';

/** From the end of one look at the board to the next. */
const LOOK_MS = 500;
/** A source that speaks more often is not passed on more often. */
const SAY_MS = 500;
/** A gap whose finder has died meanwhile is found again by the next one. */
const GAP_MS = 10_000;
const GAP = 'gap';

interface Source {
  gap: boolean;
}

/** What is known of a source's gaps. */
interface Gap {
  /** How many are being dealt with. */
  open: number;
  /** One of them could not be. */
  failed: boolean;
}

interface Reliant {
  readonly domain: string;
  readonly name: string;
  readonly source: Source;
  readonly withinMs: number;
  /** The last note, each of which differs, and when it was first seen. */
  note: string | undefined;
  heardAt: Instant | undefined;
  lagMs: number;
  /** As it was told last; nothing is told before a source has had the time to be heard. */
  state: SourceState | undefined;
}

/**
 * Whether the event sources are alive on which domains rest (`freshBy`), for every process of the fleet: who acts on a source's events
 * for a domain leaves word on the store's board, and who relies on it looks there. Word is left for each domain: that somebody reads the
 * source is no help to a domain that he has no rule for. While a source is not `live`, the fallback is in force.
 */
export class SourceHealth {
  private readonly sources = new Map<string, Source>();
  private readonly reliant = new Map<string, Reliant>();
  private readonly fallbacks = new WeakMap<Policy, Policy>();
  private readonly saidAt = new Map<string, Instant>();
  /** Sources with gaps that this process is closing. */
  private readonly gaps = new Map<string, Gap>();
  private startedAt: Instant | undefined;
  private cancelTimer: (() => void) | undefined;
  private notes = 0;
  private closed = false;

  constructor(
    private readonly parts: Pick<EngineParts, 'store' | 'clock' | 'hub' | 'health' | 'ids'>,
    private readonly domains: Pick<Domains, 'list'>,
    /** Whether no invalidation of this process is still to be carried out. */
    private readonly settled: () => boolean,
  ) {}

  /** The policy itself, or what it comes to while its source cannot be relied on. */
  inForce(policy: Policy): Policy {
    if (!policy.freshBy || this.isLive(policy.domain)) return policy;
    let fallback = this.fallbacks.get(policy);
    if (!fallback) this.fallbacks.set(policy, (fallback = fallbackOf(policy)));
    return fallback;
  }

  /**
   * @param names of the sources that say whether they are alive
   * @throws CacheGuardConfigError (`CG_INVALID_POLICY`) for a policy that relies on another one
   */
  check(names: ReadonlySet<string>): void {
    for (const { domain, freshBy } of this.domains.list()) {
      if (!freshBy || names.has(freshBy.source)) continue;
      const known = [...names].map((name) => `'${name}'`).join(', ') || 'none';
      throw new CacheGuardConfigError(
        'CG_INVALID_POLICY',
        `Cache domain '${domain}': freshBy.source = ${describeValue(freshBy.source)} is refused; name one of events.sources, or ` +
          `leave freshBy out. There are: ${known}. What is published in process, or handed over, proves no source to be alive.`,
        { domain, field: 'freshBy.source' },
      );
    }
  }

  /** Begins to look at the board, if any policy needs it. */
  start(): void {
    for (const { domain, freshBy } of this.domains.list()) {
      if (!freshBy) continue;
      const { source: name, withinMs } = freshBy;
      let source = this.sources.get(name);
      if (!source) this.sources.set(name, (source = { gap: false }));
      const unheard = { note: undefined, heardAt: undefined, lagMs: 0, state: undefined };
      this.reliant.set(domain, { domain, name, source, withinMs, ...unheard });
    }
    this.startedAt = instant(this.parts.clock);
    if (this.sources.size > 0) void this.look();
  }

  /**
   * A source that this process follows is alive, and so late. Never throws.
   *
   * @param domains those that rest on it and for which this process carries out its events
   */
  said(name: string, lagMs: number, domains: readonly string[]): void {
    const { clock, health, ids } = this.parts;
    const last = this.saidAt.get(name);
    if (this.closed || health.away || !Number.isFinite(lagMs) || (last && elapsedSince(last, clock) < SAY_MS)) return;
    this.saidAt.set(name, instant(clock));
    const note = lagNote(lagMs, `${ids.process}.${++this.notes}`);
    for (const domain of domains) void this.post(noteName(name, domain), note, SILENT_MS);
  }

  /**
   * Events of a source were lost: until `apply` has invalidated what they concern, nothing of it is relied on, wherever. When it rejects,
   * whoever told of the gap tells again; its note stays up for him, and runs out if he does not.
   */
  async gap(name: string, apply: () => Promise<unknown>): Promise<void> {
    const gap = this.gaps.get(name) ?? { open: 0, failed: false };
    this.gaps.set(name, gap);
    gap.open++;
    this.judge();
    await this.post(gapName(name), GAP, GAP_MS);
    try {
      await apply();
    } catch (error) {
      gap.failed = true;
      throw error;
    } finally {
      if (--gap.open === 0) await this.closeGap(name, gap);
    }
  }

  close(): void {
    this.closed = true;
    this.cancelTimer?.();
  }

  /** Whether what rests on a source (`freshBy`) may do so now. */
  isLive(domain: string): boolean {
    const reliant = this.reliant.get(domain);
    // Who was suspended has told himself nothing of the time meanwhile.
    return reliant !== undefined && this.stateOf(reliant) === 'live';
  }

  private stateOf({ name, source, withinMs, heardAt, lagMs }: Reliant): SourceState {
    const { clock, health } = this.parts;
    if (health.away) return 'silent';
    const heardMs = heardAt && elapsedSince(heardAt, clock);
    return sourceState({ heardMs, lagMs, gap: source.gap || this.gaps.has(name) }, withinMs);
  }

  private async look(): Promise<void> {
    const { store, health, clock, ids } = this.parts;
    const sources = [...this.sources];
    const reliant = [...this.reliant.values()];
    if (!health.away) {
      const names = [
        ...sources.map(([name]) => gapName(name)),
        ...reliant.map(({ name, domain }) => noteName(name, domain)),
      ];
      const notes = await store.board.read(names).catch(() => []);
      sources.forEach(([, source], i) => (source.gap = notes[i] === GAP));
      reliant.forEach((one, i) => this.read(one, notes[sources.length + i]));
    }
    for (const [name, gap] of this.gaps) if (gap.open === 0) await this.closeGap(name, gap);
    if (this.closed) return;
    this.judge();
    this.cancelTimer = clock.schedule(LOOK_MS * (0.9 + 0.2 * ids.random()), () => void this.look());
  }

  private read(reliant: Reliant, note: string | undefined): void {
    const lagMs = lagOf(note);
    if (lagMs === undefined || note === reliant.note) return;
    Object.assign(reliant, { note, lagMs, heardAt: instant(this.parts.clock) });
  }

  /** What the store was not told yet is carried out first on its return; until then the gap is open. */
  private async closeGap(name: string, { failed }: Gap): Promise<void> {
    if (!failed && !this.settled()) return this.post(gapName(name), GAP, GAP_MS);
    this.gaps.delete(name);
    const source = this.sources.get(name);
    // As the board says, which is looked at next.
    if (source) source.gap = failed;
    await (failed ? this.post(gapName(name), GAP, GAP_MS) : this.post(gapName(name), 'over', 1));
    this.judge();
  }

  /** Tells what has changed since it was told last. */
  private judge(): void {
    const changed = new Map<string, { source: string; state: SourceState; domains: string[] }>();
    for (const reliant of this.reliant.values()) {
      const state = this.stateOf(reliant);
      const early = reliant.state === undefined && state === 'silent' && !this.hadTime();
      if (state === reliant.state || early) continue;
      reliant.state = state;
      const { name: source, domain } = reliant;
      const group = changed.get(`${state} ${source}`);
      if (group) group.domains.push(domain);
      else changed.set(`${state} ${source}`, { source, state, domains: [domain] });
    }
    for (const change of changed.values()) this.parts.hub.emit({ type: 'event-source-state', ...change });
  }

  private hadTime(): boolean {
    return this.startedAt !== undefined && elapsedSince(this.startedAt, this.parts.clock) >= SILENT_MS;
  }

  private async post(name: string, text: string, ttlMs: number): Promise<void> {
    if (this.closed || this.parts.health.away) return;
    // Who hears nothing takes the source for silent: that is what a store that does not answer comes to.
    await this.parts.store.board.post(name, text, ttlMs).catch(() => {});
  }
}

function noteName(source: string, domain: string): string {
  return `source:${domain}:${source}`;
}

function gapName(source: string): string {
  return `gap:${source}`;
}

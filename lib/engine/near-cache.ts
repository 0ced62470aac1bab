import { LRUCache } from 'lru-cache';
import { elapsedSince, instant, type Clock } from '../core/clock.js';
import { decide, type Doubt, type EntryView } from '../core/decide.js';
import { FLAG, type Entry } from '../core/entry.js';
import type { GenerationName } from '../core/generations.js';
import { domainOf, type EntryKey } from '../core/keys.js';
import type { Policy } from '../core/policy.js';
import type { Store } from '../core/store.js';
import type { Trust } from '../core/trust.js';
import type { GuardedCall } from './call.js';
import type { Snapshot } from './snapshot.js';

/** What an entry takes besides its payload, roughly: header, names, the decoded value's own objects. */
const OVERHEAD_BYTES = 512;
/** Of what nobody vouches for; no era of trust has this number. */
const UNTRUSTED = -1;

interface Kept {
  readonly key: EntryKey;
  readonly entry: Entry;
  readonly seen: Snapshot;
  readonly era: number;
  /** Of the payload, and of the value that is made from it. */
  readonly bytes: number;
}

/** A command under way whose reply may be kept if nothing that concerns it is signalled meanwhile. */
export interface Ticket {
  readonly key: EntryKey;
  readonly era: number;
  spoiled: boolean;
  /** Generations that moved meanwhile. A composed value carries some that nobody knows before the reply. */
  moved: GenerationName[] | undefined;
}

/** A value of this process's memory, as of now. */
export interface Near {
  readonly seen: Snapshot;
  readonly nowMs: number;
}

/** A value of this process's memory that nobody vouches for. */
export interface Doubted extends Snapshot {
  readonly found: EntryView;
}

/**
 * The tier in this process's memory (L1). What it holds is fresh only as long as the signals of the fleet are known to arrive; else, and
 * while the store is away, it may be served as stale, where the policy allows that.
 */
export class NearCache {
  private readonly tiers = new Map<string, LRUCache<EntryKey, Kept>>();
  private readonly carriers = new Map<GenerationName, Set<Kept>>();
  private readonly tickets = new Map<EntryKey, Set<Ticket>>();

  constructor(
    private readonly clock: Clock,
    private readonly trust: Trust,
    /** Of a store in this process's memory, every value would be held twice. */
    private readonly store: Pick<Store, 'remote'>,
  ) {}

  has({ policy, key }: GuardedCall): boolean {
    return policy.l1 !== undefined && (this.tiers.get(policy.domain)?.has(key) ?? false);
  }

  /** What may be served as fresh without asking the store. */
  fresh({ policy, key, mark }: GuardedCall): Near | undefined {
    if (!policy.l1 || !this.store.remote) return undefined;
    const kept = this.tiers.get(policy.domain)?.get(key);
    if (!kept || kept.era !== this.trust.era || !this.trust.alive) return undefined;
    // What the reader wrote in another process may not have been signalled here yet.
    if (mark && kept.entry.beganMs < Math.max(mark.atMs, mark.pendingMs)) return undefined;
    const ageMs = elapsedSince(kept.seen.readAt, this.clock);
    if (ageMs >= policy.l1.maxAgeMs) return undefined;
    const nowMs = kept.seen.nowMs + ageMs;
    const decision = decide(kept.seen.found, policy, nowMs);
    return decision.kind === 'serve' && !decision.stale ? { seen: kept.seen, nowMs } : undefined;
  }

  /** What is kept, for a reader whom the store does not answer, or cannot answer any more. */
  doubted({ policy, key, mark }: GuardedCall, doubt: Doubt = 'store-unavailable'): Doubted | undefined {
    const kept = policy.l1 && this.tiers.get(policy.domain)?.get(key);
    if (!kept || typeof kept.seen.found !== 'object') return undefined;
    // Loaded without the store, it has this machine's time, and the reader's own write another one.
    if (mark && kept.era === UNTRUSTED) return undefined;
    const readAt = instant(this.clock);
    const nowMs = kept.seen.nowMs + elapsedSince(kept.seen.readAt, this.clock);
    return { ...kept.seen, found: { ...kept.seen.found, doubt }, nowMs, readAt };
  }

  /** To be taken before the command is sent whose reply is to be kept; `undefined` where nothing is. */
  ticket({ policy, key }: GuardedCall): Ticket | undefined {
    if (!policy.l1 || !this.store.remote) return undefined;
    const ticket: Ticket = {
      key,
      era: this.trust.proven ? this.trust.era : UNTRUSTED,
      spoiled: false,
      moved: undefined,
    };
    const others = this.tickets.get(key);
    if (others) others.add(ticket);
    else this.tickets.set(key, new Set([ticket]));
    return ticket;
  }

  /**
   * Keeps what a ticket's command gave, unless a signal has made it doubtful. Without a snapshot the ticket is given back.
   *
   * @param local loaded while the store was away: nobody vouches for it
   */
  fill(ticket: Ticket | undefined, call: GuardedCall, seen: Snapshot | undefined, local = false): void {
    if (!ticket) return;
    if (typeof seen?.found !== 'object' || !(seen.found.entry.flags & FLAG.compressed)) {
      return this.take(ticket, call, seen, 0, local);
    }
    // How large it is in memory is known once it was inflated.
    void inflatedBytes(call, seen, seen.found.entry.flags).then((bytes) =>
      this.take(ticket, call, bytes === undefined ? undefined : seen, bytes ?? 0, local),
    );
  }

  private take(
    ticket: Ticket,
    { policy }: GuardedCall,
    seen: Snapshot | undefined,
    weight: number,
    local: boolean,
  ): void {
    if (!this.giveBack(ticket)) return;
    const { key, spoiled, moved } = ticket;
    const era = local ? UNTRUSTED : ticket.era;
    if (typeof seen?.found !== 'object' || spoiled || (era !== UNTRUSTED && era !== this.trust.era)) return;
    const { entry, doubt } = seen.found;
    if (doubt || entry.flags & (FLAG.removed | FLAG.hitForMiss)) return;
    if (moved && entry.stamps.some(({ name }) => moved.includes(name))) return;
    const tier = this.tier(policy);
    const known = tier.peek(key);
    const current = known?.era === this.trust.era;
    if (known && current && (known.entry === entry || known.entry.beganMs > entry.beganMs)) return;
    const bytes = entry.payload.length + Math.max(weight, entry.payload.length) + OVERHEAD_BYTES;
    const kept: Kept = { key, entry, seen: { ...seen, tier: 'l1' }, era, bytes };
    tier.set(key, kept);
    // What is larger than the whole tier was not taken in.
    if (tier.peek(key) !== kept) return;
    for (const { name } of entry.stamps) {
      const carriers = this.carriers.get(name);
      if (carriers) carriers.add(kept);
      else this.carriers.set(name, new Set([kept]));
    }
  }

  /**
   * The key was invalidated, replaced or written, here or elsewhere.
   *
   * @param own of the command that did so
   */
  drop(key: EntryKey, own?: Ticket): void {
    this.tiers.get(domainOf(key))?.delete(key);
    for (const ticket of this.tickets.get(key) ?? []) if (ticket !== own) ticket.spoiled = true;
  }

  /** A tag or a domain was invalidated. */
  dropCarriers(generation: GenerationName): void {
    for (const { key } of this.carriers.get(generation) ?? []) this.tiers.get(domainOf(key))?.delete(key);
    for (const ticket of this.open()) (ticket.moved ??= []).push(generation);
  }

  clear(): void {
    for (const tier of this.tiers.values()) tier.clear();
    for (const ticket of this.open()) ticket.spoiled = true;
  }

  /** Whether it was still open. */
  private giveBack(ticket: Ticket): boolean {
    const others = this.tickets.get(ticket.key);
    const open = others?.delete(ticket) ?? false;
    if (others?.size === 0) this.tickets.delete(ticket.key);
    return open;
  }

  private *open(): Generator<Ticket> {
    for (const tickets of this.tickets.values()) yield* tickets;
  }

  private tier({ domain, l1 }: Policy): LRUCache<EntryKey, Kept> {
    let tier = this.tiers.get(domain);
    if (!tier) {
      tier = new LRUCache({
        max: l1!.maxEntries,
        maxSize: l1!.maxBytes,
        sizeCalculation: ({ bytes }) => bytes,
        dispose: (kept) => this.forget(kept),
      });
      this.tiers.set(domain, tier);
    }
    return tier;
  }

  private forget(kept: Kept): void {
    for (const { name } of kept.entry.stamps) {
      const carriers = this.carriers.get(name);
      carriers?.delete(kept);
      if (carriers?.size === 0) this.carriers.delete(name);
    }
  }
}

/** `undefined` when it cannot be opened: its readers will say so. */
async function inflatedBytes({ values }: GuardedCall, seen: Snapshot, flags: number): Promise<number | undefined> {
  try {
    return (await seen.unpack(flags & FLAG.thrown ? {} : values)).bytes;
  } catch {
    return undefined;
  }
}

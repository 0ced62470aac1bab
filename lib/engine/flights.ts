import { CacheGuardOverloadError } from '../core/errors.js';
import type { EntryKey } from '../core/keys.js';
import type { KeySignal } from '../core/store.js';
import type { EngineParts } from './engine-parts.js';
import type { FlightPlan } from './flight-plan.js';
import { Flight } from './flight.js';
import type { LoadFrame } from './load-frames.js';
import type { Invalidation } from './pending.js';

/** The flights of one process: at most one per key that readers may join. */
export class Flights {
  private readonly open = new Map<EntryKey, Flight>();
  /** Forced refreshes whose loader was not called yet; none of them is joined by a plain reader. */
  private readonly forced = new Map<EntryKey, Flight>();
  /** All that have not landed, open to readers or not. */
  private readonly underway = new Map<Flight, Promise<void>>();
  private readonly perDomain = new Map<string, number>();

  constructor(private readonly parts: EngineParts) {}

  get(key: EntryKey): Flight | undefined {
    return this.open.get(key);
  }

  getForced(key: EntryKey): Flight | undefined {
    return this.forced.get(key);
  }

  /**
   * Starts a flight in the caller's async context; its loader runs there.
   *
   * @param before called with the flight before it takes off, to join it
   * @throws CacheGuardOverloadError (`CG_OVERLOADED`) when the domain, or the caller in it, has too many keys in flight
   */
  start<T>(plan: FlightPlan, before: (flight: Flight) => T): T {
    const { domain, maxKeysInFlight } = plan.call.policy;
    const count = this.perDomain.get(domain) ?? 0;
    if (count >= maxKeysInFlight) {
      this.parts.hub.emit({ type: 'overload', domain, key: plan.call.key, bound: 'keys-in-flight' });
      throw new CacheGuardOverloadError(
        'CG_OVERLOADED',
        `Domain '${domain}': ${count} keys have a load in flight, no more may start; raise maxKeysInFlight, or bound the keys that a caller can ask for.`,
        { domain, field: 'maxKeysInFlight' },
      );
    }
    const leave = this.parts.shares.take(plan.call);
    const { key } = plan.call;
    const registry = plan.forced ? this.forced : this.open;
    const flight = new Flight(plan, this.parts, (done) => {
      if (registry.get(key) === done) registry.delete(key);
    });
    registry.set(key, flight);
    this.perDomain.set(domain, count + 1);
    const result = before(flight);
    const landed = flight.run().finally(() => {
      this.underway.delete(flight);
      this.perDomain.set(domain, this.perDomain.get(domain)! - 1);
      leave();
    });
    this.underway.set(flight, landed);
    return result;
  }

  /** The store could not be told of an invalidation: nobody who comes from now on is given what began before it. */
  void(invalidation: Invalidation): void {
    if (invalidation.scope === 'key') {
      this.onSignal({ kind: 'invalidated', key: invalidation.key, atMs: Infinity });
    } else {
      this.onSignal({ kind: 'advanced', generation: invalidation.generation, value: Infinity });
    }
  }

  /** What other processes do may go unheard: whoever waits for one asks the store, or learns that it is away. */
  recheck(): void {
    for (const flight of this.underway.keys()) flight.recheck();
  }

  /** Whether to wait for `flight` inside this load would be to wait for oneself. */
  wouldWaitForItself(flight: Flight, frame: LoadFrame): boolean {
    const held = new Set<object>(frame.flights());
    const seen = new Set<Flight>();
    const reaches = (other: Flight): boolean => {
      if (held.has(other)) return true;
      if (seen.has(other)) return false;
      seen.add(other);
      return [...other.blockedOn].some(reaches);
    };
    return reaches(flight);
  }

  /** Resolves when the flight has landed, whatever came of it. */
  async landed(flight: Flight): Promise<void> {
    await this.underway.get(flight);
  }

  /** Waits until nothing is under way, or gives everything up with `reason` when `patience` ends first. */
  async drain(patience: Promise<void>, reason: unknown): Promise<void> {
    for (const flight of this.underway.keys()) {
      if (flight.plan.background) flight.cancel(reason);
    }
    const landed = () => Promise.all(this.underway.values());
    await Promise.race([landed(), patience]);
    for (const flight of this.underway.keys()) flight.cancel(reason);
    await landed();
  }

  /** What the store says about a key, a tag or a domain. */
  onSignal(signal: KeySignal): void {
    if (signal.kind !== 'advanced') return this.open.get(signal.key)?.onSignal(signal);
    for (const flight of this.open.values()) {
      if (flight.plan.call.generations.includes(signal.generation)) flight.onSignal(signal);
    }
  }
}

import type { Clock } from '../core/clock.js';
import type { EntryKey } from '../core/keys.js';
import type { Store } from '../core/store.js';

/** An attempt whose token must stay alive while its load runs. */
export interface KeptAttempt {
  readonly key: EntryKey;
  readonly token: string;
  readonly leaseMs: number;
  /** The store says that the token is void. */
  lost(): void;
  /** The store did not answer; the lease may still be there. */
  unanswered(error: unknown): void;
}

/** Renews leases three times in their life, with one timer for all of them and none while there are none. */
export class LeaseKeeper {
  private readonly kept = new Map<string, { attempt: KeptAttempt; dueMs: number }>();
  private cancelTimer: (() => void) | undefined;
  private armedForMs = Infinity;

  constructor(
    private readonly store: Pick<Store, 'renew'>,
    private readonly clock: Clock,
  ) {}

  keep(attempt: KeptAttempt): void {
    const dueMs = this.clock.monotonic() + attempt.leaseMs / 3;
    this.kept.set(attempt.token, { attempt, dueMs });
    if (dueMs < this.armedForMs) this.arm();
  }

  has(token: string): boolean {
    return this.kept.has(token);
  }

  forget(token: string): void {
    if (this.kept.delete(token) && this.kept.size === 0) this.disarm();
  }

  /** Forgets all of them, and says which they were. */
  forgetAll(): KeptAttempt[] {
    const attempts = [...this.kept.values()].map(({ attempt }) => attempt);
    this.kept.clear();
    this.disarm();
    return attempts;
  }

  private arm(): void {
    this.disarm();
    for (const { dueMs } of this.kept.values()) this.armedForMs = Math.min(this.armedForMs, dueMs);
    if (this.armedForMs === Infinity) return;
    this.cancelTimer = this.clock.schedule(Math.max(1, this.armedForMs - this.clock.monotonic()), () => {
      this.renewDue();
      this.arm();
    });
  }

  private disarm(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
    this.armedForMs = Infinity;
  }

  private renewDue(): void {
    const now = this.clock.monotonic();
    for (const kept of this.kept.values()) {
      if (kept.dueMs > now) continue;
      kept.dueMs = now + kept.attempt.leaseMs / 3;
      void this.renew(kept.attempt);
    }
  }

  private async renew(attempt: KeptAttempt): Promise<void> {
    try {
      const alive = await this.store.renew(attempt.key, attempt.token, attempt.leaseMs);
      if (!alive && this.kept.has(attempt.token)) {
        this.forget(attempt.token);
        attempt.lost();
      }
    } catch (error) {
      attempt.unanswered(error);
    }
  }
}

import type { CommitReply, HeldLease } from '../../core/store.js';

type Outcome = CommitReply['outcome'];

/** How long, and for how many attempts, a command that is sent again gets the first answer. */
const ANSWER_MS = 60_000;
const MAX_ANSWERS = 64;
/** A series of failures is forgotten when nobody has failed for this long after the back-off. */
const FAILURE_MEMORY_MS = 60_000;

/** Who works on one key, and what is remembered of those who did. All times are store times. */
export class Lease {
  /** Somebody was refused and wants to be told when the holder is done. */
  waiting = false;
  backoffUntilMs = 0;
  private holder: string | undefined;
  private failures = 0;
  private failuresUntilMs = 0;
  private floor: { readonly version: Buffer; readonly untilMs: number } | undefined;
  private readonly attempts = new Map<string, number>();
  private readonly answers = new Map<string, { readonly outcome: Outcome; readonly untilMs: number }>();

  /** Also one whose time ran out, while nobody has taken note of that. */
  isRegistered(token: string): boolean {
    return this.attempts.has(token);
  }

  isAlive(token: string, nowMs: number): boolean {
    return (this.attempts.get(token) ?? 0) > nowMs;
  }

  /** How long the holder still has; 0 when nobody holds. */
  heldMs(nowMs: number): number {
    return this.holder === undefined ? 0 : Math.max((this.attempts.get(this.holder) ?? 0) - nowMs, 0);
  }

  held(nowMs: number): HeldLease | undefined {
    const remainingMs = this.heldMs(nowMs);
    return remainingMs > 0 ? { token: this.holder!, remainingMs } : undefined;
  }

  grant(token: string, untilMs: number, exclusive: boolean, nowMs: number): void {
    if (this.holder !== undefined && this.heldMs(nowMs) === 0) this.consume(this.holder);
    this.attempts.set(token, untilMs);
    if (exclusive) this.holder = token;
  }

  renew(token: string, untilMs: number): void {
    this.attempts.set(token, untilMs);
  }

  consume(token: string): void {
    this.attempts.delete(token);
    if (this.holder === token) this.holder = undefined;
  }

  voidAll(): void {
    this.attempts.clear();
    this.holder = undefined;
  }

  answer(token: string, nowMs: number): Outcome | undefined {
    const known = this.answers.get(token);
    return known && known.untilMs > nowMs ? known.outcome : undefined;
  }

  remember(token: string, outcome: Outcome, nowMs: number): void {
    this.answers.set(token, { outcome, untilMs: nowMs + ANSWER_MS });
  }

  failed({ baseMs, maxMs }: { readonly baseMs: number; readonly maxMs: number }, nowMs: number): void {
    this.failures = this.failuresUntilMs > nowMs ? this.failures + 1 : 1;
    this.backoffUntilMs = nowMs + Math.min(maxMs, baseMs * 2 ** (this.failures - 1));
    this.failuresUntilMs = this.backoffUntilMs + FAILURE_MEMORY_MS;
  }

  succeeded(): void {
    this.failures = this.failuresUntilMs = this.backoffUntilMs = 0;
  }

  versionFloor(nowMs: number): Buffer | undefined {
    return this.floor && this.floor.untilMs > nowMs ? this.floor.version : undefined;
  }

  raiseFloor(version: Buffer, untilMs: number, nowMs: number): void {
    const floor = this.versionFloor(nowMs);
    const highest = floor && floor.compare(version) > 0 ? floor : version;
    this.floor = { version: highest, untilMs: Math.max(untilMs, this.floor?.untilMs ?? 0) };
  }

  /** Drops what has run out; whether nothing is left that anybody could ask for. */
  isSpent(nowMs: number): boolean {
    for (const [token, untilMs] of this.attempts) if (untilMs <= nowMs) this.consume(token);
    for (const [token, { untilMs }] of this.answers) {
      if (untilMs > nowMs && this.answers.size <= MAX_ANSWERS) break;
      this.answers.delete(token);
    }
    return (
      this.attempts.size === 0 &&
      this.answers.size === 0 &&
      this.failuresUntilMs <= nowMs &&
      this.versionFloor(nowMs) === undefined
    );
  }
}

import type { Clock } from '../core/clock.js';
import { OptionsChecker } from '../core/field-checker.js';
import { entryKey, type EntryKey } from '../core/keys.js';
import type { Store } from '../core/store.js';
import type { InvalidationResult } from '../core/targets.js';
import { WriteMarks, type WriteMark } from '../core/write-marks.js';
import { generationTtl } from './call.js';
import type { Domains } from './domains.js';
import { OwnContext } from './own-context.js';

export interface SessionOptions {
  readonly token?: unknown;
}

const check: OptionsChecker = new OptionsChecker('CacheGuard.session');

interface Session {
  readonly marks: WriteMarks;
  /** Domains whose marks are known not to be of the future, where they would never end. */
  readonly capped: Set<string>;
}

/**
 * Who has written what, along the async context of a request: he is not shown by a stale policy what he has replaced, while others may be.
 */
export class Sessions {
  private readonly sessions = new OwnContext<Session>();
  /** An application without sessions pays for no look at the async context. */
  private used = false;

  constructor(
    private readonly store: Pick<Store, 'now'>,
    private readonly clock: Clock,
    private readonly domains: Pick<Domains, 'has' | 'policy'>,
  ) {}

  /**
   * Runs within the session that is open, or a new one, which then also knows what the token says. Whatever is no token says nothing.
   *
   * @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`)
   */
  run<T>(options: SessionOptions, run: () => T): T {
    check.needFn('run', run, 'that runs in the session');
    const { token } = check.options(options, ['token']);
    this.used = true;
    const marks = WriteMarks.read(token, (domain) => this.domains.has(domain));
    const open = this.sessions.current;
    if (!open) return this.sessions.run({ marks, capped: new Set() }, run);
    open.marks.addAll(marks);
    open.capped.clear();
    return run();
  }

  /** `undefined` outside of a session, and in one that has written nothing. */
  token(): string | undefined {
    const session = this.sessions.current;
    if (!session) return undefined;
    for (const domain of session.marks.domains) {
      const mark = this.capped(session, domain)!;
      const keptMs = generationTtl(this.domains.policy(domain));
      if (Math.max(mark.atMs, mark.pendingMs) + keptMs < this.now(domain)) session.marks.forget(domain);
    }
    return session.marks.token();
  }

  /** What the session that is open here has written of a domain. */
  markOf(domain: string): WriteMark | undefined {
    if (!this.used) return undefined;
    const session = this.sessions.current;
    return session && this.capped(session, domain);
  }

  /**
   * To be called when a write has ended.
   *
   * @param keys that it concerned; none for tags and domains
   */
  wrote(domain: string, outcome: InvalidationResult['outcome'], keys: readonly EntryKey[]): void {
    const session = this.used ? this.sessions.current : undefined;
    if (!session) return;
    const times = keys.length > 0 ? keys.map((key) => this.now(domain, key)) : [this.now(domain)];
    const atMs = after(times.reduce((latest, ms) => Math.max(latest, ms)));
    session.marks.add(domain, { atMs, pendingMs: outcome === 'pending' ? atMs : -Infinity });
  }

  private capped({ marks, capped }: Session, domain: string): WriteMark | undefined {
    const mark = marks.of(domain);
    if (!mark || capped.has(domain)) return mark;
    const nowMs = this.storeNow(domain);
    if (nowMs === undefined) return mark;
    marks.cap(domain, after(nowMs));
    capped.add(domain);
    return marks.of(domain);
  }

  private now(domain: string, key?: EntryKey): number {
    // On this machine's time, until the store's is known.
    return this.storeNow(domain, key) ?? this.clock.wall();
  }

  private storeNow(domain: string, key: EntryKey = entryKey({ domain, segment: 's.' })): number | undefined {
    try {
      return this.store.now(key);
    } catch {
      return undefined;
    }
  }
}

/** What began in the same millisecond may have begun before. */
function after(ms: number): number {
  return Math.floor(ms) + 1;
}

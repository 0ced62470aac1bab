/** What somebody has written of a domain, as far as it concerns what he may be shown. Store times, milliseconds. */
export interface WriteMark {
  /** His last write: what is stale and was loaded before is not for him. */
  readonly atMs: number;
  /** His last write of which the store was not told: nothing that was loaded before is for him. `-Infinity`: all were confirmed. */
  readonly pendingMs: number;
}

/** Stands for every domain: what is left of marks that had no room. */
const EVERY = '*';
const MAX_DOMAINS = 32;
const MAX_TOKEN = 4_096;
const FORMAT = 'v1';
/** `v1`, then for each domain its name and one or two times, which are milliseconds in base 36. */
const TOKEN = /^v1(?:\.(?:[A-Za-z][A-Za-z0-9_-]{0,63}|\*)(?:~[0-9a-z]{1,9}){1,2}){1,33}$/;

/** When somebody has written which domains. Bounded: beyond 32 domains the oldest mark becomes one of all domains. */
export class WriteMarks {
  private readonly marks = new Map<string, WriteMark>();

  get domains(): readonly string[] {
    return [...this.marks.keys()].filter((domain) => domain !== EVERY);
  }

  add(domain: string, mark: WriteMark): void {
    this.marks.set(domain, later(this.marks.get(domain), mark));
    if (this.marks.size <= MAX_DOMAINS + (this.marks.has(EVERY) ? 1 : 0)) return;
    const [oldest] = [...this.marks].filter(([name]) => name !== EVERY).toSorted(([, a], [, b]) => a.atMs - b.atMs);
    this.marks.delete(oldest![0]);
    this.marks.set(EVERY, later(this.marks.get(EVERY), oldest![1]));
  }

  addAll(others: WriteMarks): void {
    for (const [domain, mark] of others.marks) this.add(domain, mark);
  }

  of(domain: string): WriteMark | undefined {
    const every = this.marks.get(EVERY);
    const own = this.marks.get(domain);
    return own && every ? later(own, every) : (own ?? every);
  }

  /** None is later than now. */
  cap(domain: string, nowMs: number): void {
    for (const name of [domain, EVERY]) {
      const mark = this.marks.get(name);
      if (!mark || Math.max(mark.atMs, mark.pendingMs) <= nowMs) continue;
      this.marks.set(name, { atMs: Math.min(mark.atMs, nowMs), pendingMs: Math.min(mark.pendingMs, nowMs) });
    }
  }

  /** What was loaded before is not kept any more. */
  forget(domain: string): void {
    this.marks.delete(domain);
  }

  /** `undefined` when there is nothing to tell. */
  token(): string | undefined {
    if (this.marks.size === 0) return undefined;
    const parts = [...this.marks].map(([domain, { atMs, pendingMs }]) =>
      [domain, atMs, ...(pendingMs === -Infinity ? [] : [pendingMs])]
        .map((part) => (typeof part === 'number' ? timeText(part) : part))
        .join('~'),
    );
    return [FORMAT, ...parts].join('.');
  }

  /**
   * What a token says; nothing, if it is none. Never throws, whatever comes.
   *
   * @param known whether there is such a domain: others may have another application's
   */
  static read(token: unknown, known: (domain: string) => boolean): WriteMarks {
    const marks = new WriteMarks();
    if (typeof token !== 'string' || token.length > MAX_TOKEN || !TOKEN.test(token)) return marks;
    for (const part of token.split('.').slice(1)) {
      const [domain, at, pending] = part.split('~') as [string, string, string?];
      if (domain !== EVERY && !known(domain)) continue;
      marks.add(domain, {
        atMs: Number.parseInt(at, 36),
        pendingMs: pending === undefined ? -Infinity : Number.parseInt(pending, 36),
      });
    }
    return marks;
  }
}

function later(one: WriteMark | undefined, other: WriteMark): WriteMark {
  if (!one) return other;
  return { atMs: Math.max(one.atMs, other.atMs), pendingMs: Math.max(one.pendingMs, other.pendingMs) };
}

function timeText(ms: number): string {
  return Math.ceil(Math.max(0, ms)).toString(36).slice(0, 9);
}

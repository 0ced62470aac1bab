import type { StreamGroup } from './stream-group.js';

/** What one command carries. */
const BATCH = 1_000;
/** More than that of which the server did not take an acknowledgement come again, and are recognised. */
const KEPT = 10_000;

/** Acknowledges what is done: what comes up while one command is under way goes into the next. */
export class Acknowledgements {
  private readonly waiting = new Set<string>();
  private sending: Promise<void> | undefined;

  constructor(
    private readonly group: StreamGroup,
    /** Tells of a failure, and gives nothing for it. */
    private readonly attempt: (command: Promise<true>) => Promise<true | undefined>,
  ) {}

  get size(): number {
    return this.waiting.size;
  }

  has(id: string): boolean {
    return this.waiting.has(id);
  }

  add(ids: readonly string[]): void {
    for (const id of ids) this.waiting.add(id);
    for (const id of this.waiting) {
      if (this.waiting.size <= KEPT) break;
      this.waiting.delete(id);
    }
    void this.send();
  }

  /** Resolves when nothing waits any more, or the server did not take it. Rejects for nothing. */
  send(): Promise<void> {
    this.sending ??= this.sendAll().finally(() => (this.sending = undefined));
    return this.sending;
  }

  private async sendAll(): Promise<void> {
    while (this.waiting.size > 0) {
      const ids = [...this.waiting].slice(0, BATCH);
      if (!(await this.attempt(this.group.acknowledge(ids)))) return;
      for (const id of ids) this.waiting.delete(id);
    }
  }
}

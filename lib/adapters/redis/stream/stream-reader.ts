import type { EventSink } from '../../../core/event-source.js';
import type { StreamGroup } from './stream-group.js';
import type { StreamLink } from './stream-link.js';
import type { StreamWork } from './stream-work.js';

/** Without news, the group is looked at so often. */
const BELL_MS = 1_000;

export interface StreamReaderOptions {
  readonly group: StreamGroup;
  /** Waits for news, on a connection that serves nothing else. */
  readonly bell: StreamLink;
  readonly stream: string;
  readonly sink: EventSink;
  readonly work: StreamWork;
  readonly from: 'start' | 'end';
  readonly batch: number;
  /** The group is there. */
  readonly joined: () => void;
}

/**
 * Reads what comes. The blocking command only tells that something has: what is handed out is taken in one atomic step with the look for
 * what is missing before it, which a blocking XREADGROUP cannot be.
 */
export class StreamReader {
  private member = false;
  private wasMember = false;
  private seen = '';
  private accepted = '';

  constructor(private readonly options: StreamReaderOptions) {}

  /** Gives for how many milliseconds there is nothing to do. */
  async step(): Promise<number> {
    const { group, sink, work, batch } = this.options;
    const { waitMs } = work;
    if (waitMs > 0) return waitMs;
    if (!this.member) await this.join();
    const taken = await group.take(batch, this.seen, this.accepted);
    switch (taken.kind) {
      case 'no-group':
        this.member = false;
        return 0;
      case 'gap':
        await sink.lost(taken.reason);
        this.accepted = taken.mark;
        return 0;
      case 'read':
        this.seen = taken.seen;
        void work.deal(taken.entries);
        if (taken.entries.length < batch) await this.news(taken.lastId);
        return 0;
    }
  }

  private async join(): Promise<void> {
    const { group, sink, from, joined } = this.options;
    const missed = await group.join(from, this.wasMember);
    if (missed) {
      await sink.lost(
        this.wasMember
          ? 'the stream, or its group, was not there any more'
          : 'the group is new, and events were published before',
      );
      await group.join(from, this.wasMember, missed);
    }
    if (this.wasMember) this.seen = '';
    this.member = true;
    this.wasMember = true;
    joined();
  }

  private async news(lastId: string): Promise<void> {
    const { bell, stream } = this.options;
    const args = ['COUNT', 1, 'BLOCK', BELL_MS, 'STREAMS', stream, lastId];
    await bell.run(stream, 'XREAD', (node) => node.callBuffer('XREAD', ...args), BELL_MS);
  }
}

import type { Clock } from '../../../core/clock.js';
import type { EventSink, EventSource } from '../../../core/event-source.js';
import { keyPrefixOf, type RedisConnect } from '../client-shapes.js';
import { GroupRules } from './group-rules.js';
import { Loop } from './loop.js';
import { StreamGroup, type Consumers } from './stream-group.js';
import { StreamLink } from './stream-link.js';
import { StreamReader } from './stream-reader.js';
import { StreamTender } from './stream-tender.js';
import { StreamWork } from './stream-work.js';

const OWN_PENDING = 1_000;

export interface RedisStreamSourceOptions {
  readonly name: string;
  readonly stream: string;
  readonly group: string;
  /** Tells apart processes of one group that have the same rules. Default: all have one. */
  readonly namespace?: string;
  /** This process, in the group. */
  readonly consumer: string;
  readonly connect: RedisConnect;
  readonly clock: Clock;
  /** Milliseconds, as all that follows. */
  readonly commandTimeoutMs: number;
  /** Where a group begins that is new: with what comes, or with what there is. Default `'end'`. */
  readonly from?: 'start' | 'end';
  /** Entries that are read at once. Default 256. */
  readonly batch?: number;
  /** How often an event is handed out before it is put aside. Default 5. */
  readonly maxTries?: number;
  /** Pause before the second try; each further one is twice as long, and at most `claimAfterMs`. Default 1,000. */
  readonly retryAfterMs?: number;
  /** What a process has not dealt with after it is taken over by another. Default 30,000. */
  readonly claimAfterMs?: number;
  /** Processes that were not heard of for so long, and have nothing pending, leave the group. Default 600,000. */
  readonly forgetAfterMs?: number;
  /** For what is being dealt with at `close`; what takes longer is given back. Default 5,000. */
  readonly graceMs?: number;
  /** The stream that events are put aside in, in the same slot of a cluster. Default: the stream's name in braces, and `:dead`. */
  readonly deadLetters?: string;
  /** About so many are kept. Default 10,000. */
  readonly maxDeadLetters?: number;
}

/** Events in a stream of Redis, shared by the processes of a consumer group. */
export class RedisStreamSource implements EventSource {
  readonly name: string;
  readonly delivery = 'shared';
  private readonly link: StreamLink;
  private readonly bell: StreamLink;
  private work: StreamWork | undefined;
  private reading: Loop | undefined;
  private tending: Loop | undefined;
  private leave = async () => {};
  private closing: Promise<void> | undefined;

  constructor(private readonly options: RedisStreamSourceOptions) {
    const { name, connect, clock, commandTimeoutMs } = options;
    this.name = name;
    this.link = new StreamLink(connect, clock, commandTimeoutMs);
    this.bell = new StreamLink(connect, clock, commandTimeoutMs);
  }

  /** Resolves when the group is joined, or after the time that a command has. */
  async open(sink: EventSink): Promise<void> {
    const { name, namespace, clock, commandTimeoutMs, maxDeadLetters = 10_000 } = this.options;
    const { from = 'end', batch = 256, maxTries = 5, retryAfterMs = 1_000, claimAfterMs = 30_000 } = this.options;
    const { forgetAfterMs = 600_000 } = this.options;
    const { link, bell } = this;
    const { stream, deadLetters } = namesOf(this.options);
    const consumer = GroupRules.consumer(this.options.consumer, sink, namespace);
    const names = { stream, group: this.options.group, consumer, deadLetters };
    const saw = (consumers: Consumers): Promise<void> => rules.saw(consumers);
    const group = new StreamGroup({ ...names, link, maxDeadLetters, saw });
    const forget = (consumers: readonly string[]) => group.forget(consumers);
    const rules = new GroupRules({ name, group: this.options.group, namespace, sink, forget });
    const failed = (error: unknown) => sink.trouble(error);
    const freed = () => {
      this.reading?.wake();
      if (tender.waitsForRoom) this.tending?.wake();
    };
    const work = new StreamWork({ group, sink, clock, batch, maxTries, retryAfterMs, freed });
    this.work = work;
    this.leave = () => leave(group, consumer, work, claimAfterMs);
    const joined = new Promise<void>((resolve) => {
      const reader = new StreamReader({ group, bell, stream, sink, work, from, batch, joined: resolve });
      this.reading = new Loop(clock, () => reader.step(), failed);
    });
    const times = { retryAfterMs, claimAfterMs, forgetAfterMs };
    const tender = new StreamTender({ group, sink: rules.careful, work, clock, consumer, ...times });
    this.tending = new Loop(clock, () => tender.step(), failed);
    await this.within(commandTimeoutMs, joined);
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    const { work, reading, tending } = this;
    work?.stop();
    const stopped = Promise.all([reading?.stop(), tending?.stop()]);
    this.bell.close();
    if (work) {
      await this.within(
        this.options.graceMs ?? 5_000,
        stopped.then(() => work.finish()),
      );
      work.end();
      await this.leave().catch(() => {});
    }
    this.link.close();
  }

  private within(ms: number, event: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.options.clock.schedule(ms, resolve, true);
      void event.then(() => {
        cancel();
        resolve();
      });
    });
  }
}

/** What is left here need not wait until this process counts as dead. */
async function leave(group: StreamGroup, consumer: string, work: StreamWork, claimAfterMs: number): Promise<void> {
  await work.acknowledgements.send();
  const left = await group.pending(0, '-', OWN_PENDING, consumer);
  const entries = left.map(({ id, count }) => ({ id, count: work.triesOf(id) ?? count }));
  await group.giveBack(entries, claimAfterMs, true);
}

/**
 * A stream and its dead letters in full, with the connection's prefix. Both are in one slot of a cluster: the dead letters' name has in
 * braces what the stream's slot is made of.
 */
function namesOf({ connect, stream, deadLetters }: RedisStreamSourceOptions): { stream: string; deadLetters: string } {
  const prefix = keyPrefixOf(connect);
  const full = prefix + stream;
  if (deadLetters !== undefined) return { stream: full, deadLetters: prefix + deadLetters };
  return { stream: full, deadLetters: /^[^{]*\{[^}]+\}/.test(full) ? `${full}:dead` : `${prefix}{${full}}:dead` };
}

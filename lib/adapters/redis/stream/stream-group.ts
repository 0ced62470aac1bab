import { Script } from '../script.js';
import type { StreamEntry } from './stream-entry.js';
import type { StreamLink } from './stream-link.js';

const script = (name: string): Script => new Script(`stream-${name}`, 'stream-prelude');
const scripts = {
  join: script('join'),
  take: script('take'),
  claim: script('claim'),
  bury: script('bury'),
  giveBack: script('give-back'),
  survey: script('survey'),
  forget: script('forget'),
};

/** More names and values than that of a foreign entry do not go into its dead letter. */
const DEAD_FIELDS = 1_000;
const DEAD_REASON = 500;
/** Who reads is heard of every second; one that was not for so long is gone. */
const GONE_MS = 20_000;

export interface StreamGroupOptions {
  readonly link: StreamLink;
  /** In full, as `deadLetters`. */
  readonly stream: string;
  readonly group: string;
  readonly consumer: string;
  readonly deadLetters: string;
  readonly maxDeadLetters: number;
  /** Hears from time to time of the group's consumers; a rejection is one of the survey. */
  readonly saw?: (consumers: Consumers) => Promise<void>;
}

/** The names of a group's consumers. */
export interface Consumers {
  /** At work. */
  readonly here: readonly string[];
  /** They have left, or were not heard of any more. */
  readonly gone: readonly string[];
}

/** Events that a new group will not read, and where it would begin. */
export interface Missed {
  readonly at: string;
  readonly before: string;
}

export type Taken =
  | { readonly kind: 'no-group' }
  | { readonly kind: 'gap'; readonly mark: string; readonly reason: string }
  | {
      readonly kind: 'read';
      /** After which the next one comes. */
      readonly lastId: string;
      /** The last entry that there is; empty for none. */
      readonly seen: string;
      readonly entries: readonly StreamEntry[];
    };

export interface PendingEntry {
  readonly id: string;
  readonly consumer: string;
  readonly idleMs: number;
  readonly count: number;
}

/** What a source asks of its consumer group; each call is one command or one atomic script. */
export class StreamGroup {
  constructor(private readonly options: StreamGroupOptions) {}

  /** Creates the group if it is not there, unless that has to be told first. */
  async join(from: 'start' | 'end', tellAnyway: boolean, missed?: Missed): Promise<Missed | undefined> {
    const { group } = this.options;
    const second = missed ? [missed.at, missed.before] : [];
    const [kind, at, before] = await this.run<Buffer[]>(scripts.join, [group, from, tellAnyway ? 1 : 0, ...second]);
    return String(kind) === 'missed' ? { at: String(at), before: String(before) } : undefined;
  }

  /**
   * @param seen the last entry that this process has seen
   * @param accepted the mark of the gap that was dealt with
   */
  async take(count: number, seen: string, accepted: string): Promise<Taken> {
    const { group, consumer } = this.options;
    const reply = await this.run<[Buffer, Buffer, Buffer, RawEntry[]]>(scripts.take, [
      group,
      consumer,
      count,
      seen,
      accepted,
    ]);
    const [kind, one, two, entries] = reply;
    if (String(kind) === 'none') return { kind: 'no-group' };
    if (String(kind) === 'gap') return { kind: 'gap', mark: String(one), reason: String(two) };
    return { kind: 'read', lastId: String(one), seen: String(two), entries: entries.map(entryOf) };
  }

  /** Entries that nobody has touched for so long, from an id on. */
  async pending(idleMs: number, from: string, count: number, consumer?: string): Promise<PendingEntry[]> {
    const { stream, group } = this.options;
    const of = consumer === undefined ? [] : [consumer];
    const rows = await this.call('XPENDING', stream, group, 'IDLE', idleMs, from, '+', count, ...of);
    return (rows as [Buffer, Buffer, number, number][]).map(([id, owner, idle, times]) => ({
      id: String(id),
      consumer: String(owner),
      idleMs: idle,
      count: times,
    }));
  }

  /** Takes over those that still are as idle as said. `gone`: their content is, and they stay pending. */
  async claim(
    wanted: readonly { readonly id: string; readonly idleMs: number }[],
  ): Promise<{ readonly entries: readonly StreamEntry[]; readonly gone: readonly string[] }> {
    const { group, consumer } = this.options;
    const args = wanted.flatMap(({ id, idleMs }) => [id, Math.ceil(idleMs)]);
    const [entries, gone] = await this.run<[RawEntry[], Buffer[]]>(scripts.claim, [group, consumer, ...args]);
    return { entries: entries.map(entryOf), gone: gone.map(String) };
  }

  async acknowledge(ids: readonly string[]): Promise<true> {
    await this.call('XACK', this.options.stream, this.options.group, ...ids);
    return true;
  }

  /** Moves an entry to the dead letters; `false`: it had been dealt with. */
  async bury({ id, fields, count }: StreamEntry, reason: string): Promise<boolean> {
    const { stream, group, deadLetters, maxDeadLetters } = this.options;
    const letter = ['reason', reason.slice(0, DEAD_REASON), 'tries', count, 'id', id, 'stream', stream, 'group', group];
    const content = fields.slice(0, DEAD_FIELDS);
    const args = [group, id, maxDeadLetters, ...letter, ...content];
    return (await this.run<number>(scripts.bury, args, deadLetters)) === 1;
  }

  /**
   * Lets entries come again as if they had not been handed out.
   *
   * @param idleMs for how long they are to seem untouched
   * @param leave the consumer is forgotten if it has nothing left; what remains is word that its rules have read
   */
  async giveBack(
    entries: readonly { readonly id: string; readonly count: number }[],
    idleMs: number,
    leave = false,
  ): Promise<void> {
    const { group, consumer } = this.options;
    const args = entries.flatMap(({ id, count }) => [id, count]);
    await this.run(scripts.giveBack, [group, consumer, Math.ceil(idleMs), leave ? 1 : 0, ...args]);
  }

  /**
   * Age of the oldest entry that was not acknowledged, by the server's time; 0 when there is none, nothing without a group.
   *
   * @param forgetAfterMs other consumers that were not heard of for so long, have no other rules, and nothing pending, are forgotten
   */
  async survey(forgetAfterMs?: number): Promise<number | undefined> {
    const { group, consumer } = this.options;
    const args = [group, consumer, forgetAfterMs ?? '', GONE_MS];
    const reply = await this.run<[Buffer, Buffer, Buffer, Buffer[], Buffer[]]>(scripts.survey, args);
    const [kind, now, oldest, here, gone] = reply;
    if (String(kind) === 'none') return undefined;
    if (forgetAfterMs !== undefined) await this.options.saw?.({ here: here.map(String), gone: gone.map(String) });
    return oldest.length === 0 ? 0 : Math.max(0, Number(now) - Number.parseInt(String(oldest), 10));
  }

  /** Consumers that are gone, with nothing pending, leave no trace. */
  async forget(consumers: readonly string[]): Promise<void> {
    await this.run(scripts.forget, [this.options.group, GONE_MS, ...consumers]);
  }

  private run<T>(one: Script, args: readonly (string | number | Buffer)[], ...keys: readonly string[]): Promise<T> {
    const { link, stream } = this.options;
    return link.run(stream, `the script '${one.name}'`, async (node) => {
      return (await one.run(node, [stream, ...keys], args)) as T;
    });
  }

  private call(command: string, ...args: readonly (string | number)[]): Promise<unknown> {
    const { link, stream } = this.options;
    return link.run(stream, command, (node) => node.callBuffer(command, ...args));
  }
}

type RawEntry = readonly [id: Buffer, fields: readonly Buffer[], count?: number];

function entryOf([id, fields, count = 1]: RawEntry): StreamEntry {
  return { id: String(id), fields, count };
}

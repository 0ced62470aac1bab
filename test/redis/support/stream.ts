import { Redis } from 'ioredis';
import type { Delivery, EventSink, PublishedEvent, Verdict } from 'nestjs-cache-guard';
import type { RedisConnect } from '../../../lib/adapters/redis/client-shapes.js';
import {
  RedisStreamSource,
  type RedisStreamSourceOptions,
} from '../../../lib/adapters/redis/stream/redis-stream-source.js';
import { StreamPublisher } from '../../../lib/adapters/redis/stream/stream-publisher.js';
import { systemClock as clock, systemIds } from '../../../lib/adapters/system.js';
import { uniqueNamespace } from '../../support/namespace.js';

export const DONE: Verdict = { kind: 'done', outcome: 'applied' };

/** What a source told, one after the other. */
export class Heard implements EventSink {
  readonly types = [];
  rules: string | undefined;
  readonly told: string[] = [];
  readonly deliveries: Delivery[] = [];
  readonly dead: { readonly event: unknown; readonly reason: string }[] = [];
  readonly lags: number[] = [];
  readonly troubles: unknown[] = [];
  answer: (id: string, tries: number) => Verdict | Promise<Verdict> = () => DONE;
  /** Of an entry without an event: 'undefined'. */
  atGivingUp: (id: string) => Promise<void> = async () => {};
  atLoss: () => Promise<void> = async () => {};

  async deliver(deliveries: readonly Delivery[]): Promise<readonly Verdict[]> {
    this.deliveries.push(...deliveries);
    this.told.push(...deliveries.map(({ event }) => idOf(event)));
    return Promise.all(deliveries.map(async ({ event, tries }) => this.answer(idOf(event), tries)));
  }

  async lost(reason: string): Promise<void> {
    await this.atLoss();
    this.told.push(`lost: ${reason}`);
  }

  async giveUp(event: unknown): Promise<void> {
    await this.atGivingUp(idOf(event));
  }

  deadLettered(event: unknown, reason: string): void {
    this.dead.push({ event, reason });
  }

  lag(ms: number): void {
    this.lags.push(ms);
  }

  trouble(error: unknown): void {
    this.troubles.push(error);
  }

  get losses(): string[] {
    return this.told.filter((one) => one.startsWith('lost: '));
  }

  /** The ids of what was delivered. */
  get ids(): string[] {
    return this.deliveries.map(({ event }) => idOf(event));
  }
}

export interface Following {
  readonly source: RedisStreamSource;
  readonly heard: Heard;
  readonly consumer: string;
}

/** One stream of a test, those who follow it, and a client that looks at it. */
export class StreamBench {
  readonly stream = uniqueNamespace('stream');
  readonly group = 'bench';
  readonly raw: Redis;
  private readonly publisher: StreamPublisher;
  private readonly ends: (() => unknown)[] = [];

  constructor(
    readonly connect: RedisConnect,
    url: string,
  ) {
    this.raw = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
    this.raw.on('error', () => {});
    this.publisher = new StreamPublisher({ connect, clock, commandTimeoutMs: 5_000 });
  }

  static on(url: string): StreamBench {
    return new StreamBench({ url }, url);
  }

  finally(end: () => unknown): void {
    this.ends.push(end);
  }

  source(options: Partial<RedisStreamSourceOptions> = {}): RedisStreamSource {
    const { stream, group, connect } = this;
    const consumer = systemIds().process;
    const given = { name: 'bench', stream, group, consumer, connect, clock, commandTimeoutMs: 1_000, retryAfterMs: 50 };
    const source = new RedisStreamSource({ ...given, ...options });
    this.finally(() => source.close());
    return source;
  }

  /** Follows the stream until the test is over. */
  async follow(options: Partial<RedisStreamSourceOptions> = {}, prepare?: (heard: Heard) => void): Promise<Following> {
    const heard = new Heard();
    prepare?.(heard);
    const consumer = options.consumer ?? systemIds().process;
    const source = this.source({ ...options, consumer });
    await source.open(heard);
    return { source, heard, consumer };
  }

  publish(...ids: readonly string[]): Promise<void> {
    return this.publisher.append(this.stream, ids.map(eventOf));
  }

  /** Creates the group at the end of the stream, as one that was there before has left it. */
  async makeGroup(): Promise<void> {
    const { source } = await this.follow();
    await source.close();
  }

  /** Reads as a process does that then dies. */
  async readAndDie(count: number, consumer = 'dead'): Promise<void> {
    await this.raw.xreadgroup('GROUP', this.group, consumer, 'COUNT', count, 'STREAMS', this.stream, '>');
  }

  async pending(): Promise<number> {
    return (await this.raw.xpending(this.stream, this.group))[0] as number;
  }

  async deadLetters(name = `{${this.stream}}:dead`): Promise<Record<string, string>[]> {
    const entries = await this.raw.xrange(name, '-', '+');
    return entries.map(([, fields]) => {
      return Object.fromEntries(fields.flatMap((field, i) => (i % 2 ? [] : [[field, fields[i + 1]!]])));
    });
  }

  async consumers(): Promise<string[]> {
    const rows = (await this.raw.xinfo('CONSUMERS', this.stream, this.group)) as string[][];
    return rows.map((row) => row[row.indexOf('name') + 1]!);
  }

  async close(): Promise<void> {
    for (const end of this.ends.splice(0).toReversed()) await end();
    this.publisher.close();
    this.raw.disconnect();
  }
}

export function eventOf(id: string): PublishedEvent {
  return { id, source: '/bench', type: 'changed', data: { of: id } };
}

export function numbered(count: number, prefix = 'e'): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

function idOf(event: unknown): string {
  return String((event as { id?: unknown } | undefined)?.id);
}

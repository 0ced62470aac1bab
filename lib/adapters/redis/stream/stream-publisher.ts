import type { Clock } from '../../../core/clock.js';
import { readEvent, type PublishedEvent } from '../../../core/domain-event.js';
import { CacheGuardError } from '../../../core/errors.js';
import { keyPrefixOf, type RedisConnect } from '../client-shapes.js';
import { EVENT_FIELD } from './stream-entry.js';
import { StreamLink } from './stream-link.js';

export interface StreamPublisherOptions {
  readonly connect: RedisConnect;
  readonly clock: Clock;
  /** Milliseconds. */
  readonly commandTimeoutMs: number;
}

export interface AppendOptions {
  /** About so many entries are kept; default: all. What is trimmed before a group has read it is lost to that group, and noticed. */
  readonly maxLength?: number;
}

/** Appends events to streams, each as one entry whose field `event` is the event in the JSON format of CloudEvents. */
export class StreamPublisher {
  private readonly link: StreamLink;
  private readonly prefix: string;

  constructor({ connect, clock, commandTimeoutMs }: StreamPublisherOptions) {
    this.link = new StreamLink(connect, clock, commandTimeoutMs);
    this.prefix = keyPrefixOf(connect);
  }

  /**
   * Resolves when all are in the stream, in their order. When it rejects, some may be: to append them again is harmless, since an event
   * is known by its source and id.
   *
   * @throws CacheGuardStoreError when Redis does not answer or refuses; CacheGuardError (`CG_UNENCODABLE`) for what is no event or is not
   * to be had in JSON, and then nothing is appended
   */
  async append(stream: string, events: readonly PublishedEvent[], { maxLength }: AppendOptions = {}): Promise<void> {
    const texts = events.map(textOf);
    if (texts.length === 0) return;
    const key = this.prefix + stream;
    const bound = maxLength === undefined ? [] : ['MAXLEN', '~', maxLength];
    await this.link.run(key, 'XADD', async (node) => {
      const commands = node.pipeline();
      for (const text of texts) commands.call('XADD', key, ...bound, '*', EVENT_FIELD, text);
      for (const [error] of (await commands.exec()) ?? []) if (error) throw error;
    });
  }

  close(): void {
    this.link.close();
  }
}

function textOf(event: PublishedEvent, index: number): string {
  const read = readEvent(event);
  if ('malformed' in read) throw unencodable(index, read.malformed);
  try {
    return JSON.stringify({ specversion: '1.0', ...event, ...read });
  } catch (error) {
    throw unencodable(index, 'JSON cannot hold its data', error);
  }
}

function unencodable(index: number, why: string, cause?: unknown): CacheGuardError {
  return new CacheGuardError('CG_UNENCODABLE', `Event ${index} of those to be appended is refused: ${why}.`, { cause });
}

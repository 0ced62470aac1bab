import { createHash } from 'node:crypto';
import { isPromise } from './promises.js';

/**
 * Something that happened in a domain, in the terms of CloudEvents 1.0 (https://github.com/cloudevents/spec, "Context Attributes"). A
 * plain object; attributes that are not listed here are left alone.
 */
export interface DomainEvent<Data = unknown> {
  /** With `source`, the identity of the event: a second one with both is a repeat, whatever it carries. */
  readonly id: string;
  /** Who published it: a URI reference such as `/bank/offers`. */
  readonly source: string;
  /** What happened, such as `bank.offer.changed`. */
  readonly type: string;
  /** When it happened; RFC 3339. */
  readonly time?: string;
  /** What it happened to, within `source`. */
  readonly subject?: string;
  readonly data: Data;
}

/** What can be published: an event, with or without data. */
export type PublishedEvent = Omit<DomainEvent, 'data' | 'time'> & {
  readonly data?: unknown;
  readonly time?: string | Date;
};

/** The attributes that are texts, and whether an event must have them. */
const ATTRIBUTES = { id: true, source: true, type: true, time: false, subject: false } as const;
const MAX_TEXT = 1_024;

/** Why something is no event, for a dead letter and a log line; it names the attribute and not what came with it. */
export interface Malformed {
  readonly malformed: string;
}

/** What arrived, if it is an event. Never throws, whatever arrives. */
export function readEvent(given: unknown): DomainEvent | Malformed {
  try {
    if (typeof given !== 'object' || given === null) {
      return { malformed: `an event is an object with id, source and type, not ${typeOf(given)}` };
    }
    if (isPromise(given)) return { malformed: 'an event is an object with id, source and type, not a promise of one' };
    const event = given as Record<string, unknown>;
    const texts: Partial<Record<keyof typeof ATTRIBUTES, string>> = {};
    for (const [name, required] of Object.entries(ATTRIBUTES) as [keyof typeof ATTRIBUTES, boolean][]) {
      const raw = event[name];
      const value = name === 'time' && raw instanceof Date ? raw.toISOString() : raw;
      if (value === undefined && !required) continue;
      if (typeof value !== 'string' || value === '') {
        return { malformed: `its ${name} is ${typeOf(value)}; give a text that is not empty` };
      }
      if (value.length > MAX_TEXT) return { malformed: `its ${name} is longer than ${MAX_TEXT} characters` };
      texts[name] = value;
    }
    const { id, source, type, time, subject } = texts;
    if (time !== undefined && Number.isNaN(Date.parse(time))) {
      return { malformed: 'its time is no timestamp; give one of RFC 3339' };
    }
    return { id: id!, source: source!, type: type!, time, subject, data: event['data'] };
  } catch {
    return { malformed: 'it throws when it is read' };
  }
}

function typeOf(value: unknown): string {
  return value === '' ? 'empty' : value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;
}

/** A short name for the identity, which is the pair of source and id: 16 bytes in base64url. */
export function identityOf({ source, id }: Pick<DomainEvent, 'source' | 'id'>): string {
  // Not as UTF-8, in which texts that are not well-formed become the same.
  return createHash('sha1').update(`${source.length}:${source}${id}`, 'utf16le').digest('base64url').slice(0, 22);
}

import type { DomainEvent, PublishedEvent } from '../../core/domain-event.js';
import type { AnyMethod } from '../decorator-types.js';

/** What `@FeedsCache` was given. */
export interface Feed {
  readonly source: string;
  readonly ack: boolean;
  readonly toEvent: ((payload: unknown, context: unknown) => PublishedEvent | DomainEvent | undefined) | undefined;
}

/** On the handler's function. */
const FEED = Symbol('CacheGuard:feed');

export function setFeed(method: AnyMethod, feed: Feed): void {
  Reflect.defineMetadata(FEED, feed, method);
}

export function feedOf(method: object): Feed | undefined {
  return Reflect.getOwnMetadata(FEED, method) as Feed | undefined;
}

/** The event sources that handlers of the objects with this prototype stand for. Reads no property, so that no getter runs. */
export function feedSourcesOf(host: object): readonly string[] {
  const sources = new Set<string>();
  for (let type: object | null = host; type && type !== Object.prototype; type = Reflect.getPrototypeOf(type)) {
    for (const key of Reflect.ownKeys(type)) {
      const method: unknown = Reflect.getOwnPropertyDescriptor(type, key)?.value;
      const feed = typeof method === 'function' ? feedOf(method) : undefined;
      if (feed) sources.add(feed.source);
    }
  }
  return [...sources];
}

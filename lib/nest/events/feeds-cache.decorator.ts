import { UseInterceptors } from '@nestjs/common';
import type { DomainEvent, PublishedEvent } from '../../core/domain-event.js';
import { describeValue } from '../../core/errors.js';
import { isRecord } from '../../core/field-checker.js';
import { IN_PROCESS } from '../../engine/events/domain-events.js';
import type { AnyMethod } from '../decorator-types.js';
import { invalidDecoration, placeOf } from '../method-wrapper.js';
import { feedOf, setFeed } from './feed.js';
import { FeedsCacheInterceptor } from './feeds-cache.interceptor.js';

/** The source of handlers that name none, for `from` of rules. */
const MICROSERVICES = 'microservices';

export interface FeedsCacheOptions {
  /** The name for `from` of rules, for events and logs; handlers may share it. Default `'microservices'`. */
  readonly source?: string;
  /**
   * Makes an event of the message; `undefined`: it concerns no rule. Default: the payload is the event. `context` is that of Nest
   * (`KafkaContext`, `NatsContext`, `RmqContext` …). A throw puts the message aside.
   */
  toEvent?(payload: unknown, context: unknown): PublishedEvent | DomainEvent | undefined;
  /**
   * RabbitMQ only: acknowledges the message once the actions are done, and sends what failed for good to the queue's dead-letter exchange; the
   * server must run with `noAck: false`. `false`: the handler's own code does. Default `true`.
   */
  readonly ack?: boolean;
}

const FIELDS: readonly string[] = ['source', 'toEvent', 'ack'] satisfies (keyof FeedsCacheOptions)[];

/**
 * On an `@EventPattern` handler: applies the application's event rules to the message, after the handler's own body has resolved. The call
 * resolves once the actions are done, so that brokers that know acknowledgements get theirs after it.
 *
 * A body that throws: no rule is applied, and a message that is acknowledged here goes to the dead-letter exchange. A failed action
 * is tried 5 times, then put aside; an event that is malformed at once. While the store is away the message is not acknowledged.
 *
 * @throws CacheGuardConfigError (`CG_INVALID_DECORATION`) when the class is defined
 */
export function FeedsCache(options: FeedsCacheOptions = {}): MethodDecorator {
  return (target, propertyKey, descriptor: PropertyDescriptor | undefined) => {
    const place = placeOf(target, propertyKey);
    const refuse = (field: keyof FeedsCacheOptions, mend: string): never => {
      throw invalidDecoration('@FeedsCache', place, `${field} = ${describeValue(options[field])}: ${mend}`);
    };
    if (!isRecord(options)) {
      throw invalidDecoration('@FeedsCache', place, `options = ${describeValue(options)}: give an object, or nothing`);
    }
    const method: unknown = descriptor?.value;
    if (!descriptor || typeof method !== 'function')
      throw invalidDecoration('@FeedsCache', place, 'decorate a handler with @EventPattern');
    if (feedOf(method))
      throw invalidDecoration('@FeedsCache', place, 'it already has @FeedsCache; keep one of the two');
    for (const field of Object.keys(options)) {
      if (!FIELDS.includes(field)) refuse(field as keyof FeedsCacheOptions, `the options are ${FIELDS.join(', ')}`);
    }
    const { source = MICROSERVICES, ack = true } = options;
    const { toEvent } = options as { readonly toEvent?: unknown };
    if (typeof source !== 'string' || source === '') refuse('source', 'give a text');
    if (source === IN_PROCESS) refuse('source', 'it is the name of what this process publishes itself; give another');
    if (toEvent !== undefined && typeof toEvent !== 'function') refuse('toEvent', 'give a function (payload, context)');
    if (typeof ack !== 'boolean') refuse('ack', 'give true or false');
    setFeed(method as AnyMethod, { source, ack, toEvent: options.toEvent?.bind(options) });
    UseInterceptors(FeedsCacheInterceptor)(target, propertyKey, descriptor);
  };
}

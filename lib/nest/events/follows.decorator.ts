import type { DomainEvent } from '../../core/domain-event.js';
import { describeValue } from '../../core/errors.js';
import type { InvalidationMode } from '../../core/events.js';
import { isRecord } from '../../core/field-checker.js';
import type { AnyMethod } from '../decorator-types.js';
import { addFollows } from '../metadata.js';
import { invalidDecoration, placeOf } from '../method-wrapper.js';

/** What `@Follows` takes. */
export interface FollowsOptions<Args extends readonly unknown[] | [] = readonly unknown[]> {
  /** The event types that it follows. */
  readonly on: string | readonly string[];
  /** The event sources that it follows, by name. Default: all. */
  readonly from?: string | readonly string[];
  /** The arguments of the call whose value the event concerns; `undefined`: none. */
  args(event: DomainEvent): Args | undefined;
  /** `refresh` also calls the method again with them, once in the fleet and behind waiting people. Default `'invalidate'`. */
  readonly action?: 'invalidate' | 'refresh';
  /**
   * The version of the source's data that the event tells of, counted as the loads count it with `setVersion`: what is cached and as new
   * is left alone.
   */
  version?(event: DomainEvent): bigint | number | undefined;
  /** Default: mark stale where the domain allows stale serving, else remove. */
  readonly mode?: InvalidationMode;
}

type Fit<Method, Args> = Method extends (...args: infer Params) => unknown
  ? [Args] extends [Readonly<Params>]
    ? unknown
    : 'What args gives cannot be passed to this method: give its arguments, in their order.'
  : never;

/** A method decorator that compiles only on methods that can be called with `Args`. */
export type FollowsDecorator<Args> = <Method extends AnyMethod>(
  target: object,
  propertyKey: string | symbol,
  descriptor: TypedPropertyDescriptor<Method> & Fit<Method, Args>,
) => void;

const FIELDS = ['on', 'from', 'args', 'version', 'action', 'mode'] satisfies (keyof FollowsOptions)[];

/**
 * An event rule for the values of a `@Cached` method: the event names the call, and the method's own key function the key. May be
 * stacked, above or below `@Cached`.
 *
 * @throws CacheGuardConfigError (`CG_INVALID_DECORATION`) when the class is defined, or at boot without `@Cached`; `CG_INVALID_RULE` at
 * boot for what a rule refuses
 */
export function Follows<Args extends readonly unknown[] | []>(options: FollowsOptions<Args>): FollowsDecorator<Args> {
  return (target, propertyKey, descriptor) => {
    const place = placeOf(target, propertyKey);
    if (typeof target === 'function') throw invalidDecoration('@Follows', place, 'static methods are not cached');
    checkFollows(place, options as unknown as Readonly<Record<string, unknown>>);
    // A property or an accessor has no function.
    const method: unknown = (descriptor as PropertyDescriptor | undefined)?.value;
    if (typeof method !== 'function') throw invalidDecoration('@Follows', place, 'only methods can follow events');
    const { on, from, action, mode } = options;
    const args = (event: DomainEvent) => options.args(event);
    const version = options.version && ((event: DomainEvent) => options.version!(event));
    addFollows(method as AnyMethod, { on, from, args, version, action, mode });
  };
}

function checkFollows(place: string, given: Readonly<Record<string, unknown>>): void {
  const refuse = (field: string, mend: string): never => {
    throw invalidDecoration('@Follows', place, `${field} = ${describeValue(given[field])}: ${mend}`);
  };
  if (!isRecord(given)) {
    throw invalidDecoration('@Follows', place, `options = ${describeValue(given)}: give an object with on and args`);
  }
  for (const field of Object.keys(given)) {
    if (!(FIELDS as readonly string[]).includes(field)) refuse(field, `the fields are ${FIELDS.join(', ')}`);
  }
  if (given['action'] === 'update') {
    refuse('action', 'a method computes its value, an event cannot; write a rule with value in the module options');
  }
  for (const field of ['args', 'version']) {
    const missing = given[field] === undefined && field === 'version';
    if (!missing && typeof given[field] !== 'function') refuse(field, 'give a function of the event');
  }
}

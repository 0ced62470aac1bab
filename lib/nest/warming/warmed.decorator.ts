import { describeValue } from '../../core/errors.js';
import { isRecord } from '../../core/field-checker.js';
import type { WarmingList, WarmingPace } from '../../core/warming.js';
import type { AnyMethod } from '../decorator-types.js';
import { invalidDecoration, placeOf } from '../method-wrapper.js';
import { SCHEDULE_FIELDS, type WarmingSchedule } from './warming-options.js';

/** What `@Warmed` takes. */
export interface WarmedOptions<Host = never>
  extends Partial<Pick<WarmingPace, 'name' | 'concurrency' | 'spread' | 'rest'>>, WarmingSchedule {
  /** The argument lists to call the method with, or a function of the object that gives them. Default `name`: `Class.method`. */
  readonly args: WarmingList<readonly unknown[], Host>;
}

const FIELDS: readonly string[] = ['args', 'name', 'concurrency', 'spread', 'rest', ...SCHEDULE_FIELDS];

/** On the method's function: how it is warmed. */
const WARMED = Symbol('CacheGuard:warmed');

export function warmedOf(method: AnyMethod): WarmedOptions | undefined {
  return Reflect.getOwnMetadata(WARMED, method) as WarmedOptions | undefined;
}

/**
 * Warms a `@Cached` method of a singleton once the application has started. May stand above or below `@Cached`.
 *
 * @throws CacheGuardConfigError (`CG_INVALID_DECORATION`) when the class is defined, or at boot without `@Cached` or in a class that is
 * not a singleton; `CG_INVALID_OPTIONS` at boot
 */
export function Warmed<Host = never>(options: WarmedOptions<Host>): MethodDecorator {
  return (target, propertyKey, descriptor) => {
    const place = placeOf(target, propertyKey);
    if (typeof target === 'function') throw invalidDecoration('@Warmed', place, 'static methods are not cached');
    // A property or an accessor has no function.
    const method: unknown = (descriptor as PropertyDescriptor | undefined)?.value;
    if (typeof method !== 'function') throw invalidDecoration('@Warmed', place, 'only methods can be warmed');
    checkWarmed(place, options as unknown as Readonly<Record<string, unknown>>);
    Reflect.defineMetadata(WARMED, options, method);
  };
}

/** The fields' values are looked at at boot, with those of other warmings. */
function checkWarmed(place: string, given: Readonly<Record<string, unknown>>): void {
  const refuse = (field: string, value: unknown, mend: string): never => {
    throw invalidDecoration('@Warmed', place, `${field} = ${describeValue(value)}: ${mend}`);
  };
  if (!isRecord(given)) refuse('options', given, 'give an object with at least args');
  for (const [field, value] of Object.entries(given)) {
    if (!FIELDS.includes(field)) refuse(field, value, `the fields are ${FIELDS.join(', ')}`);
  }
  if (given['args'] === undefined) refuse('args', undefined, 'give the lists of arguments to call the method with');
}

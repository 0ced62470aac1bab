import { describeValue } from '../core/errors.js';
import { isRecord } from '../core/field-checker.js';
import { invalidDecoration, placeOf } from './method-wrapper.js';

/**
 * What the types say, for those who compile without them.
 *
 * @throws CacheGuardConfigError (`CG_INVALID_DECORATION`)
 */
export function checkOptions(
  decorator: string,
  prototype: object,
  propertyKey: string | symbol,
  options: object,
): void {
  const place = placeOf(prototype, propertyKey);
  const given = options as Readonly<Record<string, unknown>>;
  const refuse = (field: string, mend: string): never => {
    throw invalidDecoration(decorator, place, `${field} = ${describeValue(given[field])}: ${mend}`);
  };
  if (!isRecord(given)) {
    throw invalidDecoration(
      decorator,
      place,
      `options = ${describeValue(given)}: give an object with at least a domain`,
    );
  }
  if (typeof given['domain'] !== 'string') refuse('domain', 'name the domain whose policy applies');
  for (const field of ['key', 'keys', 'tags']) {
    if (given[field] !== undefined && typeof given[field] !== 'function')
      refuse(field, 'give a function of the arguments');
  }
  if (given['project'] !== undefined && typeof given['project'] !== 'function')
    refuse('project', 'give a function of the value');
  const { name } = given;
  if (name !== undefined && (typeof name !== 'string' || name === '')) refuse('name', 'give a text');
}

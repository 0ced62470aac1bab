import { BadRequestException, type PipeTransform } from '@nestjs/common';

/** A pipe from a function that returns what it checked, or refuses it with a 400 that says why. */
export class Checked<T> implements PipeTransform<unknown, T> {
  constructor(private readonly check: (given: unknown) => T) {}

  transform(given: unknown): T {
    return this.check(given);
  }
}

type Fields<Name extends string> = Readonly<Partial<Record<Name, unknown>>>;

export function fieldsOf<Name extends string>(given: unknown, names: readonly Name[]): Fields<Name> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new BadRequestException(`Send a JSON object with ${names.join(', ')}.`);
  }
  const unknown = Object.keys(given).find((field) => !names.includes(field as Name));
  if (unknown !== undefined) {
    throw new BadRequestException(`There is no field '${unknown.slice(0, 40)}'; the fields are ${names.join(', ')}.`);
  }
  return given as Fields<Name>;
}

export function text(name: string, given: unknown, most: number): string {
  const value = typeof given === 'string' ? given.trim() : '';
  // What people could not read, or a terminal would obey.
  if (value === '' || value.length > most || /\p{Cc}/u.test(value)) {
    throw new BadRequestException(`${name} must be a text of 1 to ${most} characters.`);
  }
  return value;
}

export function wholeNumber(name: string, given: unknown, least: number, most: number): number {
  if (typeof given !== 'number' || !Number.isInteger(given) || given < least || given > most) {
    throw new BadRequestException(`${name} must be a whole number from ${least} to ${most}.`);
  }
  return given;
}

export function truth(name: string, given: unknown): boolean {
  if (typeof given !== 'boolean') throw new BadRequestException(`${name} must be true or false.`);
  return given;
}

export function oneOf<T extends string>(name: string, given: unknown, allowed: readonly T[]): T {
  const found = allowed.find((value) => value === given);
  if (found === undefined) throw new BadRequestException(`${name} must be one of ${allowed.join(', ')}.`);
  return found;
}

/** Ids of customers, accounts and cards, and names of segments. */
export function id(name: string, given: unknown): string {
  if (typeof given !== 'string' || !/^[a-z][a-z0-9-]{0,31}$/.test(given)) {
    throw new BadRequestException(
      `${name} must be 1 to 32 lower-case letters, digits and hyphens, and begin with a letter.`,
    );
  }
  return given;
}

/** A pipe for an id in the path. */
export const idPipe = (name: string): Checked<string> => new Checked((given) => id(name, given));

import { types } from 'node:util';
import { BYTE_TYPES, builtinName, isWellFormed, nativeName } from './builtins.js';

/** Deepest nesting of a value that is kept; beyond it, and for cycles, values are refused. */
export const MAX_DEPTH = 200;

/** Values inside a value that are looked at where nothing else is said. */
const MAX_PARTS = 100_000;

/** A class as the walk needs it: instances are told by their prototype. */
export interface InstanceClass {
  readonly name: string;
  readonly prototype: object;
}

/**
 * Which class instances a value may hold, to be flattened: none, all, or those of exactly one class (no subclass, which would
 * come back as its parent) as the value itself or as the elements of the array that it is.
 */
export type Instances = 'none' | 'all' | InstanceClass;

/**
 * What a value is made of.
 *
 * - `plain`: `JSON.parse(JSON.stringify(value))` is equal to it, and one deeply frozen copy may be shared. Texts with lone
 *   surrogates count as rich, because not every codec keeps them.
 * - `rich`: also `undefined`, NaN, infinities, -0, bigint, Date, Map, Set, RegExp, URL, bytes, objects without prototype.
 * - `refused`: something at `path` would not come back equal.
 *
 * Enumerable properties are the value; hidden ones are neither kept nor looked at.
 */
export type Shape =
  | { readonly kind: 'plain' }
  | { readonly kind: 'rich' }
  | { readonly kind: 'refused'; readonly path: string; readonly reason: string };

type Refusal = { readonly path: string; readonly reason: string };

/** @param maxParts of more values, those counted again that occur again, it is refused: few objects can name each other endlessly often */
export function shapeOf(value: unknown, allow: Instances = 'none', maxParts = MAX_PARTS): Shape {
  const walk = new Walk(allow, maxParts);
  const refusal = walk.visit(value);
  if (refusal) return { kind: 'refused', path: refusal.path.replace(/^\./, '') || '(root)', reason: refusal.reason };
  return { kind: walk.rich ? 'rich' : 'plain' };
}

class Walk {
  rich = false;
  private readonly ancestors: object[] = [];
  private parts = 0;

  constructor(
    private readonly allow: Instances,
    private readonly maxParts: number,
  ) {}

  visit(value: unknown): Refusal | undefined {
    if (++this.parts > this.maxParts)
      return refuse(
        `more than ${this.maxParts} values in one, counting again what occurs again; cache less at once, or raise maxValueBytes`,
      );
    switch (typeof value) {
      case 'boolean':
        return undefined;
      case 'string':
        if (!isWellFormed(value)) this.rich = true;
        return undefined;
      case 'number':
        if (!Number.isFinite(value) || Object.is(value, -0)) this.rich = true;
        return undefined;
      case 'undefined':
      case 'bigint':
        this.rich = true;
        return undefined;
      case 'object':
        return value === null ? undefined : this.enter(value);
      default:
        return refuse(`a ${typeof value}`);
    }
  }

  private enter(value: object): Refusal | undefined {
    if (this.ancestors.includes(value)) return refuse('a cycle: the object contains itself');
    if (this.ancestors.length >= MAX_DEPTH) return refuse(`nested deeper than ${MAX_DEPTH}`);
    this.ancestors.push(value);
    const refusal = this.inside(value);
    this.ancestors.pop();
    return refusal;
  }

  private inside(value: object): Refusal | undefined {
    const name = builtinName(value);
    if (name === 'Object') return this.properties(value);
    if (name === 'Array') return this.array(value as unknown[]);
    if (name === undefined) return this.instance(value);
    this.rich = true;
    if (name === 'null') return this.properties(value);
    // Own properties of bytes are their elements; libraries hang caches on them, so more are not looked for.
    if (BYTE_TYPES.has(name)) return undefined;
    if (Object.keys(value).length > 0 || Object.getOwnPropertySymbols(value).length > 0) {
      return refuse(`a ${name} with properties of its own`);
    }
    if (name === 'RegExp' && (value as RegExp).lastIndex !== 0) return refuse('a RegExp in the middle of a search');
    if (name === 'Map') return this.items((value as Map<unknown, unknown>).entries(), '.entries()');
    if (name === 'Set') return this.items((value as Set<unknown>).values(), '.values()');
    return undefined;
  }

  private items(items: Iterable<unknown>, path: string): Refusal | undefined {
    let i = 0;
    for (const item of items) {
      const refusal = this.visit(item);
      if (refusal) return below(`${path}[${i}]`, refusal);
      i++;
    }
    return undefined;
  }

  private array(array: unknown[]): Refusal | undefined {
    const own = Object.keys(array).length;
    if (own > array.length || Object.getOwnPropertySymbols(array).length > 0) {
      return refuse('an array with properties of its own');
    }
    for (let i = 0; i < array.length; i++) {
      const item = array[i];
      if (item === undefined && !Object.hasOwn(array, i)) return refuse('a sparse array');
      const refusal = this.visit(item);
      if (refusal) return below(`[${i}]`, refusal);
    }
    return undefined;
  }

  private properties(value: object): Refusal | undefined {
    for (const key of Reflect.ownKeys(value)) {
      if (typeof key === 'symbol') return refuse('a symbol as property key');
      const property = Object.getOwnPropertyDescriptor(value, key);
      if (!property?.enumerable) continue;
      const refusal = this.property(key, property);
      if (refusal) return below(IDENTIFIER.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`, refusal);
    }
    return undefined;
  }

  private property(key: string, property: PropertyDescriptor): Refusal | undefined {
    if (key === '__proto__') return refuse('a property named __proto__');
    if (!('value' in property)) return refuse('a getter or setter');
    if (!isWellFormed(key)) this.rich = true;
    return this.visit(property.value);
  }

  private instance(value: object): Refusal | undefined {
    const what = `an instance of ${className(value)}`;
    const native = obstacle(value);
    if (native) return refuse(`${what}, ${native}`);
    if (this.allow === 'all') return this.properties(value);
    const { allow } = this;
    if (allow === 'none') {
      return refuse(`${what}; 'revive' gives it its class back, 'plain: true' flattens it on purpose`);
    }
    const isElement = this.ancestors.length === 2 && Array.isArray(this.ancestors[0]);
    if (this.ancestors.length > 1 && !isElement) {
      return refuse(
        `${what}; a class in 'revive' restores the value or the elements of an array, a function restores more`,
      );
    }
    if (Object.getPrototypeOf(value) !== allow.prototype) {
      return refuse(`${what}; 'revive' restores ${allow.name} only`);
    }
    if (hasPrivateState(allow)) return refuse(`${what}, whose #private fields cannot be restored`);
    return this.properties(value);
  }
}

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;

function refuse(reason: string): Refusal {
  return { path: '', reason };
}

function below(segment: string, { path, reason }: Refusal): Refusal {
  return { path: segment + path, reason };
}

function className(value: object): string {
  const type: unknown = (value as { constructor?: unknown }).constructor;
  return (typeof type === 'function' && type.name) || 'an unnamed class';
}

/** Why an instance cannot be flattened even on purpose: its content is not in its properties. */
function obstacle(value: object): string | undefined {
  for (let at: unknown = Object.getPrototypeOf(value); at !== null; at = Object.getPrototypeOf(at)) {
    const name = nativeName(at as object);
    if (name !== undefined && name !== 'Object') return `whose state as ${name} is not in its properties`;
  }
  if (typeof (value as { then?: unknown }).then === 'function') return 'which is a promise';
  if (Symbol.asyncIterator in value || types.isGeneratorObject(value)) return 'which can be read only once';
  return undefined;
}

function hasPrivateState(type: InstanceClass): boolean {
  for (let at: unknown = type; typeof at === 'function' && at !== Function.prototype; at = Object.getPrototypeOf(at)) {
    if (/#[\p{ID_Start}$_]/u.test(Function.prototype.toString.call(at))) return true;
  }
  return false;
}

/**
 * The value with every class instance as a plain object of its own enumerable properties; `toJSON` is not called. For values
 * that `shapeOf` accepts. The original stays as it is.
 */
export function flatten(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  switch (builtinName(value)) {
    case 'Array':
      return (value as unknown[]).map(flatten);
    case 'Map':
      return new Map(Array.from(value as Map<unknown, unknown>, ([key, item]) => [flatten(key), flatten(item)]));
    case 'Set':
      return new Set(Array.from(value as Set<unknown>, flatten));
    case 'null':
      return copyInto(Object.create(null) as object, value);
    case 'Object':
    case undefined:
      return copyInto({}, value);
    default:
      return value;
  }
}

function copyInto(target: object, source: object): object {
  for (const [key, item] of Object.entries(source)) Object.assign(target, { [key]: flatten(item) });
  return target;
}

/**
 * Freezes plain objects and arrays all the way down, without recursion.
 *
 * @throws TypeError for anything that freezing would not protect: a shared Map could still be changed
 */
export function deepFreeze(value: unknown): void {
  const pending: unknown[] = [value];
  while (pending.length > 0) {
    const next = pending.pop();
    if (typeof next !== 'object' || next === null || Object.isFrozen(next)) continue;
    const name = builtinName(next);
    if (name !== 'Object' && name !== 'Array') throw new TypeError('only plain values can be frozen');
    Object.freeze(next);
    for (const item of Object.values(next)) pending.push(item);
  }
}

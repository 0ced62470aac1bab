const VIEWS = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
  Buffer,
];

/** Names of the types that hold bytes. */
export const BYTE_TYPES: ReadonlySet<string> = new Set([...VIEWS, ArrayBuffer].map(({ name }) => name));

const BUILTINS: ReadonlyMap<unknown, string> = new Map(
  [Object, Array, Date, Map, Set, RegExp, URL, ArrayBuffer, ...VIEWS].map((type) => [type.prototype, type.name]),
);
const BUILTIN_NAMES: ReadonlySet<string> = new Set(BUILTINS.values());

/**
 * Which of the types that a codec keeps a value is exactly, `'null'` for an object without prototype, `undefined` for an
 * instance of anything else. Also tells those of another realm, where test runners make most of their objects.
 */
export function builtinName(value: object): string | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null) return 'null';
  const name = BUILTINS.get(prototype) ?? nativeName(prototype as object);
  if (name === undefined || !BUILTIN_NAMES.has(name)) return undefined;
  return name === 'Array' && !Array.isArray(value) ? undefined : name;
}

/** The name of the engine's own class that a prototype belongs to. */
export function nativeName(prototype: object): string | undefined {
  const type: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
  if (typeof type !== 'function' || type.prototype !== prototype) return undefined;
  return /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(type)) ? type.name : undefined;
}

/** Whether a text has no lone surrogate, which UTF-8 cannot carry. */
export function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

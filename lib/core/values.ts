/** Gives a flattened value its class back: the class itself (for the value, or each element of an array), or a function. */
export type Revive<T> =
  | (new (...args: never[]) => T extends readonly (infer Item)[] ? Item : T)
  | { bivarianceHack(plain: unknown): T }['bivarianceHack'];

/** How a value is kept and handed out. */
export interface ValueOptions<T = unknown> {
  /**
   * For class instances. A class (recognised by its source text starting with `class`) restores instances by prototype,
   * without running the constructor; a function gets the plain value. Values that are revived are made anew for each reader.
   */
  readonly revive?: Revive<T>;
  /** Class instances may be flattened to plain objects: methods and accessors are lost on purpose, on misses as on hits. */
  readonly plain?: boolean;
  /**
   * `'safe'` (default): plain objects and arrays are frozen and shared, values that hold Date, Map, Set or bytes are copied for
   * each reader. `'shared'`: one unfrozen object for all readers of one read; nobody may change it.
   */
  readonly aliasing?: 'safe' | 'shared';
}

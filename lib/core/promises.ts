/** Has no `then`, as promises have. */
interface Settled {
  readonly then?: never;
}

/** `T`, or anything, that is no promise. What is `unknown` may be one: say of what type it is. */
export type NoPromise<T = unknown> =
  | (unknown extends T ? string | number | bigint | boolean | null | undefined : Exclude<T, object>)
  | Readonly<Record<string, unknown>>
  | (object & Settled);

/** Whether it is one, in the place of what it would give. Nobody waits for it: that it rejects is no news. */
export function isPromise(given: unknown): boolean {
  if (typeof given !== 'object' || given === null || typeof (given as Partial<Promise<unknown>>).then !== 'function')
    return false;
  if (given instanceof Promise) given.catch(() => {});
  return true;
}

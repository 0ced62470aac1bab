import type { KeyPart } from '../core/keys.js';
import type { Revive } from '../core/values.js';

/** Makes a key from the arguments of a guarded method; it may take fewer parameters than the method. */
export type KeyFunction = (...args: never[]) => KeyPart;
export type KeysFunction = (...args: never[]) => readonly KeyPart[];
export type TagsFunction = (...args: never[]) => readonly string[];
export type ProjectFunction = (value: never) => unknown;
export type AnyMethod = (...args: never[]) => unknown;

/** `true` where `F` was not given, or can be called with `Params`. */
type Takes<F, Params extends readonly unknown[]> = [F] extends [(...args: Params) => unknown] ? true : false;

type IsAsync<F> = [F] extends [never] ? false : F extends (...args: never[]) => PromiseLike<unknown> ? true : false;

/**
 * `unknown` where the decorator fits the method, else a text that says what does not; the compiler prints it. A `Key`, `Tags` or
 * `Projected` of `never` stands for an option that was left out, and so does a `Revived` that says nothing. `Kept` is what the method's
 * own readers are given in place of what it resolves to.
 */
type Fit<Method, Key, Tags, Revived, Projected, Kept> = Method extends (...args: infer Params) => infer Result
  ? [Result] extends [Promise<infer Value>]
    ? Takes<Key, Params> extends false
      ? 'The key function cannot be called with the parameters of this method: annotate it with the same types, in the same order.'
      : IsAsync<Key> extends true
        ? 'A key function gives the key itself, not a promise of it.'
        : Takes<Tags, Params> extends false
          ? 'The tags function cannot be called with the parameters of this method: annotate it with the same types, in the same order.'
          : Takes<Projected, [Value]> extends false
            ? 'The project function cannot be called with what this method resolves to: annotate its parameter with that type.'
            : IsAsync<Projected> extends true
              ? 'A project function gives the value to be kept itself, not a promise of it.'
              : [Kept] extends [Value]
                ? [Revive<unknown>] extends [Revived]
                  ? unknown
                  : [Revived] extends [Revive<Value>]
                    ? unknown
                    : 'What revive gives is not what this method resolves to.'
                : 'What project gives is not what this method promises: promise the projected type, which is what its callers get.'
    : 'A guarded method returns a Promise: make it async, or turn an Observable into one with firstValueFrom.'
  : never;

/** A method decorator that compiles only on methods it fits. */
export type GuardedMethodDecorator<Key, Tags, Revived = Revive<unknown>, Projected = never, Kept = never> = <
  Method extends AnyMethod,
>(
  target: object,
  propertyKey: string | symbol,
  descriptor: TypedPropertyDescriptor<Method> & Fit<Method, Key, Tags, Revived, Projected, Kept>,
) => void;
